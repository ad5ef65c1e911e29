//! The hook executable of the module: one file per hook, and this list of them.

use std::process::ExitCode;

use istio_federation::hook::{self, Hook};

/// All hooks. Their order is their index: the operator asks for it several times and expects the same.
const HOOKS: &[Hook] = &[];

fn main() -> ExitCode {
    hook::main(HOOKS)
}
