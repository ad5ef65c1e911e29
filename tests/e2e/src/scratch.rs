//! The folder of a run: temporary data, and logs that stay after a failure.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Context;

static RUNS: AtomicU32 = AtomicU32::new(0);

/// `target/e2e/<name>-<process>-<number>` with `data` and `logs`. A test that passed calls [`Scratch::remove`]. Otherwise, dropping it
/// keeps the logs and prints their path, and the next run with the same name removes them.
#[derive(Debug)]
pub struct Scratch {
    folder: PathBuf,
}

impl Scratch {
    /// Makes the folder, and removes folders of this name that ended processes left behind.
    pub fn new(name: &str) -> anyhow::Result<Self> {
        let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/e2e");
        fs::create_dir_all(&all).with_context(|| all.display().to_string())?;
        let all = all.canonicalize()?;
        remove_left_behind(&all, name);
        let number = RUNS.fetch_add(1, Ordering::Relaxed);
        let scratch = Self { folder: all.join(format!("{name}-{}-{number}", std::process::id())) };
        for folder in [scratch.data(), scratch.logs()] {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&folder)
                .with_context(|| folder.display().to_string())?;
        }
        Ok(scratch)
    }

    /// Folder for the components' data, keys and configuration.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Folder for logs, one file per component.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.folder.join("logs")
    }

    /// Removes everything, after a test that passed.
    pub fn remove(self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Drop for Scratch {
    #[expect(clippy::print_stderr, reason = "the path of the logs belongs in the output of a failed test")]
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(self.data());
        if self.folder.exists() {
            eprintln!("logs are in {}", self.logs().display());
        }
    }
}

fn remove_left_behind(all: &Path, name: &str) {
    for entry in fs::read_dir(all).into_iter().flatten().flatten() {
        let file_name = entry.file_name();
        let process = file_name
            .to_str()
            .and_then(|full| full.strip_prefix(name)?.strip_prefix('-')?.split_once('-'))
            .map(|(process, _)| process);
        if process.is_some_and(|process| process.parse::<u32>().is_ok() && !Path::new("/proc").join(process).exists()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
