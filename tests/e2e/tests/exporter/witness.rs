//! Somebody who asks all the time, and remembers every different answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::process::{Documents, Exporter, Reply};

/// Pause between two questions.
const PAUSE: Duration = Duration::from_millis(10);

/// A witness at work.
pub(crate) struct Witness {
    stop: oneshot::Sender<()>,
    seen: JoinHandle<Result<Seen>>,
}

/// What was seen: every different answer, and how often.
pub(crate) struct Seen {
    answers: BTreeMap<(&'static str, u16, String), usize>,
}

impl Witness {
    /// Begins to ask.
    pub(crate) fn of(exporter: &Arc<Exporter>) -> Self {
        let exporter = Arc::clone(exporter);
        let (stop, mut stopped) = oneshot::channel();
        let seen = tokio::spawn(async move {
            let mut seen = Seen { answers: BTreeMap::new() };
            while stopped.try_recv().is_err() {
                let Documents { public, spiffe, private } = exporter.documents().await?;
                for (name, reply) in [("public", public), ("spiffe", spiffe), ("private", private)] {
                    *seen.answers.entry((name, reply.status, reply.body)).or_default() += 1;
                }
                tokio::time::sleep(PAUSE).await;
            }
            Ok(seen)
        });
        Self { stop, seen }
    }

    /// Ends, and tells.
    pub(crate) async fn tell(self) -> Result<Seen> {
        self.stop.send(()).ok().context("the witness ended early")?;
        self.seen.await?
    }
}

impl Seen {
    /// Fails unless every answer was one of these documents, the private one perhaps without its mark of completeness.
    /// Returns how many answers there were.
    pub(crate) fn only(&self, known: &[&Documents]) -> Result<usize> {
        let stale = |reply: &Reply| reply.body.replace(r#","complete":true"#, "");
        for (name, status, body) in self.answers.keys() {
            let good = known.iter().any(|documents| match *name {
                "public" => *body == documents.public.body,
                "spiffe" => *body == documents.spiffe.body,
                _ => *body == documents.private.body || *body == stale(&documents.private),
            });
            ensure!(*status == 200 && good, "an answer that is not known to be good: {name} {status} {body}");
        }
        Ok(self.answers.values().sum())
    }
}
