//! Test helpers that more than one package or room uses. Anything that fails here fails the test: nothing returns an error.
//!
//! It does not depend on the library, whose unit tests use it: types of the library would exist twice there. So
//! objects of our types are made as JSON.

#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a test without its fixtures has to fail")]

mod authority;
mod federation;
mod https;
pub mod manifests;

pub use authority::{Authority, CertifiedKey, Name, RSA_ROOT_PEM, authority, server_for};
pub use federation::{Federation, federation, private_document, public_document, service};
pub use https::HttpsServer;
