//! The program's commands. To add one: a variant of [`Command`] and a line in [`Cli::run`].

pub mod crd;
pub mod demo;
