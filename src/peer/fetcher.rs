//! One exchange with a peer: public document, token, private document, gateway names; all before one deadline.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use jiff::Timestamp;

use super::{
    Answer, Client, FetchError, FetchFault, Limits, ServerTrust, SigningKey, VerifyingKey, claims_for, endpoint,
    host_of, sign,
};
use crate::api::istio_federation::{IstioFederation, MetadataCache};
use crate::api::metadata::{PRIVATE_PATH, PUBLIC_PATH, PublicMetadata};
use crate::federation::discovery::{Exchange, Fetch, PrivateAnswer};
use crate::federation::documents;
use crate::federation::offer::{GATEWAY_LIMIT, gateway_name};
use crate::federation::reasons;
use crate::federation::roster::{ClaimError, Roster, current_cache_of};

/// This cluster as a client of its peers, for one run of discovery.
#[derive(Debug)]
pub struct PeerFetcher<'a> {
    /// Signs our tokens.
    pub key: &'a SigningKey,
    /// Our cluster UUID.
    pub uuid: &'a str,
    /// The UUIDs that peers may claim; shared by all exchanges of a run.
    pub roster: &'a Mutex<Roster>,
    /// The issue time of tokens.
    pub now: Timestamp,
    /// Limits of each exchange.
    pub limits: Limits,
}

impl PeerFetcher<'_> {
    /// Fetches both documents of a peer. Ends at `run_end` at the latest, whatever the peer does. `None` if the exchange
    /// failed because the run ended early; that says nothing about the peer.
    #[must_use]
    pub fn fetch(&self, federation: &IstioFederation, run_end: Instant) -> Option<Exchange> {
        let start = Instant::now();
        let deadline = run_end.min(start + self.limits.exchange);
        let exchange = self.exchange(federation, deadline);
        // Even the first peer starts a moment after the run.
        let enough = self.limits.exchange / 5 * 4;
        let cut_short = deadline.saturating_duration_since(start) < enough && Instant::now() >= deadline;
        let failed =
            matches!(exchange.public, Fetch::Failed { .. }) || matches!(exchange.private, Fetch::Failed { .. });
        (!(cut_short && failed)).then_some(exchange)
    }

    fn exchange(&self, federation: &IstioFederation, deadline: Instant) -> Exchange {
        let spec = &federation.spec;
        let name = federation.metadata.name.as_str();
        let cache = current_cache_of(federation);
        let client =
            ServerTrust::from_spec(spec.metadata.as_ref()).map_err(super::ClientError::from).and_then(|trust| {
                Client::new(&trust, self.limits).map(|client| (matches!(trust, ServerTrust::Insecure), client))
            });
        let (unverified, client) = match client {
            Ok(client) => client,
            Err(error) => {
                return Exchange {
                    public: Fetch::Failed { reason: error.reason(), message: error.to_string() },
                    private: Fetch::awaiting_public(),
                    resolved: BTreeMap::new(),
                    token_refused: false,
                    unverified: false,
                };
            }
        };

        let etag = cache.filter(|cache| cache.public.is_some()).and_then(|cache| cache.public_etag.as_deref());
        let url = endpoint(&spec.metadata_endpoint, PUBLIC_PATH);
        let public = read_answer(client.get(&url, None, etag, deadline), &url, read_public);
        let identity = match &public {
            Fetch::Fresh { document, .. } => self.claim(name, &document.cluster_uuid).map(Some),
            _ => self.roster.lock().unwrap_or_else(PoisonError::into_inner).identity(name),
        };
        let (private, token_refused) = match &identity {
            Ok(Some(uuid)) => self.private(&client, federation, cache, uuid, deadline),
            Ok(None) | Err(_) => (Fetch::awaiting_public(), false),
        };
        let resolved = resolve_names(&private, cache, deadline);
        let mut exchange = Exchange { public, private, resolved, token_refused, unverified };
        if let Err(error) = identity
            && exchange.public.is_good()
        {
            exchange.refuse(&error);
        }
        exchange
    }

    fn claim(&self, name: &str, uuid: &str) -> Result<String, ClaimError> {
        let mut roster = self.roster.lock().unwrap_or_else(PoisonError::into_inner);
        roster.claim(name, uuid).map(|()| uuid.to_owned())
    }

    /// The private document, and whether the peer refused our token.
    fn private(
        &self,
        client: &Client,
        federation: &IstioFederation,
        cache: Option<&MetadataCache>,
        peer: &str,
        deadline: Instant,
    ) -> (Fetch<PrivateAnswer>, bool) {
        let url = endpoint(&federation.spec.metadata_endpoint, PRIVATE_PATH);
        let token = sign(self.key, &claims_for(self.uuid, peer, host_of(&url).ok(), self.now));
        // An item is withdrawn when a second fresh document lacks it. While one is missing, an unchanged document has to
        // count as fresh, so no entity tag is sent.
        let etag = cache
            .filter(|cache| cache.private.is_some() && cache.absent.is_empty())
            .and_then(|cache| cache.private_etag.as_deref());
        let answer = client.get(&url, Some(&token), etag, deadline);
        let refused = matches!(&answer, Err(error) if matches!(error.fault, FetchFault::Unauthorized { .. }));
        let private = read_answer(answer, &url, |body| {
            let document = documents::read_private(body).map_err(|error| (error.reason(), error.to_string()))?;
            let complete = document.complete == Some(true);
            Ok(PrivateAnswer { document: documents::normalize(&document), complete })
        });
        (private, refused)
    }
}

fn read_public(body: &[u8]) -> Result<PublicMetadata, (&'static str, String)> {
    let document = documents::read_public(body).map_err(|error| (error.reason(), error.to_string()))?;
    VerifyingKey::from_pem(&document.authn_key_pub).map_err(|error| {
        (reasons::INVALID_PUBLIC_METADATA, format!("the answer is not public metadata: authnKeyPub: {error}"))
    })?;
    Ok(document)
}

fn read_answer<T>(
    answer: Result<Answer, FetchError>,
    url: &str,
    read: impl FnOnce(&[u8]) -> Result<T, (&'static str, String)>,
) -> Fetch<T> {
    match answer {
        Ok(Answer::NotModified) => Fetch::NotModified,
        Ok(Answer::Document { body, etag }) => match read(&body) {
            Ok(document) => Fetch::Fresh { document, etag },
            Err((reason, message)) => Fetch::Failed { reason, message: format!("GET {url}: {message}") },
        },
        Err(error) => Fetch::Failed { reason: error.reason(), message: error.to_string() },
    }
}

/// Resolves the gateways that are DNS names, from the new document or from the cached one if it is unchanged.
fn resolve_names(
    private: &Fetch<PrivateAnswer>,
    cache: Option<&MetadataCache>,
    deadline: Instant,
) -> BTreeMap<String, Vec<IpAddr>> {
    let document = match private {
        Fetch::Fresh { document: answer, .. } => Some(&answer.document),
        Fetch::NotModified => cache.and_then(|cache| cache.private.as_ref()),
        Fetch::NotTried { .. } | Fetch::Failed { .. } => None,
    };
    let gateways = document.into_iter().flat_map(|document| &document.ingress_gateways).take(GATEWAY_LIMIT);
    let mut resolved = BTreeMap::new();
    for address in gateways.map(|gateway| gateway.gateway.address.as_str()) {
        if let Some(name) = gateway_name(address)
            && address.parse::<IpAddr>().is_err()
            && !resolved.contains_key(address)
            && let Ok(found) = super::resolve(name.as_str(), deadline)
        {
            resolved.insert(address.to_owned(), found);
        }
    }
    resolved
}
