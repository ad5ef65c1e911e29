//! The stand-in for addon-operator as a program (see `operator` in the library).

use clap::Parser;
use istio_federation_e2e::operator::{Cli, main as run};

fn main() -> anyhow::Result<()> {
    run(Cli::parse())
}
