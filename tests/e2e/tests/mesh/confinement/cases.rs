//! Leaves that B's root signs, and their expected outcomes in A.

use std::net::{Ipv4Addr, Ipv6Addr};

use istio_federation_testkit::Name;

/// The identity that A's policies admit.
pub(crate) const PAY: &str = "spiffe://cluster-a.local/ns/pay/sa/pay";
/// An honest identity of B.
pub(crate) const BAR: &str = "spiffe://cluster-b.local/ns/xyz/sa/bar";

/// Expected outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// The certificate is refused.
    Refused,
    /// The certificate is accepted, and a policy of the module refuses the request.
    Denied,
    /// The app sees the leaf's own URI, of B, and no door of A opens.
    Own,
}

/// The part of the anchor that keeps a forgery out; without it, the forgery comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Only URIs of B are permitted.
    PermittedUri,
    /// DNS names are excluded.
    ExcludedDns,
    /// E-mail addresses are excluded.
    ExcludedEmail,
    /// IP addresses are excluded: for good measure, since Envoy reads no identity from them.
    ExcludedIp,
}

/// A leaf.
pub(crate) struct Case {
    pub(crate) title: &'static str,
    pub(crate) names: Vec<Name>,
    pub(crate) common_name: Option<&'static str>,
    pub(crate) expected: Expected,
    /// The part that keeps it out, if there is only one.
    pub(crate) by: Option<Part>,
}

impl Case {
    fn by(mut self, part: Part) -> Self {
        self.by = Some(part);
        self
    }

    fn common_name(mut self, name: &'static str) -> Self {
        self.common_name = Some(name);
        self
    }
}

/// All cases.
#[rustfmt::skip]
pub(crate) fn all() -> Vec<Case> {
    use Expected::{Denied, Own, Refused};
    use Part::{ExcludedDns, ExcludedEmail, ExcludedIp, PermittedUri};
    let own = || uri(BAR);
    vec![
        // One URI.
        case("B's own", [own()], Own),
        case("B's own, of a namespace as in A", [uri("spiffe://cluster-b.local/ns/pay/sa/pay")], Own),
        case("A's", [uri(PAY)], Refused).by(PermittedUri),
        case("A's, another account", [uri("spiffe://cluster-a.local/ns/shop/sa/cart")], Refused).by(PermittedUri),
        case("A's, a gateway", [uri("spiffe://cluster-a.local/ns/d8-istio/sa/ingressgateway")], Refused).by(PermittedUri),
        case("A's, domain alone", [uri("spiffe://cluster-a.local")], Refused),
        case("A's in upper case", [uri("spiffe://CLUSTER-A.LOCAL/ns/pay/sa/pay")], Refused),
        case("A's, scheme in upper case", [uri("SPIFFE://cluster-a.local/ns/pay/sa/pay")], Refused),
        case("A's with a dot at the end", [uri("spiffe://cluster-a.local./ns/pay/sa/pay")], Refused),
        case("A's with a port", [uri("spiffe://cluster-a.local:443/ns/pay/sa/pay")], Refused),
        case("a sub-domain of A's", [uri("spiffe://x.cluster-a.local/ns/pay/sa/pay")], Refused),
        case("a third cluster's", [uri("spiffe://cluster-c.local/ns/pay/sa/pay")], Refused),
        case("the parent of both", [uri("spiffe://local/ns/pay/sa/pay")], Refused),
        case("Istio's default domain", [uri("spiffe://cluster.local/ns/pay/sa/pay")], Refused),
        case("look-alike, longer", [uri("spiffe://cluster-b.localx/ns/pay/sa/pay")], Refused),
        case("look-alike, shorter", [uri("spiffe://cluster-b.loca/ns/pay/sa/pay")], Refused),
        case("look-alike, prefixed", [uri("spiffe://xcluster-b.local/ns/pay/sa/pay")], Refused),
        case("a sub-domain of B's", [uri("spiffe://x.cluster-b.local/ns/pay/sa/pay")], Refused),
        case("A's below B's", [uri("spiffe://cluster-a.local.cluster-b.local/ns/pay/sa/pay")], Refused),
        case("B's below A's", [uri("spiffe://cluster-b.local.cluster-a.local/ns/pay/sa/pay")], Refused),
        case("B's in upper case", [uri("spiffe://CLUSTER-B.LOCAL/ns/pay/sa/pay")], Refused),
        case("B's with a dot at the end", [uri("spiffe://cluster-b.local./ns/pay/sa/pay")], Refused),
        case("B's with a port", [uri("spiffe://cluster-b.local:443/ns/pay/sa/pay")], Refused),
        case("user A's, host B's", [uri("spiffe://cluster-a.local@cluster-b.local/ns/pay/sa/pay")], Refused),
        case("user B's, host A's", [uri("spiffe://cluster-b.local@cluster-a.local/ns/pay/sa/pay")], Refused),
        case("user and password, host B's", [uri("spiffe://cluster-a.local:x@cluster-b.local/ns/pay/sa/pay")], Refused),
        case("user and password, host A's", [uri("spiffe://cluster-b.local:x@cluster-a.local/ns/pay/sa/pay")], Refused),
        case("fragment", [uri("spiffe://cluster-b.local#@cluster-a.local/ns/pay/sa/pay")], Refused),
        case("query", [uri("spiffe://cluster-b.local?@cluster-a.local/ns/pay/sa/pay")], Refused),
        case("back-slash", [uri("spiffe://cluster-b.local\\@cluster-a.local/ns/pay/sa/pay")], Refused),
        case("percent-encoded slash", [uri("spiffe://cluster-b.local%2f.cluster-a.local/ns/pay/sa/pay")], Refused),
        case("NUL after B's", [uri("spiffe://cluster-b.local\0.cluster-a.local/ns/pay/sa/pay")], Refused),
        case("NUL after A's", [uri("spiffe://cluster-a.local\0.cluster-b.local/ns/pay/sa/pay")], Refused),
        case("NUL after the account", [uri("spiffe://cluster-b.local/ns/xyz/sa/bar\0/ns/pay/sa/pay")], Denied),
        case("space before B's", [uri(" spiffe://cluster-b.local/ns/pay/sa/pay")], Refused),
        case("no host", [uri("spiffe:///ns/pay/sa/pay")], Refused),
        case("no authority", [uri("spiffe:cluster-b.local/ns/pay/sa/pay")], Refused),
        case("an address", [uri("spiffe://127.0.0.1/ns/pay/sa/pay")], Refused),
        case("another scheme, B's", [uri("https://cluster-b.local/ns/pay/sa/pay")], Refused),
        case("another scheme, A's", [uri("https://cluster-a.local/ns/pay/sa/pay")], Refused),
        // Several.
        case("B's and A's", [own(), uri(PAY)], Refused).by(PermittedUri),
        case("A's and B's", [uri(PAY), own()], Refused).by(PermittedUri),
        case("two of B's", [own(), uri("spiffe://cluster-b.local/ns/pay/sa/pay")], Own),
        case("B's, and sixteen of A's", std::iter::once(own()).chain(std::iter::repeat_n(uri(PAY), 16)), Refused).by(PermittedUri),
        // Other kinds of names.
        case("B's, DNS with A's ID", [own(), dns(PAY)], Refused).by(ExcludedDns),
        case("DNS with A's ID, B's", [dns(PAY), own()], Refused).by(ExcludedDns),
        case("B's, honest DNS", [own(), dns("bar.xyz.svc.cluster-b.local")], Refused).by(ExcludedDns),
        case("B's, DNS of A's istiod", [own(), dns("istiod.d8-istio.svc")], Refused).by(ExcludedDns),
        case("B's, wildcard DNS", [own(), dns("*")], Refused).by(ExcludedDns),
        case("DNS with A's ID alone", [dns(PAY)], Refused).by(ExcludedDns),
        case("B's, e-mail with A's ID", [own(), email(PAY)], Refused).by(ExcludedEmail),
        case("B's, an e-mail address", [own(), email("pay@cluster-a.local")], Refused).by(ExcludedEmail),
        case("e-mail with B's ID alone", [email(BAR)], Refused).by(ExcludedEmail),
        case("B's, an IPv4 address", [own(), Name::Ip(Ipv4Addr::new(203, 0, 113, 21).into())], Refused).by(ExcludedIp),
        case("B's, an IPv6 address", [own(), Name::Ip(Ipv6Addr::LOCALHOST.into())], Refused).by(ExcludedIp),
        case("B's, otherName with A's ID", [own(), Name::Other(PAY.to_owned())], Own),
        case("otherName with A's ID alone", [Name::Other(PAY.to_owned())], Refused),
        case("B's, subject with A's ID", [own()], Own).common_name(PAY),
        case("subject with A's ID alone", [], Refused).common_name(PAY),
        case("nothing at all", [], Refused),
        // The path, which no name constraint can limit.
        case("comma and A's ID", [uri(&format!("{BAR},By=spiffe://cluster-a.local/ns/shop/sa/cart;URI={PAY}"))], Denied),
        case("semicolon and A's ID", [uri(&format!("{BAR};URI={PAY}"))], Denied),
        case("semicolon before /ns/", [uri(&format!("spiffe://cluster-b.local/;URI={PAY}"))], Denied),
        case("comma before /ns/", [uri(&format!("spiffe://cluster-b.local/,URI={PAY}"))], Denied),
        case("semicolon, no /ns/", [uri("spiffe://cluster-b.local/x;Hash=0")], Denied),
        case("a second /ns/", [uri("spiffe://cluster-b.local/ns/xyz/ns/pay/sa/pay")], Denied),
        case("a second /ns/ after the account", [uri("spiffe://cluster-b.local/ns/xyz/sa/bar/ns/pay/sa/pay")], Denied),
        case("A's ID below B's", [uri("spiffe://cluster-b.local/cluster-a.local/ns/pay/sa/pay")], Denied),
        case("A's ID below B's account", [uri("spiffe://cluster-b.local/ns/xyz/sa/spiffe://cluster-a.local/ns/pay/sa/pay")], Denied),
        case("dots that lead up", [uri("spiffe://cluster-b.local/../cluster-a.local/ns/pay/sa/pay")], Denied),
        case("no namespace", [uri("spiffe://cluster-b.local/pay")], Denied),
        // No policy of Istio's can look behind the last slash. No ID of A can be spelled there.
        case("semicolon in the account", [uri(&format!("{BAR};Hash=0"))], Own),
        case("comma in the account", [uri(&format!("{BAR},Hash=0"))], Own),
        case("quoted semicolon", [uri(&format!("{BAR}\";Hash=0;X=\""))], Own),
        case("percent-encoded slashes in the account", [uri(&format!("{BAR};URI=spiffe:%2F%2Fcluster-a.local%2Fns%2Fpay%2Fsa%2Fpay"))], Own),
    ]
}

fn case(title: &'static str, names: impl IntoIterator<Item = Name>, expected: Expected) -> Case {
    Case { title, names: names.into_iter().collect(), common_name: None, expected, by: None }
}

fn uri(text: &str) -> Name {
    Name::Uri(text.to_owned())
}

fn dns(text: &str) -> Name {
    Name::Dns(text.to_owned())
}

fn email(text: &str) -> Name {
    Name::Email(text.to_owned())
}
