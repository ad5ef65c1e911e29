//! Tests of the peer room: test vectors, and real servers on loopback.

mod client;
mod fetcher;
mod keys;
mod server_trust;
mod time;
mod token;
