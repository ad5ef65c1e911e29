//! A real API server accepts every object that hooks make of a peer's data: random documents, near the limits and far from them, go
//! through all hooks, and the server validates the results strictly.

use std::sync::LazyLock;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use istio_federation::api::istio_federation::{API_VERSION, IstioFederation, KIND};
use istio_federation::federation::discovery::{Exchange, Fetch, Pace, PrivateAnswer, StatusContext};
use istio_federation::federation::documents::{self, DocumentError};
use istio_federation::federation::ourselves::Ourselves;
use istio_federation::federation::roster::Roster;
use istio_federation::federation::trust::{Judge, OwnChain};
use istio_federation_e2e::{Helm, accepts, accepts_status, apply};
use istio_federation_testkit::Authority;
use jiff::Timestamp;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::documents::{Document, NAMESPACES, document, service, trust_domain};
use crate::module::{API_VERSIONS, OPERATOR, RELEASE, SCHEMAS, chart};
use crate::server;
use crate::situations::Situation;
use crate::world::make;

/// Number of clusters, and of peers and Services in each.
const WORLDS: usize = 12;
const PEERS: usize = 100;
const SERVICES: usize = 20;

/// Number of offered items, and of accepted ones among them.
#[derive(Debug, Default)]
struct Share {
    offered: usize,
    taken: usize,
}

impl Share {
    fn add(&mut self, taken: bool) {
        self.offered += 1;
        self.taken += usize::from(taken);
    }

    /// Fails if nearly nothing or nearly everything is accepted: that would prove nothing.
    fn check(&self, what: &str) -> Result<()> {
        let Self { offered, taken } = self;
        ensure!(taken * 5 >= *offered && taken * 50 <= offered * 49, "{taken} of {offered} {what} were accepted");
        Ok(())
    }
}

/// Shares of items that hooks accepted, by kind.
#[derive(Debug, Default)]
struct Shares {
    public_documents: Share,
    private_documents: Share,
    certificates: Share,
    services_of_peers: Share,
    services_of_ours: Share,
    federations: Share,
}

impl Shares {
    fn check(&self) -> Result<()> {
        let Self {
            federations,
            public_documents,
            private_documents,
            certificates,
            services_of_peers,
            services_of_ours,
        } = self;
        federations.check("IstioFederations")?;
        public_documents.check("public documents")?;
        private_documents.check("private documents")?;
        certificates.check("lists of certificates")?;
        services_of_peers.check("services of peers")?;
        services_of_ours.check("services of ours")
    }

    /// Counts the services in the status of an IstioFederation.
    fn add_services(&mut self, federation: &Value) {
        let count = |pointer: &str| federation.pointer(pointer).and_then(Value::as_array).map_or(0, Vec::len);
        self.services_of_peers.offered += count("/status/metadataCache/private/publicServices");
        let imported =
            federation["status"]["importedServices"].as_u64().and_then(|number| usize::try_from(number).ok());
        self.services_of_peers.taken += imported.unwrap_or(0);
    }
}

/// An IstioFederation after discovery with these answers.
fn discovered(runner: &mut TestRunner, name: &str, shares: &mut Shares) -> Result<IstioFederation> {
    let domain = tree(runner, &trust_domain(name))?;
    let mut federation: IstioFederation =
        istio_federation_testkit::federation(name).domain(&domain).endpoint("https://127.0.0.1:9/metadata").read();
    let Document { public, private, resolved } = tree(runner, &document(name, &domain))?;
    let ours = ourselves()?;
    let roster = Roster::new(std::slice::from_ref(&federation), &ours);
    let trust_domain = roster.trust_domain_of(name).and_then(Result::ok);
    shares.federations.add(trust_domain.is_some());
    let Some(trust_domain) = trust_domain else { return Ok(federation) };

    let public = fetched(documents::read_public(public.as_bytes()));
    let private = fetched(documents::read_private(private.as_bytes()).map(|document| PrivateAnswer {
        document: documents::normalize(&document),
        complete: document.complete == Some(true),
    }));
    shares.public_documents.add(public.is_good());
    shares.private_documents.add(private.is_good());
    let own_chain = OwnChain::read(&OWN_ROOT)?;
    let judge = Judge::new(&own_chain);
    let context = StatusContext { ours: &ours, judge: Some(&judge), now: Timestamp::now(), pace: Pace::Eager };
    let had_public = public.is_good();
    // The resolver gives addresses; the documents may name anything.
    let parsed = |texts: Vec<String>| texts.iter().filter_map(|text| text.parse().ok()).collect();
    let resolved = resolved.into_iter().map(|(name, texts)| (name, parsed(texts))).collect();
    let exchange = Exchange { public, private, resolved, token_refused: false, unverified: false };
    let status = context.next_status(&federation, trust_domain, exchange).status;
    if had_public {
        shares.certificates.add(status.metadata_cache.as_ref().is_some_and(|cache| !cache.anchors.is_empty()));
    }
    federation.status = Some(status);
    Ok(federation)
}

fn fetched<T>(document: Result<T, DocumentError>) -> Fetch<T> {
    match document {
        Ok(document) => Fetch::Fresh { document, etag: Some("\"1\"".to_owned()) },
        Err(error) => Fetch::Failed { reason: error.reason(), message: error.to_string() },
    }
}

static OWN_ROOT: LazyLock<String> = LazyLock::new(|| Authority::root("Our own root").pem());

fn settings() -> Value {
    json!({"federation": {"enabled": true, "clusterDomain": "cluster-a.local",
        "metadataExporter": {"image": "registry.example.com/istio-federation:v0.1.0"}}})
}

fn ourselves() -> Result<Ourselves> {
    Ok(Ourselves::from_values(&serde_json::from_value(json!({"istio": settings()}))?, Some("ours"))?)
}

fn tree<T: std::fmt::Debug>(runner: &mut TestRunner, strategy: &impl Strategy<Value = T>) -> Result<T> {
    Ok(strategy.new_tree(runner).map_err(anyhow::Error::msg)?.current())
}

fn as_object(federation: &IstioFederation) -> Result<Value> {
    let mut object = serde_json::to_value(federation)?;
    object["apiVersion"] = json!(API_VERSION);
    object["kind"] = json!(KIND);
    Ok(object)
}

#[tokio::test]
#[expect(clippy::print_stdout, reason = "the numbers show how much was tried")]
async fn a_real_server_accepts_everything_that_hooks_accept_of_hostile_documents() -> Result<()> {
    let begin = Instant::now();
    let (server, client) = server::start("chart-accepts").await?;
    let namespaces =
        NAMESPACES.map(|name| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}));
    apply(&client, &namespaces).await?;
    let helm = Helm::on(&server)?;
    let validator = jsonschema::options().should_validate_formats(true).build(&SCHEMAS.values)?;
    let mut runner = TestRunner::default();
    let mut shares = Shares::default();
    let (mut entries, mut gateways, mut rendered, mut statuses) = (0, 0, 0, 0);
    for world in 0..WORLDS {
        let mut peers = Vec::new();
        for peer in 0..PEERS {
            let federation = discovered(&mut runner, &format!("peer-{peer:03}"), &mut shares)?;
            peers.push(as_object(&federation)?);
        }
        // Hooks never see objects that the server refuses.
        let mut services = Vec::new();
        for number in 0..SERVICES {
            let service = tree(&mut runner, &service(number))?;
            if accepts(&client, std::slice::from_ref(&service)).await.is_ok() {
                services.push(service);
            }
        }
        let labelled = services.len();
        let situation = Situation {
            name: "hostile",
            global: Value::Null,
            settings: settings(),
            peers: peers.into_iter().chain(namespaces.clone()).chain(services).collect(),
            exported: Vec::new(),
        };
        let made = make(situation).await.with_context(|| format!("world {world}"))?;

        let of_kind =
            |kind: &str| made.objects.iter().filter(|object| object["kind"] == kind).cloned().collect::<Vec<_>>();
        let (new_entries, new_gateways) = (of_kind("ServiceEntry"), of_kind("Gateway"));
        entries += accepts(&client, &new_entries).await?;
        gateways += accepts(&client, &new_gateways).await?;
        made.federations.iter().for_each(|federation| shares.add_services(federation));
        let hosts = |gateway: &Value| gateway["spec"]["servers"][0]["hosts"].as_array().map_or(0, Vec::len);
        let exported: usize = new_gateways.iter().map(hosts).sum();
        shares.services_of_ours.offered += labelled;
        shares.services_of_ours.taken += exported;

        apply(&client, &made.federations).await.context("IstioFederations")?;
        statuses += accepts_status(&client, &made.federations).await?;

        let problems: Vec<String> = validator
            .iter_errors(&made.values["istio"])
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        ensure!(problems.is_empty(), "values: {}", problems.join("\n"));
        let objects = helm.template(RELEASE, OPERATOR, chart(), &made.values, &API_VERSIONS).await?;
        rendered += accepts(&client, &objects).await?;
    }
    println!(
        "{} documents in {:.0?}: {shares:#?}\naccepted by the API server: {entries} ServiceEntries, {gateways} Gateways, \
         {statuses} statuses of IstioFederations, {rendered} rendered objects",
        2 * WORLDS * PEERS,
        begin.elapsed(),
    );
    shares.check()?;
    ensure!(entries > WORLDS * PEERS / 4 && gateways > WORLDS / 2 && statuses > WORLDS * PEERS / 2);
    server.stop();
    Ok(())
}
