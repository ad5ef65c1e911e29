//! The module under an operator on two real clusters: one file per scenario. `make scenarios` runs them; `tests/e2e/src/bench` is the bench.

#![allow(clippy::large_futures, reason = "a scenario is one future, made once")]

mod given;
mod rest;

mod bad_settings;
mod crowd;
mod edits;
mod from_nothing;
mod install;
mod kills;
mod odd_peer;
mod on_and_off;
mod pairs;
mod plain_hooks;
mod services;
mod upgrade;
mod without_istio;
