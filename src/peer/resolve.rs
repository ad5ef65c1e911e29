//! Looks up DNS names with a deadline, which the system's resolver lacks.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Instant;

use crate::text::printable;

/// Most addresses of a name; further ones are dropped.
pub(super) const ADDRESS_LIMIT: usize = 32;

/// Why a name has no addresses. The texts are the same at every try.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// The resolver reported an error, or no address.
    #[error("{name} cannot be resolved: {reason}")]
    Failed {
        /// The name, printable.
        name: String,
        /// The resolver's message, printable.
        reason: String,
    },
    /// The resolver did not answer before the deadline.
    #[error("{0} cannot be resolved: the DNS server did not answer in time")]
    TimedOut(String),
}

/// The addresses of the DNS name `name`, sorted and without duplicates, at most [`ADDRESS_LIMIT`].
///
/// The name is looked up as fully qualified: with the Pod's search domains, a peer could name hosts inside our cluster.
/// An IP address resolves to itself.
pub(super) fn resolve(name: &str, deadline: Instant) -> Result<Vec<IpAddr>, ResolveError> {
    resolve_with(name, deadline, system)
}

fn resolve_with(name: &str, deadline: Instant, resolver: Resolver) -> Result<Vec<IpAddr>, ResolveError> {
    if let Ok(address) = name.parse() {
        return Ok(vec![address]);
    }
    let qualified = format!("{}.", name.trim_end_matches('.'));
    let mut addresses: Vec<IpAddr> = ask(&qualified, 0, deadline, resolver)?.iter().map(SocketAddr::ip).collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses.truncate(ADDRESS_LIMIT);
    Ok(addresses)
}

/// The socket addresses of `host` (a name or an IP address without brackets), at least one, in the system's order of
/// preference.
pub(super) fn lookup(
    host: &str,
    port: u16,
    deadline: Instant,
    resolver: Resolver,
) -> Result<Vec<SocketAddr>, ResolveError> {
    match host.parse() {
        Ok(address) => Ok(vec![SocketAddr::new(address, port)]),
        Err(_) => ask(host, port, deadline, resolver),
    }
}

/// A blocking resolver without a deadline.
pub(super) type Resolver = fn(&str, u16) -> io::Result<Vec<SocketAddr>>;

/// The resolver of the system.
pub(super) fn system(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    (host, port).to_socket_addrs().map(Iterator::collect)
}

fn ask(host: &str, port: u16, deadline: Instant, resolver: Resolver) -> Result<Vec<SocketAddr>, ResolveError> {
    let name = printable(host.trim_end_matches('.'));
    let failed = |reason: String| ResolveError::Failed { name: name.clone(), reason: printable(&reason) };
    let (sender, receiver) = mpsc::sync_channel(1);
    let asked = host.to_owned();
    // After the deadline the thread is left alone: it ends when the system's resolver gives up.
    thread::Builder::new()
        .spawn(move || sender.send(resolver(&asked, port)).ok())
        .map_err(|_| failed("cannot start a thread for the DNS lookup".to_owned()))?;
    match receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        Ok(Ok(addresses)) if addresses.is_empty() => Err(failed("it has no addresses".to_owned())),
        Ok(Ok(addresses)) => Ok(addresses),
        Ok(Err(error)) => {
            let text = error.to_string();
            Err(failed(text.strip_prefix("failed to lookup address information: ").unwrap_or(&text).to_owned()))
        }
        Err(RecvTimeoutError::Timeout) => Err(ResolveError::TimedOut(name)),
        Err(RecvTimeoutError::Disconnected) => Err(failed("the resolver crashed".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(30)
    }

    #[test]
    fn addresses_are_sorted_deduplicated_and_limited() {
        let ips = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpAddr>>();
        let few: Resolver = |_, port| {
            let all = ["10.0.0.2", "2001:db8::1", "10.0.0.10", "10.0.0.2"];
            Ok(all.iter().map(|text| SocketAddr::new(text.parse().unwrap(), port)).collect())
        };
        assert_eq!(resolve_with("a.example", soon(), few), Ok(ips(&["10.0.0.2", "10.0.0.10", "2001:db8::1"])));

        let many: Resolver = |_, port| Ok((0..=255).map(|n| SocketAddr::new([10, 0, 0, n].into(), port)).collect());
        assert_eq!(resolve_with("a.example", soon(), many).unwrap().len(), ADDRESS_LIMIT);
    }

    #[test]
    fn a_peers_name_is_never_looked_up_in_our_own_domains() {
        let echo: Resolver = |host, _| Err(io::Error::other(host.to_owned()));
        for name in ["istiod.istio-system", "istiod.istio-system."] {
            let error = resolve_with(name, soon(), echo).unwrap_err();
            assert_eq!(error.to_string(), "istiod.istio-system cannot be resolved: istiod.istio-system.");
        }
    }

    #[test]
    fn addresses_and_local_names_need_no_dns_server() {
        assert_eq!(resolve("10.0.0.1", Instant::now()), Ok(vec![[10, 0, 0, 1].into()]));
        assert_eq!(lookup("::1", 443, Instant::now(), system).unwrap()[0].to_string(), "[::1]:443");
        let local = lookup("localhost", 443, soon(), system).unwrap();
        assert!(local.iter().all(|address| address.ip().is_loopback() && address.port() == 443), "{local:?}");
    }

    #[test]
    fn a_resolver_that_never_answers_is_abandoned_at_the_deadline() {
        let mute: Resolver = |_, _| {
            thread::park_timeout(Duration::from_mins(1));
            Ok(Vec::new())
        };
        let start = Instant::now();
        let error = resolve_with("a.example", start + Duration::from_millis(50), mute).unwrap_err();
        assert_eq!(error, ResolveError::TimedOut("a.example".into()));
        assert!(start.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn resolver_errors_are_shown_short_and_printable() {
        let none: Resolver = |_, _| Ok(Vec::new());
        let no: Resolver =
            |_, _| Err(io::Error::other("failed to lookup address information: Name or service not known"));
        let show = |name: &str, resolver| resolve_with(name, soon(), resolver).unwrap_err().to_string();
        assert_eq!(show("a.example", none), "a.example cannot be resolved: it has no addresses");
        assert_eq!(show("a\nb", no), "a?b cannot be resolved: Name or service not known");
        let broken: Resolver = |_, _| panic!("on purpose");
        assert_eq!(show("a.example", broken), "a.example cannot be resolved: the resolver crashed");
    }
}
