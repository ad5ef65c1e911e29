//! An app of a mesh. `serve` answers over HTTP/1.1, gRPC and plain TCP; the other commands call a host by name.

mod call;
mod load;
mod serve;

use clap::{Parser, Subcommand, ValueEnum};

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Answers on 8080 (HTTP/1.1), 9000 (gRPC) and 5000 (TCP).
    Serve {
        /// Its name, for answers.
        name: String,
    },
    /// One HTTP/1.1 request: prints the status and the body.
    Get {
        /// `host:port`.
        address: String,
        /// Path.
        #[arg(default_value = "/")]
        path: String,
    },
    /// One gRPC call: prints the status and the message.
    Grpc {
        /// `host:port`.
        address: String,
    },
    /// Sends a line over TCP: prints the answer.
    Tcp {
        /// `host:port`.
        address: String,
        /// The line.
        line: String,
    },
    /// Calls until it is killed, each time on a new connection, and prints a line for each.
    Load {
        /// Protocol.
        protocol: Protocol,
        /// `host:port`.
        address: String,
        /// Milliseconds between two calls.
        #[arg(long, default_value_t = 40)]
        every: u64,
    },
}

/// Protocol of a call.
#[derive(Clone, Copy, ValueEnum)]
enum Protocol {
    /// HTTP/1.1: `GET /`.
    Http,
    /// gRPC.
    Grpc,
    /// A line over TCP; the proxies open a connection for each call.
    Tcp,
}

#[expect(clippy::print_stdout, reason = "the answer goes to stdout")]
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let answer = match Cli::parse().command {
        Command::Serve { name } => return serve::serve(&name).await,
        Command::Load { protocol, address, every } => {
            return load::load(protocol, &address, std::time::Duration::from_millis(every)).await;
        }
        Command::Get { address, path } => call::get(&address, &path).await?,
        Command::Grpc { address } => call::grpc(&address).await?,
        Command::Tcp { address, line } => call::tcp(&address, &line).await?,
    };
    println!("{answer}");
    Ok(())
}
