//! Makes the tables at the end of the demo.

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{ContentArrangement, Table};

use crate::facts::Facts;
use crate::story::{endpoints, ports};
use istio_federation::text::printable;

/// Status of the IstioFederations of a cluster.
pub(crate) fn federations(facts: &Facts) -> Table {
    let mut table = table(&["IstioFederation", "Trust domain", "Services", "Refused", "Conditions"]);
    for (name, federation) in &facts.federations {
        let status = federation.status.clone().unwrap_or_default();
        let conditions: Vec<String> =
            status.conditions.iter().map(|one| format!("{}={}", one.type_, printable(&one.status))).collect();
        let count = |number: Option<u32>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
        table.add_row([
            name.clone(),
            federation.spec.trust_domain.clone(),
            count(status.imported_services),
            count(status.refused_total),
            conditions.join("\n"),
        ]);
    }
    table
}

/// The services that a cluster can call in others.
pub(crate) fn imported(facts: &Facts) -> Table {
    let mut table = table(&["ServiceEntry", "Address", "Ports", "Gateways of the peer"]);
    for (host, entry) in &facts.imported {
        let cells = [entry.spec.addresses.clone(), ports(entry), endpoints(entry)].map(|cell| cell.join("\n"));
        table.add_row([vec![host.clone()], cells.to_vec()].concat());
    }
    table
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Disabled).set_header(header);
    table
}
