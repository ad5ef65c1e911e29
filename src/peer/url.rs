//! Checks metadata URLs, and writes their hosts in one form.

use std::net::{IpAddr, Ipv6Addr};

use rustls::pki_types::ServerName;

use crate::text::printable;

/// Longest accepted URL, in bytes.
pub(super) const LENGTH_LIMIT: usize = 2048;

/// Why a URL is refused. The cure is in `spec.metadataEndpoint`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Longer than [`LENGTH_LIMIT`].
    #[error("the URL is longer than {LENGTH_LIMIT} bytes")]
    TooLong,
    #[error("\"{0}\" does not begin with https://: metadata is fetched over HTTPS only; fix spec.metadataEndpoint")]
    Scheme(String),
    /// A user name or password.
    #[error("the URL has a user name or password, which would end up in logs: remove it from spec.metadataEndpoint")]
    UserInfo,
    /// Neither a DNS name nor an IP address.
    #[error("\"{0}\" is not a host name or IP address: fix spec.metadataEndpoint")]
    Host(String),
    #[error("\"{0}\" is not a port (1 to 65535): fix spec.metadataEndpoint")]
    Port(String),
    /// A query, a fragment, or characters that a plain path does not have.
    #[error("\"{0}\" is not a plain path (letters, digits, \".\", \"_\", \"-\", \"/\"): fix spec.metadataEndpoint")]
    Path(String),
}

/// An accepted URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// Without brackets, in lower case.
    pub(super) host: String,
    pub(super) port: u16,
    /// The name that TLS verifies.
    pub(super) server_name: ServerName<'static>,
    pub(super) uri: ureq::http::Uri,
}

impl Target {
    /// Parses a URL of the form that `spec.metadataEndpoint` has.
    pub(super) fn parse(url: &str) -> Result<Self, UrlError> {
        if url.len() > LENGTH_LIMIT {
            return Err(UrlError::TooLong);
        }
        // First, so that no other error quotes a password. No accepted URL contains this character.
        if url.contains('@') {
            return Err(UrlError::UserInfo);
        }
        let rest = url.strip_prefix("https://").ok_or_else(|| UrlError::Scheme(printable(url)))?;
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if !path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte)) {
            return Err(UrlError::Path(printable(path)));
        }
        let (host, port) = split_authority(authority)?;
        let no_host = || UrlError::Host(printable(host));
        let server_name = ServerName::try_from(host).map_err(|_| no_host())?.to_owned();
        // Built from the checked parts, so that exactly these are fetched.
        let uri = ureq::http::Uri::builder()
            .scheme("https")
            .authority(authority)
            .path_and_query(if path.is_empty() { "/" } else { path })
            .build()
            .map_err(|_| no_host())?;
        Ok(Self { host: host.to_ascii_lowercase(), port, server_name, uri })
    }
}

/// Host (without brackets) and port of an authority.
fn split_authority(authority: &str) -> Result<(&str, u16), UrlError> {
    let (host, port) = match authority.strip_prefix('[') {
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
        Some(rest) => match rest.split_once(']') {
            Some((host, port)) if host.parse::<Ipv6Addr>().is_ok() => (host, port),
            _ => return Err(UrlError::Host(printable(authority))),
        },
    };
    if port.is_empty() {
        return Ok((host, 443));
    }
    let digits = port.strip_prefix(':').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    match digits.map(str::parse) {
        Some(Ok(number)) if number > 0 => Ok((host, number)),
        _ => Err(UrlError::Port(printable(port.trim_start_matches(':')))),
    }
}

/// The URL of a document: `path` (which begins with `/`) appended to a metadata endpoint without its trailing slash, if
/// it has one.
#[must_use]
pub fn endpoint(metadata_endpoint: &str, path: &str) -> String {
    format!("{}{path}", metadata_endpoint.strip_suffix('/').unwrap_or(metadata_endpoint))
}

/// The host of `url` as the token's host claim has it: lower case, with the port if it is not 443.
pub fn host_of(url: &str) -> Result<String, UrlError> {
    let Target { host, port, .. } = Target::parse(url)?;
    let host = match host.parse() {
        Ok(IpAddr::V6(address)) => format!("[{address}]"),
        _ => host,
    };
    Ok(if port == 443 { host } else { format!("{host}:{port}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn document_paths_are_appended_to_the_endpoint() {
        for (base, joined) in [
            ("https://a.example/metadata/", "https://a.example/metadata/public/public.json"),
            ("https://a.example/metadata", "https://a.example/metadata/public/public.json"),
            ("https://a.example", "https://a.example/public/public.json"),
            ("https://a.example/metadata//", "https://a.example/metadata//public/public.json"),
        ] {
            assert_eq!(endpoint(base, "/public/public.json"), joined);
        }
    }

    #[test]
    fn hosts_are_written_in_one_way() {
        for (url, host) in [
            ("https://A.Example/x", "a.example"),
            ("https://a.example:443", "a.example"),
            ("https://a.example:8443/", "a.example:8443"),
            ("https://10.0.0.1:31443/x", "10.0.0.1:31443"),
            ("https://[2001:DB8:0::1]/x", "[2001:db8::1]"),
            ("https://[::1]:8443/x", "[::1]:8443"),
        ] {
            assert_eq!(host_of(url).as_deref(), Ok(host), "{url}");
        }
    }

    #[test]
    fn only_plain_https_urls_are_accepted() {
        use UrlError::{Host, Path, Port, Scheme, TooLong, UserInfo};
        let long = format!("https://a.example/{}", "x".repeat(LENGTH_LIMIT));
        for (url, error) in [
            ("http://a.example/", Scheme("http://a.example/".into())),
            ("file:///etc/passwd", Scheme("file:///etc/passwd".into())),
            ("HTTPS://a.example", Scheme("HTTPS://a.example".into())),
            ("", Scheme(String::new())),
            ("https://user:secret@a.example/", UserInfo),
            ("https://a.example@b.example/", UserInfo),
            ("https://", Host(String::new())),
            ("https://:443/", Host(String::new())),
            ("https://a b/", Host("a b".into())),
            ("https://a..example/", Host("a..example".into())),
            ("https://[::1", Host("[::1".into())),
            ("https://[a.example]/", Host("[a.example]".into())),
            ("https://a.example:/", Port(String::new())),
            ("https://a.example:0/", Port("0".into())),
            ("https://a.example:65536/", Port("65536".into())),
            ("https://a.example:+1/", Port("+1".into())),
            ("https://[::1]8443/", Port("8443".into())),
            ("https://a.example/x?y", Path("/x?y".into())),
            ("https://a.example#y", Path("#y".into())),
            ("https://a.example/%2e", Path("/%2e".into())),
            ("https://a.example/\r\nHost: b", Path("/??Host: b".into())),
            (&long, TooLong),
        ] {
            assert_eq!(Target::parse(url).map(|target| target.host), Err(error), "{url}");
        }
    }
}
