#!/bin/sh
# A fake hook executable for the operator's tests: it answers from files in $FAKE_HOOK, and its hooks are scripts there.
case "$1 $2" in
  "hook list" | "hook config") cat "$FAKE_HOOK/$2" ;;
  "hook run") . "$FAKE_HOOK/run-$3" ;;
  *) exit 1 ;;
esac
