//! Follows one selection: list, watch, resume, and list again if a watch cannot be resumed.

use std::time::Duration;

use kube::Client;
use tokio::time::{Instant, sleep, timeout};

use super::super::index::{Event, STALE_AFTER, WatchFailure};
use super::super::selection::Selection;
use super::super::source::{Feed, SourceError};
use super::backoff::Backoff;
use super::decode::{self, Line};
use super::requests;
use super::watch_fault::{Cause, Verb, WatchFault};
use super::watch_stream::{End, LINE_LIMIT};

/// Timeouts of a reflector.
#[derive(Clone, Copy, Debug)]
pub(super) struct WatchTimes {
    /// Requested length of a watch; randomly up to 4/3 of it, so that not all end at once.
    pub(super) watch: Duration,
    /// How long a watch may be silent. API servers send a bookmark each minute.
    pub(super) quiet: Duration,
    /// How long an answer may take.
    pub(super) answer: Duration,
    /// A watch that ends sooner, without an event, has failed.
    pub(super) short: Duration,
    /// A watch that fails for longer starts again with a list.
    pub(super) stale: Duration,
    /// First waiting time after a fault.
    pub(super) first: Duration,
    /// Longest waiting time after a fault.
    pub(super) most: Duration,
}

impl Default for WatchTimes {
    fn default() -> Self {
        Self {
            watch: Duration::from_secs(210),
            quiet: Duration::from_secs(90),
            answer: Duration::from_secs(30),
            short: Duration::from_secs(1),
            stale: STALE_AFTER,
            first: Duration::from_millis(200),
            most: Duration::from_secs(10),
        }
    }
}

/// Follows one selection.
pub(super) struct Reflector {
    client: Client,
    selection: Selection,
    times: WatchTimes,
    feed: Feed,
    backoff: Backoff,
    /// Where the next watch starts; `None` if a list is needed first.
    version: Option<String>,
    /// When we last had all changes.
    good: Instant,
    /// The fault that was last reported.
    failing: Option<WatchFault>,
}

/// Why a list or watch ended early.
enum Stop {
    Watch(WatchFault),
    Feed(SourceError),
}

impl From<SourceError> for Stop {
    fn from(ended: SourceError) -> Self {
        Self::Feed(ended)
    }
}

impl Reflector {
    pub(super) fn new(client: Client, selection: Selection, times: WatchTimes, feed: Feed) -> Self {
        let backoff = Backoff::new(times.first, times.most);
        Self { client, selection, times, feed, backoff, version: None, good: Instant::now(), failing: None }
    }

    /// Runs until the feed is closed.
    pub(super) async fn run(mut self) -> SourceError {
        loop {
            let done = match self.version.clone() {
                None => self.list().await,
                Some(version) => self.watch(&version).await,
            };
            let ended = match done {
                Ok(()) => continue,
                Err(Stop::Watch(fault)) => self.recover(fault).await,
                Err(Stop::Feed(ended)) => Err(ended),
            };
            if let Err(ended) = ended {
                return ended;
            }
        }
    }

    fn stop(&self, verb: Verb, cause: Cause) -> Stop {
        Stop::Watch(WatchFault { selection: self.selection, verb, cause })
    }

    /// Lists the selection. An earlier failure lasts until the watch has started: a list alone is outdated at once.
    async fn list(&mut self) -> Result<(), Stop> {
        let begin = Instant::now();
        let listed = requests::list(&self.client, self.selection, self.times.answer).await;
        let (objects, version) = listed.map_err(|cause| self.stop(Verb::List, cause))?;
        tracing::debug!(selection = %self.selection, objects = objects.len(), version, "listed");
        self.version = Some(version);
        self.good = begin;
        Ok(self.feed.send(vec![Event::Reset(self.selection, objects)]).await?)
    }

    /// Follows the changes until the watch ends as it should.
    async fn watch(&mut self, version: &str) -> Result<(), Stop> {
        let failed = |this: &Self, cause| this.stop(Verb::Watch, cause);
        let time = self.times.watch + self.times.watch.mul_f64(f64::from(random()) / f64::from(u32::MAX) / 3.0);
        let opened = requests::watch(&self.client, self.selection, version, time, self.times.answer).await;
        let mut lines = opened.map_err(|cause| failed(self, cause))?;
        let begin = Instant::now();
        self.good = begin;
        self.recovered().await?;
        let mut heard = false;
        loop {
            let arrived = timeout(self.times.quiet, lines.next()).await;
            if arrived.is_ok() {
                // Whatever arrived: until then we had all changes.
                self.good = Instant::now();
            }
            let arrived = match arrived {
                Ok(Ok(arrived)) => arrived,
                Ok(Err(End::Orderly)) if heard || begin.elapsed() >= self.times.short => return Ok(()),
                Ok(Err(End::Orderly)) => return Err(failed(self, Cause::Short)),
                Ok(Err(End::Broken(why))) => return Err(failed(self, Cause::Broken(why))),
                Ok(Err(End::TooLong)) => return Err(failed(self, Cause::TooLong(LINE_LIMIT))),
                Err(_) => return Err(failed(self, Cause::Quiet(self.times.quiet))),
            };
            let (events, cause) = self.read(&arrived);
            if !events.is_empty() {
                self.feed.send(events).await?;
            }
            if let Some(cause) = cause {
                return Err(failed(self, cause));
            }
            heard = true;
            self.backoff.reset();
        }
    }

    /// Reads lines up to the first error, and remembers the version.
    fn read(&mut self, lines: &[Vec<u8>]) -> (Vec<Event>, Option<Cause>) {
        let mut events = Vec::new();
        for line in lines {
            match decode::line(self.selection, line) {
                Ok(Line::Change(event, version)) => {
                    events.push(event);
                    self.version = Some(version);
                }
                Ok(Line::Bookmark(version)) => self.version = Some(version),
                Ok(Line::Error(status)) => return (events, Some(Cause::of_status(&status))),
                Err(error) => return (events, Some(Cause::Unreadable(error.to_string()))),
            }
        }
        (events, None)
    }

    async fn recovered(&mut self) -> Result<(), SourceError> {
        if self.failing.take().is_none() {
            return Ok(());
        }
        tracing::info!(selection = %self.selection, "the watch has recovered");
        self.feed.send(vec![Event::Current(self.selection)]).await
    }

    /// Reports the fault, decides whether to resume or to list, and waits.
    async fn recover(&mut self, fault: WatchFault) -> Result<(), SourceError> {
        let problem = fault.to_string();
        if fault.cause == Cause::Expired {
            tracing::info!(%problem, "a watch cannot be resumed");
        } else if self.failing.as_ref() != Some(&fault) {
            tracing::warn!(%problem, "the cluster cannot be watched; the last state stays");
        }
        let failure = WatchFailure { since: self.good, problem };
        self.feed.send(vec![Event::Failing(self.selection, failure)]).await?;
        let mut wait = self.backoff.next(random());
        if let Cause::Refused { retry_after: Some(asked), .. } = fault.cause {
            wait = wait.max(asked.min(self.times.most));
        }
        // After a longer time the documents are stale. A list makes them current at once; a resumed watch would catch up at
        // its own speed.
        if fault.cause == Cause::Expired || self.good.elapsed() + wait >= self.times.stale {
            self.version = None;
        }
        self.failing = Some(fault);
        sleep(wait).await;
        Ok(())
    }
}

/// Jitter. Without randomness all retries are in step, which does no harm.
fn random() -> u32 {
    getrandom::u32().unwrap_or(u32::MAX / 2)
}
