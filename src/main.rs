//! The program `istio-federation`: the metadata exporter, and commands for people.

fn main() {}
