//! The admission policies, rendered by Helm, on a real API server: accepted and refused requests, and the messages for the user.
#![allow(clippy::unwrap_used, clippy::panic, reason = "clippy does not count helpers of tests as tests")]

#[path = "admission/agreement.rs"]
mod agreement;
#[path = "admission/cases.rs"]
mod cases;
#[path = "../../schemas/openapi.rs"]
#[allow(dead_code, reason = "every test crate compiles this file, and each uses its part of it")]
mod openapi;
#[path = "admission/policies.rs"]
mod policies;

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use cases::Table;
use policies::Cluster;

async fn all_cases_hold(table: &str) -> Result<()> {
    let table = Table::read(table)?;
    let cluster = Cluster::with(&table).await?;
    let mut wrong = Vec::new();
    for case in &table.cases {
        let (expected, answer) = (case.expected(), cluster.try_out(case).await?);
        if answer != expected {
            wrong.push(format!("{}\n  expected {expected:#?}\n  but was {answer:#?}", case.it));
        }
    }
    ensure!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), table.cases.len(), wrong.join("\n"));
    cluster.server.stop();
    Ok(())
}

#[tokio::test]
async fn while_federation_is_on() -> Result<()> {
    all_cases_hold("on").await
}

#[tokio::test]
async fn while_federation_is_off() -> Result<()> {
    all_cases_hold("off").await
}

#[tokio::test]
async fn where_names_are_long() -> Result<()> {
    all_cases_hold("long-domain").await
}

#[test]
fn every_policy_has_a_case_that_it_stops() -> Result<()> {
    let mut stopped = BTreeSet::new();
    for table in ["on", "off", "long-domain"] {
        stopped.extend(Table::read(table)?.cases.into_iter().filter_map(|case| case.refused_by.or(case.warned_by)));
    }
    ensure!(stopped == policies::names()?, "{stopped:?}");
    Ok(())
}
