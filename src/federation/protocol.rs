//! Protocols of a port, under the names that Istio gives them in a ServiceEntry.

use std::fmt;

/// The protocol of a port.
///
/// Only protocols that an importing mesh treats differently. The connection between the meshes is Istio's mutual TLS in
/// every case; this protocol travels inside it.
///
/// | Declared as (port name before its first `-`, or `appProtocol`) | Offered as |
/// | --- | --- |
/// | `http`, `kubernetes.io/ws` | HTTP |
/// | `http2`, `kubernetes.io/h2c` | HTTP2 |
/// | `grpc` | GRPC |
/// | `grpc-web` | GRPC-Web |
/// | `https`, `tls`, `kubernetes.io/wss` | TLS: to Istio, HTTPS and TLS are one thing, opaque and routed by SNI |
/// | `mongo` | MONGO |
/// | `tcp`, `mysql`, `redis`, and everything else | TCP: Istio has its MySQL and Redis filters off by default |
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// HTTP/1.
    Http,
    /// HTTP/2 without TLS.
    Http2,
    /// gRPC.
    Grpc,
    /// gRPC-Web.
    GrpcWeb,
    /// TLS of the application's own.
    Tls,
    /// `MongoDB`.
    Mongo,
    /// Any other protocol over TCP.
    Tcp,
}

impl Protocol {
    /// Every protocol.
    pub const ALL: [Self; 7] = [Self::Http, Self::Http2, Self::Grpc, Self::GrpcWeb, Self::Tls, Self::Mongo, Self::Tcp];

    /// The name that Istio reads in a ServiceEntry.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "HTTP",
            Self::Http2 => "HTTP2",
            Self::Grpc => "GRPC",
            Self::GrpcWeb => "GRPC-Web",
            Self::Tls => "TLS",
            Self::Mongo => "MONGO",
            Self::Tcp => "TCP",
        }
    }

    /// Reads the name in a document: exactly one of [`Self::as_str`], or `HTTPS`, which is TLS here.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "HTTPS" => Some(Self::Tls),
            _ => Self::ALL.into_iter().find(|protocol| protocol.as_str() == text),
        }
    }

    /// The protocol in a port's name: the whole part before its first `-`, in any case; TCP if that is not a protocol.
    #[must_use]
    pub fn of_port_name(name: &str) -> Self {
        Self::declared(name).unwrap_or(Self::Tcp)
    }

    /// The protocol of a Service's `appProtocol`, if Istio knows it.
    #[must_use]
    pub fn of_app_protocol(text: &str) -> Option<Self> {
        match text {
            "kubernetes.io/h2c" => Some(Self::Http2),
            "kubernetes.io/ws" => Some(Self::Http),
            "kubernetes.io/wss" => Some(Self::Tls),
            _ => Self::declared(text),
        }
    }

    fn declared(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        if name.strip_prefix("grpc-web").is_some_and(|rest| rest.is_empty() || rest.starts_with('-')) {
            return Some(Self::GrpcWeb);
        }
        match name.split('-').next()? {
            "http" => Some(Self::Http),
            "http2" => Some(Self::Http2),
            "grpc" => Some(Self::Grpc),
            "https" | "tls" => Some(Self::Tls),
            "mongo" => Some(Self::Mongo),
            "tcp" | "mysql" | "redis" => Some(Self::Tcp),
            _ => None,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_part_of_a_port_name_declares_a_protocol() {
        for (name, protocol) in [
            ("http", Protocol::Http),
            ("http-ppp", Protocol::Http),
            ("HTTP", Protocol::Http),
            ("http2", Protocol::Http2),
            ("http2-x", Protocol::Http2),
            ("grpc-ppp", Protocol::Grpc),
            ("grpc-web", Protocol::GrpcWeb),
            ("gRPC-Web-x", Protocol::GrpcWeb),
            ("grpc-webx", Protocol::Grpc),
            ("https-ppp", Protocol::Tls),
            ("tls", Protocol::Tls),
            ("mongo-1", Protocol::Mongo),
            ("mysql", Protocol::Tcp),
            ("redis", Protocol::Tcp),
            ("tcp-http", Protocol::Tcp),
            ("ppp", Protocol::Tcp),
            ("web-http", Protocol::Tcp),
            ("xhttpsy", Protocol::Tcp),
            ("mytls", Protocol::Tcp),
            ("grpchttp2", Protocol::Tcp),
            ("", Protocol::Tcp),
        ] {
            assert_eq!(Protocol::of_port_name(name), protocol, "{name}");
        }
    }

    #[test]
    fn an_app_protocol_counts_if_istio_knows_it() {
        for (text, protocol) in [
            ("kubernetes.io/h2c", Some(Protocol::Http2)),
            ("kubernetes.io/ws", Some(Protocol::Http)),
            ("kubernetes.io/wss", Some(Protocol::Tls)),
            ("https", Some(Protocol::Tls)),
            ("grpc-web", Some(Protocol::GrpcWeb)),
            ("tcp", Some(Protocol::Tcp)),
            ("kubernetes.io/other", None),
            ("example.com/http", None),
            ("", None),
        ] {
            assert_eq!(Protocol::of_app_protocol(text), protocol, "{text}");
        }
    }

    #[test]
    fn a_protocol_in_a_document_is_read_exactly() {
        for protocol in Protocol::ALL {
            assert_eq!(Protocol::parse(protocol.as_str()), Some(protocol));
        }
        assert_eq!(Protocol::parse("HTTPS"), Some(Protocol::Tls));
        for bad in ["", "http", "UDP", "GRPC-WEB", "TCP ", "HBONE", "TCP\n"] {
            assert_eq!(Protocol::parse(bad), None, "{bad:?}");
        }
    }
}
