//! Keeps objects as files that a person can edit: one YAML file per object.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;
use thiserror::Error;

use super::{ApiError, Change, Cluster, Key};

/// Why a folder of manifests cannot be read or written.
#[derive(Debug, Error)]
pub enum FolderError {
    /// The file system refused.
    #[error("{path}: {why}", path = path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        why: std::io::Error,
    },
    /// Not YAML or JSON.
    #[error("{path}: not YAML: {why}", path = path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The parser's reason.
        why: String,
    },
    /// Not a valid object.
    #[error("{path}: {why}", path = path.display())]
    Object {
        /// The file.
        path: PathBuf,
        /// The reason.
        why: ApiError,
    },
    /// The same object twice.
    #[error("{path}: {key} is also in {other}", path = path.display(), other = other.display())]
    Twice {
        /// The second file.
        path: PathBuf,
        /// The object.
        key: String,
        /// The first file.
        other: PathBuf,
    },
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> FolderError {
    let path = path.to_owned();
    move |why| FolderError::Io { path, why }
}

/// Reads all manifests of a folder: `*.yaml`, `*.yml` and `*.json`, each with one or more documents.
pub fn read_manifests(folder: &Path) -> Result<BTreeMap<Key, (PathBuf, Value)>, FolderError> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(io(folder))? {
        let path = entry.map_err(io(folder))?.path();
        if path.extension().is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|known| extension == *known)) {
            paths.push(path);
        }
    }
    paths.sort();
    let mut found: BTreeMap<Key, (PathBuf, Value)> = BTreeMap::new();
    for path in paths {
        let text = fs::read_to_string(&path).map_err(io(&path))?;
        let documents: Vec<Value> = serde_saphyr::from_multiple(&text)
            .map_err(|why| FolderError::Syntax { path: path.clone(), why: why.to_string() })?;
        for object in documents.into_iter().filter(|document| !document.is_null()) {
            let key = Key::of(&object).map_err(|why| FolderError::Object { path: path.clone(), why })?;
            if let Some((other, _)) = found.get(&key) {
                return Err(FolderError::Twice { path, key: key.to_string(), other: other.clone() });
            }
            found.insert(key, (path.clone(), object));
        }
    }
    Ok(found)
}

/// The folder of a [`Cluster`]: changes by hooks are written there, changes by a person are read.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// The objects as they were when folder and cluster last agreed.
    known: BTreeMap<Key, Value>,
}

impl Folder {
    /// A folder for objects; made if it does not exist.
    pub fn new(path: &Path) -> Result<Self, FolderError> {
        fs::create_dir_all(path).map_err(io(path))?;
        Ok(Self { path: path.to_owned(), known: BTreeMap::new() })
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file of an object.
    #[must_use]
    pub fn file(&self, key: &Key) -> PathBuf {
        let namespace = if key.namespace.is_empty() { String::new() } else { format!("{}_", key.namespace) };
        self.path.join(format!("{}_{namespace}{}.yaml", key.kind.to_lowercase(), key.name))
    }

    /// Writes the objects that `changes` name, each file at once, so that nobody reads half of one.
    pub fn save(&mut self, cluster: &Cluster, changes: &[Change]) -> Result<(), FolderError> {
        for Change { key, .. } in changes {
            let path = self.file(key);
            let Some(object) = cluster.get(key) else {
                self.known.remove(key);
                match fs::remove_file(&path) {
                    Err(why) if why.kind() != std::io::ErrorKind::NotFound => return Err(io(&path)(why)),
                    _ => continue,
                }
            };
            if self.known.get(key) == Some(object) {
                continue;
            }
            let text = serde_saphyr::to_string(object)
                .map_err(|why| FolderError::Syntax { path: path.clone(), why: why.to_string() })?;
            let mut file = tempfile::NamedTempFile::new_in(&self.path).map_err(io(&path))?;
            file.write_all(text.as_bytes()).map_err(io(&path))?;
            file.persist(&path).map_err(|why| io(&path)(why.error))?;
            self.known.insert(key.clone(), object.clone());
        }
        Ok(())
    }

    /// Applies the changes of a person in the folder. The objects of a file with another name than ours get files of
    /// their own, and that file goes.
    pub fn read_edits(&mut self, cluster: &mut Cluster) -> Result<(), FolderError> {
        let found = read_manifests(&self.path)?;
        let gone: Vec<Key> = self.known.keys().filter(|key| !found.contains_key(*key)).cloned().collect();
        for key in gone {
            cluster.delete(&key);
            self.known.remove(&key);
        }
        let mut adopted = Vec::new();
        for (key, (path, object)) in found {
            if path != self.file(&key) {
                self.known.remove(&key);
                adopted.push(path.clone());
            } else if self.known.get(&key) == Some(&object) {
                continue;
            }
            cluster.put(object).map_err(|why| FolderError::Object { path, why })?;
            if let Some(object) = cluster.get(&key) {
                self.save(cluster, &[Change { verb: super::Verb::Created, key: key.clone() }])?;
                self.known.insert(key, object.clone());
            }
        }
        adopted.dedup();
        for path in adopted {
            if path.exists() && !self.known.keys().any(|key| self.file(key) == path) {
                fs::remove_file(&path).map_err(io(&path))?;
            }
        }
        cluster.collect_garbage();
        Ok(())
    }
}
