//! A folder of Kubernetes manifests as a source, read again when something in it changes.
//!
//! A folder that cannot be read as a whole changes nothing: the last state stays.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use serde_json::Value;
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout};

use super::index::{Event, WatchFailure};
use super::object::{Object, ObjectError, ObjectKey};
use super::selection::Selection;
use super::source::{Feed, Source, SourceError};
use super::yaml;

/// Most bytes of a file.
const FILE_LIMIT: u64 = 64 << 20;
/// Most files of a folder.
const FILES_LIMIT: usize = 20_000;
const DEPTH_LIMIT: usize = 16;
/// How long nothing must change before the folder is read: saving a file touches it several times.
const QUIET: Duration = Duration::from_millis(100);
/// The folder is read after this time even if changes go on.
const RESTLESS: Duration = Duration::from_secs(2);
/// The folder is read again after this time without a notification: they get lost, on network file systems always.
const REREAD: Duration = Duration::from_secs(10);

/// Why a folder is not a set of manifests.
#[derive(Debug, Error)]
pub(super) enum FolderError {
    #[error("{path}: {cause}", path = .path.display())]
    Io { path: PathBuf, cause: io::Error },
    #[error("{path}: there is no *.yaml, *.yml or *.json file in it", path = .0.display())]
    NoFiles(PathBuf),
    #[error("{path}: {what}", path = .path.display())]
    Limit { path: PathBuf, what: String },
    /// An empty file: probably it is being written.
    #[error("{path}: the file is empty: wait until it is written, or delete it", path = .0.display())]
    Empty(PathBuf),
    #[error("{path}: {problem}", path = .path.display())]
    Syntax { path: PathBuf, problem: String },
    #[error("{path}: {cause}", path = .path.display())]
    Object {
        path: PathBuf,
        /// The problem.
        cause: ObjectError,
    },
    #[error("{key} is in {one} and in {other}", one = .one.display(), other = .other.display())]
    Twice { key: ObjectKey, one: PathBuf, other: PathBuf },
    /// It changed while it was read.
    #[error("{path}: the folder is changing", path = .0.display())]
    Changing(PathBuf),
}

/// A folder of manifests (YAML of several documents, JSON, `List` kinds; with its subfolders).
#[derive(Clone, Debug)]
pub(super) struct Manifests {
    folder: PathBuf,
}

impl Manifests {
    /// The manifests of `folder`.
    #[must_use]
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }
}

impl Source for Manifests {
    async fn run(self, feed: Feed) -> SourceError {
        let (touched, mut changes) = mpsc::channel(1);
        // Watched before it is first read, so that no change is missed.
        let _watcher = watch(&self.folder, touched);
        let mut last: Option<Result<Vec<Object>, String>> = None;
        loop {
            let folder = self.folder.clone();
            let read = match spawn_blocking(move || read(&folder)).await {
                Ok(read) => read.map_err(|error| error.to_string()),
                Err(_) => return SourceError::Broken("reading the manifests was interrupted".to_owned()),
            };
            if last.as_ref() != Some(&read) {
                let events = match &read {
                    Ok(objects) => {
                        tracing::info!(folder = %self.folder.display(), objects = objects.len(), "manifests read");
                        Selection::ALL.into_iter().flat_map(|selection| reset(selection, objects)).collect()
                    }
                    Err(error) => {
                        tracing::warn!(%error, "the manifests cannot be read; the last state stays");
                        let failure = WatchFailure { since: Instant::now(), problem: error.clone() };
                        Selection::ALL.into_iter().map(|one| Event::Failing(one, failure.clone())).collect()
                    }
                };
                if let Err(error) = feed.send(events).await {
                    return error;
                }
                last = Some(read);
            }
            wait(&mut changes).await;
        }
    }
}

fn watch(folder: &Path, touched: mpsc::Sender<()>) -> Option<RecommendedWatcher> {
    let handler = move |event: notify::Result<notify::Event>| {
        // Our own reads are reported as well.
        if !event.is_ok_and(|event| matches!(event.kind, EventKind::Access(_))) {
            // A full channel already holds a notification.
            let _ = touched.try_send(());
        }
    };
    let watcher = notify::recommended_watcher(handler).and_then(|mut watcher| {
        watcher.watch(folder, RecursiveMode::Recursive)?;
        Ok(watcher)
    });
    watcher
        .inspect_err(|error| {
            tracing::warn!(%error, every = ?REREAD, "the folder cannot be watched; it is read periodically");
        })
        .ok()
}

/// Waits until the folder has changed and nothing changes for [`QUIET`], or for [`REREAD`].
async fn wait(changes: &mut mpsc::Receiver<()>) {
    match timeout(REREAD, changes.recv()).await {
        Ok(Some(())) => {
            let rest = async { while matches!(timeout(QUIET, changes.recv()).await, Ok(Some(()))) {} };
            // On timeout the folder is read while it changes, and the reader reports that.
            let _ = timeout(RESTLESS, rest).await;
        }
        // Without a watcher there are no notifications.
        Ok(None) => sleep(REREAD).await,
        Err(_) => {}
    }
}

fn reset(selection: Selection, objects: &[Object]) -> [Event; 2] {
    let objects = objects.iter().filter(|object| selection.holds(object)).cloned().collect();
    [Event::Reset(selection, objects), Event::Current(selection)]
}

/// Reads all manifests of a folder that the exporter uses, in the order of their keys.
pub(super) fn read(folder: &Path) -> Result<Vec<Object>, FolderError> {
    let files = files(folder)?;
    if files.is_empty() {
        return Err(FolderError::NoFiles(folder.to_owned()));
    }
    let mut found: BTreeMap<ObjectKey, (Object, &Path)> = BTreeMap::new();
    for path in files.keys() {
        for manifest in manifests(path)? {
            let object = Object::read(manifest).map_err(|cause| FolderError::Object { path: path.clone(), cause })?;
            let Some(object) = object else { continue };
            let key = object.key();
            if let Some((_, one)) = found.get(&key) {
                return Err(FolderError::Twice { key, one: one.to_path_buf(), other: path.clone() });
            }
            found.insert(key, (object, path));
        }
    }
    if self::files(folder)? != files {
        return Err(FolderError::Changing(folder.to_owned()));
    }
    Ok(found.into_values().map(|(object, _)| object).collect())
}

type Stamp = (u64, Option<SystemTime>);

/// Files with manifests, each with length and time. Names that begin with a dot are skipped: they belong to editors, or to
/// the links of a mounted ConfigMap.
fn files(folder: &Path) -> Result<BTreeMap<PathBuf, Stamp>, FolderError> {
    let mut found = BTreeMap::new();
    let mut open = vec![(folder.to_owned(), 0)];
    while let Some((folder, depth)) = open.pop() {
        let failed = |cause| FolderError::Io { path: folder.clone(), cause };
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            let path = entry.path();
            // Follows links.
            let meta = fs::metadata(&path).map_err(|cause| FolderError::Io { path: path.clone(), cause })?;
            let limit = |what: String| FolderError::Limit { path: path.clone(), what };
            if meta.is_dir() {
                if depth == DEPTH_LIMIT {
                    return Err(limit(format!("more than {DEPTH_LIMIT} folders deep")));
                }
                open.push((path, depth + 1));
            } else if is_manifest(&path) {
                if meta.len() > FILE_LIMIT {
                    return Err(limit(format!("the file has more than {FILE_LIMIT} bytes")));
                }
                if found.len() == FILES_LIMIT {
                    return Err(limit(format!("there are more than {FILES_LIMIT} files")));
                }
                found.insert(path, (meta.len(), meta.modified().ok()));
            }
        }
    }
    Ok(found)
}

fn is_manifest(path: &Path) -> bool {
    path.extension().is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|known| extension == *known))
}

fn manifests(path: &Path) -> Result<Vec<Value>, FolderError> {
    let text = fs::read_to_string(path).map_err(|cause| FolderError::Io { path: path.to_owned(), cause })?;
    if text.is_empty() {
        return Err(FolderError::Empty(path.to_owned()));
    }
    let syntax = |problem: String| FolderError::Syntax { path: path.to_owned(), problem };
    let documents = if path.extension().is_some_and(|extension| extension == "json") {
        let documents = serde_json::Deserializer::from_str(&text).into_iter::<Value>();
        documents.collect::<Result<Vec<_>, _>>().map_err(|error| syntax(format!("not JSON: {error}")))?
    } else {
        yaml::documents(&text).map_err(|error| syntax(error.to_string()))?
    };
    Ok(documents.into_iter().flat_map(unlisted).collect())
}

/// The items of a `List` (or `ServiceList` and so on), or the manifest itself.
fn unlisted(mut manifest: Value) -> Vec<Value> {
    let Some(of) = manifest.get("kind").and_then(Value::as_str).and_then(|kind| kind.strip_suffix("List")) else {
        return vec![manifest];
    };
    let of = of.to_owned();
    let version = manifest.get("apiVersion").cloned();
    let Some(Value::Array(mut items)) = manifest.get_mut("items").map(Value::take) else { return Vec::new() };
    if !of.is_empty() {
        // Items of a typed list need not repeat its kind.
        for item in items.iter_mut().filter_map(Value::as_object_mut) {
            item.entry("kind").or_insert_with(|| Value::String(of.clone()));
            if let Some(version) = &version {
                item.entry("apiVersion").or_insert_with(|| version.clone());
            }
        }
    }
    items
}

#[cfg(test)]
mod tests;
