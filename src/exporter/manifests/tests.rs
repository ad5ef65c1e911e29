//! A folder of manifests: reading it, changes, and mistakes in it.

use istio_federation_testkit::manifests::exported;

use super::*;

const SERVICE: &str = r#"{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "bar", "namespace": "xyz",
    "labels": {"federation.istio.deckhouse.io/public-service": ""}}, "spec": {"ports": [{"name": "http", "port": 80}]}}"#;

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn keys(files: &[(&str, &str)]) -> Result<Vec<String>, String> {
    let folder = folder(files);
    let text = |error: FolderError| error.to_string().replace(&folder.path().display().to_string(), "DIR");
    Ok(read(folder.path()).map_err(text)?.iter().map(|object| object.key().to_string()).collect())
}

fn yaml_service(name: &str) -> String {
    serde_saphyr::to_string(&exported("xyz", name, "http", 80)).unwrap()
}

#[test]
fn every_form_of_manifest_is_read() {
    let two = format!("{}---\n# nothing\n---\n{}", yaml_service("a"), yaml_service("b"));
    let list = format!(r#"{{"apiVersion": "v1", "kind": "List", "items": [{SERVICE}]}}"#);
    let typed = "apiVersion: v1\nkind: NodeList\nitems: [{metadata: {name: n1}}, {metadata: {name: n2}}]\n";
    let files = [
        ("a.yaml", two.as_str()),
        ("deep/er/list.json", &list),
        ("nodes.yml", typed),
        ("README.md", "not a manifest: ["),
        (".hidden.yaml", "not: [yaml"),
        (".git/x.yaml", "not: [yaml"),
        ("a.yaml~", "not: [yaml"),
        ("other.yaml", "apiVersion: apps/v1\nkind: Deployment\n"),
        ("two.json", "{} {\"kind\": \"List\"}"),
    ];
    assert_eq!(keys(&files).unwrap(), ["Service xyz/a", "Service xyz/b", "Service xyz/bar", "Node n1", "Node n2"]);
}

#[test]
fn a_mistake_is_reported_with_its_file() {
    let fails = |name: &str, text: &str| keys(&[("good.json", SERVICE), (name, text)]).unwrap_err();
    assert!(fails("bad.yaml", "a: [").starts_with("DIR/bad.yaml: not YAML at line "));
    assert!(fails("bad.json", "{\"a\"").starts_with("DIR/bad.json: not JSON: "));
    assert!(fails("bad.json", "").starts_with("DIR/bad.json: the file is empty: wait"));
    let nameless = "apiVersion: v1\nkind: Service\n";
    assert_eq!(fails("bad.yaml", nameless), "DIR/bad.yaml: Service: metadata.name is missing");
    assert_eq!(fails("other.json", SERVICE), "Service xyz/bar is in DIR/good.json and in DIR/other.json");
    assert_eq!(keys(&[]).unwrap_err(), "DIR: there is no *.yaml, *.yml or *.json file in it");
    assert!(read(Path::new("does/not/exist")).unwrap_err().to_string().starts_with("does/not/exist: "));
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: d8-remote-authn-keypair, namespace: d8-istio}\n\
        data: {pub.pem: s3cr3t!}\n";
    assert!(!fails("bad.yaml", secret).contains("s3cr3t"));
}

/// The batches of a source.
struct Fed {
    events: mpsc::Receiver<Vec<Event>>,
}

impl Fed {
    fn by(folder: &tempfile::TempDir) -> Self {
        let (feed, events) = Feed::new();
        tokio::spawn(Manifests::new(folder.path().to_owned()).run(feed));
        Self { events }
    }

    async fn batch(&mut self) -> Vec<Event> {
        timeout(Duration::from_mins(1), self.events.recv()).await.expect("a batch").unwrap()
    }

    /// The Services of the next batch.
    async fn next(&mut self) -> Vec<String> {
        let (mut names, mut read) = (Vec::new(), 0);
        for event in self.batch().await {
            match event {
                Event::Reset(Selection::ExportedServices, objects) => {
                    names.extend(objects.iter().map(|object| object.key().name));
                }
                Event::Reset(..) => {}
                Event::Current(_) => read += 1,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(read, Selection::ALL.len(), "everything at once");
        names
    }

    /// A broken folder is reported and changes nothing.
    async fn fails(&mut self) {
        let batch = self.batch().await;
        assert!(batch.iter().all(|event| matches!(event, Event::Failing(..))), "{batch:?}");
    }
}

#[tokio::test]
async fn a_change_is_read() {
    let folder = folder(&[("a.yaml", &yaml_service("a"))]);
    let mut fed = Fed::by(&folder);
    assert_eq!(fed.next().await, ["a"]);
    fs::write(folder.path().join("b.yaml"), yaml_service("b")).unwrap();
    assert_eq!(fed.next().await, ["a", "b"]);
    // Editors and mounted ConfigMaps replace files by renaming.
    fs::write(folder.path().join(".new"), yaml_service("c")).unwrap();
    fs::rename(folder.path().join(".new"), folder.path().join("a.yaml")).unwrap();
    assert_eq!(fed.next().await, ["b", "c"]);
    fs::remove_file(folder.path().join("b.yaml")).unwrap();
    assert_eq!(fed.next().await, ["c"]);
    fs::create_dir(folder.path().join("new")).unwrap();
    fs::write(folder.path().join("new/d.yaml"), yaml_service("d")).unwrap();
    assert_eq!(fed.next().await, ["c", "d"]);
}

#[tokio::test]
async fn a_broken_file_leaves_everything_as_it_was() {
    let folder = folder(&[("a.yaml", &yaml_service("a"))]);
    let mut fed = Fed::by(&folder);
    assert_eq!(fed.next().await, ["a"]);
    for broken in ["a: [", ""] {
        fs::write(folder.path().join("b.yaml"), broken).unwrap();
        fed.fails().await;
        fs::write(folder.path().join("b.yaml"), yaml_service("b")).unwrap();
        assert_eq!(fed.next().await, ["a", "b"]);
    }
    fs::remove_dir_all(folder.path()).unwrap();
    fed.fails().await;
}

#[tokio::test]
async fn a_folder_that_is_broken_from_the_start_hands_over_nothing() {
    let folder = folder(&[("a.yaml", "a: [")]);
    let mut fed = Fed::by(&folder);
    fed.fails().await;
    fs::write(folder.path().join("a.yaml"), yaml_service("a")).unwrap();
    assert_eq!(fed.next().await, ["a"]);
}
