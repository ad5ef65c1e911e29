//! A witness: requests the documents all the time, and records every distinct answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::process::{Documents, Exporter, Reply};

/// Pause between two requests.
const PAUSE: Duration = Duration::from_millis(10);

/// A running witness.
pub(crate) struct Witness {
    stop: oneshot::Sender<()>,
    record: JoinHandle<Result<Record>>,
}

/// Every distinct answer, and how often it was given.
pub(crate) struct Record {
    answers: BTreeMap<(&'static str, u16, String), usize>,
}

impl Witness {
    /// Starts.
    pub(crate) fn of(exporter: &Arc<Exporter>) -> Self {
        let exporter = Arc::clone(exporter);
        let (stop, mut stopped) = oneshot::channel();
        let record = tokio::spawn(async move {
            let mut record = Record { answers: BTreeMap::new() };
            while stopped.try_recv().is_err() {
                let Documents { public, spiffe, private } = exporter.documents().await?;
                for (name, reply) in [("public", public), ("spiffe", spiffe), ("private", private)] {
                    *record.answers.entry((name, reply.status, reply.body)).or_default() += 1;
                }
                tokio::time::sleep(PAUSE).await;
            }
            Ok(record)
        });
        Self { stop, record }
    }

    /// Ends, and returns the record.
    pub(crate) async fn finish(self) -> Result<Record> {
        self.stop.send(()).ok().context("the witness ended early")?;
        self.record.await?
    }
}

impl Record {
    /// Fails unless every answer was one of these documents; the private one may lack `complete`. Returns the number of answers.
    pub(crate) fn only(&self, known: &[&Documents]) -> Result<usize> {
        let stale = |reply: &Reply| reply.body.replace(r#","complete":true"#, "");
        for (name, status, body) in self.answers.keys() {
            let good = known.iter().any(|documents| match *name {
                "public" => *body == documents.public.body,
                "spiffe" => *body == documents.spiffe.body,
                _ => *body == documents.private.body || *body == stale(&documents.private),
            });
            ensure!(*status == 200 && good, "an unexpected answer: {name} {status} {body}");
        }
        Ok(self.answers.values().sum())
    }
}
