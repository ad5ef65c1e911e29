//! Istio's names of application protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum Protocol {
    Http,
    Http2,
    Grpc,
    GrpcWeb,
    Https,
    Tls,
    Tcp,
    Mongo,
}
impl Protocol {
    #[allow(missing_docs)]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "HTTP",
            Self::Http2 => "HTTP2",
            Self::Grpc => "GRPC",
            Self::GrpcWeb => "GRPC-Web",
            Self::Https => "HTTPS",
            Self::Tls => "TLS",
            Self::Tcp => "TCP",
            Self::Mongo => "MONGO",
        }
    }
    #[allow(missing_docs)]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Http, Self::Http2, Self::Grpc, Self::GrpcWeb, Self::Https, Self::Tls, Self::Tcp, Self::Mongo]
            .into_iter()
            .find(|p| p.as_str() == text)
    }
    #[allow(missing_docs)]
    pub fn of_port_name(name: &str) -> Self {
        match name.split('-').next().unwrap_or_default() {
            "http" => Self::Http,
            "http2" => Self::Http2,
            "grpc" => Self::Grpc,
            "https" | "tls" => Self::Tls,
            _ => Self::Tcp,
        }
    }
}
