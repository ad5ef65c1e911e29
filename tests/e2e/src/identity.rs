//! Keys, certificates and tokens of an API server.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use istio_federation_testkit::{Authority, server_for};
use rcgen::{DnType, KeyPair};

/// Fresh tokens for one server; keys and certificates are files.
pub(crate) struct Identity {
    /// Token of the user `admin`, group `system:masters`.
    pub(crate) admin: String,
    /// Token of kube-controller-manager.
    pub(crate) controllers: String,
}

impl Identity {
    /// Writes `ca.crt`, `server.crt`, `server.key`, `accounts.key`, `accounts.pub` and `tokens.csv` into `folder`.
    pub(crate) fn write(folder: &Path) -> anyhow::Result<Self> {
        let ca = Authority::root("e2e-api-server-ca");
        let mut params =
            server_for(&["127.0.0.1", "localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"]);
        params.distinguished_name.push(DnType::CommonName, "kube-apiserver");
        let server = ca.issue(&params);
        let accounts = KeyPair::generate()?;
        fs::write(folder.join("ca.crt"), ca.pem())?;
        fs::write(folder.join("server.crt"), &server.pem)?;
        fs::write(folder.join("server.key"), server.key_pem())?;
        fs::write(folder.join("accounts.key"), accounts.serialize_pem())?;
        fs::write(folder.join("accounts.pub"), accounts.public_key_pem())?;
        let identity = Self { admin: token()?, controllers: token()? };
        let tokens = format!(
            "{},admin,1,system:masters\n{},system:kube-controller-manager,2,system:masters\n",
            identity.admin, identity.controllers
        );
        fs::write(folder.join("tokens.csv"), tokens)?;
        Ok(identity)
    }
}

fn token() -> anyhow::Result<String> {
    let mut random = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut random)?;
    random.iter().try_fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}")?;
        Ok(hex)
    })
}
