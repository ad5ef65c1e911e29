//! Tests of the room: vectors, and real servers on loopback.

mod client;
mod exchange;
mod keys;
mod time;
mod tls;
mod token;
