//! The program `istio-federation`: the metadata exporter, and commands for people.

use std::process::ExitCode;

use clap::Parser;
use istio_federation::cli::Cli;

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The only line with the reason for the exit: the log may be off, or JSON.
            #[allow(clippy::print_stderr)]
            {
                eprintln!("error: {error:#}");
            }
            ExitCode::FAILURE
        }
    }
}
