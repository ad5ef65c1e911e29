//! Runs `demo --watch`: the clusters keep running while a person edits their manifests.

use std::time::Duration;

use tokio::time::sleep;

use crate::screen::{say, say_of};
use crate::side::{Side, Work};

/// How often files are read and schedules fire; in a cluster the schedule is every 15 seconds.
const PERIOD: Duration = Duration::from_secs(1);

/// Runs until it is interrupted.
pub(crate) async fn watch(sides: &mut [Side; 2]) -> anyhow::Result<()> {
    say("\nWatching. Edit a manifest, for example add the label to Service foo in cluster-b:");
    say("  metadata: {labels: {federation.istio.deckhouse.io/public-service: \"\"}}");
    for side in &*sides {
        say_of(&side.name, side.manifests().display());
    }
    say("Ctrl-C ends the demo.\n");
    let mut shown = [String::new(), String::new()];
    loop {
        sleep(PERIOD).await;
        let mut problems = [String::new(), String::new()];
        // All edits first: their effects show in the other cluster.
        for (side, problem) in sides.iter_mut().zip(&mut problems) {
            collect(problem, read(side));
        }
        for (side, problem) in sides.iter_mut().zip(&mut problems) {
            collect(problem, work(side).await);
        }
        // A half-edited file, or a hook that fails because of an edit, is shown once; then the demo goes on.
        for ((side, problem), shown) in sides.iter().zip(&problems).zip(&shown) {
            if !problem.is_empty() && problem != shown {
                say_of(&side.name, format_args!("PROBLEM: {problem}"));
            }
        }
        shown = problems;
    }
}

fn collect(problem: &mut String, result: anyhow::Result<()>) {
    if let Err(why) = result {
        *problem = format!("{why:#}");
    }
}

fn read(side: &mut Side) -> anyhow::Result<()> {
    for change in side.read_edits()? {
        say_of(&side.name, format_args!("you {change}"));
    }
    Ok(())
}

async fn work(side: &mut Side) -> anyhow::Result<()> {
    let worked = side.work(Work::Tick, &mut Vec::new()).await;
    for line in side.news()? {
        say_of(&side.name, line);
    }
    worked
}
