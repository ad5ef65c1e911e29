//! The module under an operator on two real clusters: one file per scenario. `make scenarios` runs them; `tests/e2e/src/bench` is the bench.

mod given;

mod from_nothing;
mod on_and_off;
mod services;
