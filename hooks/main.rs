//! The hook executable of the module.

fn main() {}
