//! Measures a run of the hook executable, and its growth with the number of imported services. `make bench` writes
//! `benches/RESULTS.md`. Absolute times differ between machines: compare them with the empty process of the same run.

mod growth;
mod process;
mod worlds;

use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;

use process::{Figures, Measured};

/// Variable with the path of the static hook executable, set by the Makefile.
const HOOKS: &str = "HOOKS";
/// Argument of a process of this program that measures one scenario: the kernel keeps only the largest child so far.
const SCENARIO: &str = "--scenario";

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().collect();
    if let Some(place) = args.iter().position(|argument| argument == SCENARIO) {
        return process::measure(&args[place + 1..]);
    }
    let hooks = std::env::var(HOOKS).map_err(|_| "HOOKS has to name the hook executable: run `make bench`")?;
    let folder = tempfile::tempdir()?;
    let figures = Figures::new(Path::new(&hooks), folder.path());

    let mut report = String::from(HEADER);
    let empty = figures.run("list", &["hook", "list"], None)?;
    row(&mut report, "`hook list`: the process alone", &empty, &empty)?;
    let small = worlds::small()?;
    writeln!(
        report,
        "\nEach hook on a context of {} KB, without network (budget: 5 ms, 10 MB):\n",
        small.context_kb()
    )?;
    report.push_str(TABLE);
    for hook in worlds::HOOKS {
        let measured = figures.run(hook, &[], Some(&small))?;
        row(&mut report, hook, &measured, &empty)?;
        budget(hook, measured.median_ms, 5.0);
        budget(&format!("memory of {hook}"), measured.memory_mb, 10.0);
    }
    let large = worlds::large(10)?;
    writeln!(
        report,
        "\n10 000 services of ten peers and their ServiceEntries in a context of {} KB, one changed\n\
         (budget of `imported_services`: one patch, 100 ms). No peer is due, so `federation_discovery` sends nothing:\n",
        large.context_kb()
    )?;
    report.push_str(TABLE);
    let huge = worlds::large(100)?;
    let mut whole = Vec::new();
    for (name, hook, world) in [
        ("imported_services", "imported_services", &large),
        ("imported_services, indented", "imported_services", &worlds::spaced(&large)?),
        ("federation_discovery", "federation_discovery", &large),
        ("imported_services, 100 peers", "imported_services", &huge),
    ] {
        let measured = figures.run(hook, &[], Some(world))?;
        row(&mut report, name, &measured, &empty)?;
        if hook == "imported_services" {
            assert_eq!(measured.patches, 1, "one service changed");
            whole.push(measured.fastest_ms);
        }
    }
    budget("imported_services", whole[0], 100.0);
    report.push_str("\nGrowth from 10 to 100 peers with 1 000 services each (budget: 11 times):\n\n");
    report.push_str("| | 10 peers | 100 peers | ratio |\n| --- | --- | --- | --- |\n");
    let [few, many] = [growth::merge_and_plan(10)?, growth::merge_and_plan(100)?];
    let mut hooks = Vec::new();
    for hook in ["federation_merge", "federation_discovery", "trust_anchors"] {
        let [few, many] = [figures.run(hook, &[], Some(&large))?, figures.run(hook, &[], Some(&huge))?];
        hooks.push((hook, few.fastest_ms, many.fastest_ms));
    }
    let parts = [
        ("imported_services", whole[0], whole[2]),
        ("its merge of the peers' offers", few[0], many[0]),
        ("its plan against existing objects", few[1], many[1]),
    ];
    for (name, few, many) in hooks.into_iter().chain(parts) {
        writeln!(report, "| {name} | {few:.1} ms | {many:.1} ms | {:.1} |", many / few)?;
        budget(&format!("growth of {name}"), many / few, 11.0);
    }
    print(&report);
    std::fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/RESULTS.md"), report)?;
    Ok(())
}

const HEADER: &str = "# Figures\n\nWritten by `make bench`: release build, static musl executable, two cores. Times include the start of the process.\n\
    The last column compares with a process that only starts and lists its hooks.\n\n| | median | fastest | memory | patches | relative to the empty process |\n| --- | --- | --- | --- | --- | --- |\n";
const TABLE: &str = "| | median | fastest | memory | patches | relative to the empty process |\n| --- | --- | --- | --- | --- | --- |\n";

fn row(report: &mut String, name: &str, measured: &Measured, empty: &Measured) -> std::fmt::Result {
    let ratio = measured.median_ms / empty.median_ms;
    let Measured { median_ms, fastest_ms, memory_mb, patches, .. } = measured;
    writeln!(report, "| {name} | {median_ms:.2} ms | {fastest_ms:.2} ms | {memory_mb:.1} MB | {patches} | {ratio:.1} |")
}

/// Prints a warning if a figure exceeds its budget. Not a test: on a busy machine, figures vary too much.
#[expect(clippy::print_stderr, reason = "a program for people")]
fn budget(name: &str, measured: f64, budget: f64) {
    if measured > budget {
        eprintln!("over budget: {name}: {measured:.2} (of {budget})");
    }
}

#[expect(clippy::print_stdout, reason = "a program for people")]
fn print(report: &str) {
    print!("{report}");
}
