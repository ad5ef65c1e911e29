//! Tests of the room: vectors, and real servers on loopback.

mod client;
mod keys;
mod server;
mod time;
mod tls;
mod token;
