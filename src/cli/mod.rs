//! The program's commands. To add one: a variant of [`Command`] and a line in [`Cli::run`].

pub mod crd;
pub mod exporter;

use clap::{Parser, Subcommand};

/// Joins independent Istio clusters: each keeps its own root CA, API server and owner
#[derive(Debug, Parser)]
#[command(name = "istio-federation", version, about)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves this cluster's metadata to its peers
    Exporter(Box<exporter::ExporterArgs>),
    /// Prints the custom resource definition of `IstioFederation`
    Crd,
}

impl Cli {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Exporter(args) => args.run(),
            Command::Crd => crd::print(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_commands_are_consistent() {
        Cli::command().debug_assert();
    }
}
