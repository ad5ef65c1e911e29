//! The program `istio-federation-demo`; its work is in the library.

use std::process::ExitCode;

use clap::Parser as _;
use istio_federation_demo::Demo;

fn main() -> ExitCode {
    match Demo::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[allow(clippy::print_stderr, reason = "the one line that says why the demo ended")]
            {
                eprintln!("error: {error:#}");
            }
            ExitCode::FAILURE
        }
    }
}
