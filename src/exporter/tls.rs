//! The exporter's own TLS: certificate and key from files, reloaded when the files change.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum_server::tls_rustls::RustlsConfig;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;

/// How often the files are checked.
const LOOK: Duration = Duration::from_secs(10);

/// Paths of certificate chain and private key, both PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificate chain, the server's own first.
    pub certificate: PathBuf,
    /// Private key of the first certificate.
    pub key: PathBuf,
}

/// Why there is no TLS.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file is unreadable.
    #[error("{path}: {cause}", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
    #[error("{}: no certificate in PEM, or a damaged one", .0.display())]
    NoCertificate(PathBuf),
    /// No key. Does not show the content.
    #[error("{}: no unencrypted private key in PEM, or a damaged one", .0.display())]
    NoKey(PathBuf),
    /// They do not belong together, or their type is not supported.
    #[error("certificate and key cannot be used: {0}")]
    Unusable(rustls::Error),
}

/// The bytes of both files.
#[derive(PartialEq, Eq)]
struct Material {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl TlsFiles {
    /// Reads the files, and reads them again until the runtime ends.
    pub(super) fn load(self) -> Result<RustlsConfig, TlsError> {
        let material = self.read()?;
        let config = RustlsConfig::from_config(self.configure(&material)?);
        tokio::spawn(self.follow(config.clone(), material));
        Ok(config)
    }

    async fn follow(self, config: RustlsConfig, mut current: Material) {
        loop {
            tokio::time::sleep(LOOK).await;
            self.renew(&config, &mut current);
        }
    }

    /// Loads changed files if they belong together. While they are being replaced, the old ones stay in use.
    fn renew(&self, config: &RustlsConfig, current: &mut Material) {
        let renewed = self.read().and_then(|material| {
            if material == *current {
                return Ok(None);
            }
            Ok(Some((self.configure(&material)?, material)))
        });
        match renewed {
            Ok(None) => {}
            Ok(Some((renewed, material))) => {
                config.reload_from_config(renewed);
                *current = material;
                tracing::info!(certificate = %self.certificate.display(), "certificate reloaded");
            }
            Err(error) => tracing::warn!(%error, "the certificate cannot be renewed; the old one stays in use"),
        }
    }

    fn read(&self) -> Result<Material, TlsError> {
        let read = |path: &PathBuf| fs::read(path).map_err(|cause| TlsError::Read { path: path.clone(), cause });
        Ok(Material { certificate: read(&self.certificate)?, key: read(&self.key)? })
    }

    fn configure(&self, material: &Material) -> Result<Arc<ServerConfig>, TlsError> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&material.certificate)
            .collect::<Result<_, _>>()
            .map_err(|_| TlsError::NoCertificate(self.certificate.clone()))?;
        if chain.is_empty() {
            return Err(TlsError::NoCertificate(self.certificate.clone()));
        }
        let key = PrivateKeyDer::from_pem_slice(&material.key).map_err(|_| TlsError::NoKey(self.key.clone()))?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Unusable)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(TlsError::Unusable)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

#[cfg(test)]
mod tests {
    use istio_federation_testkit::{CertifiedKey, server_for};

    use super::*;

    fn write(folder: &tempfile::TempDir) -> TlsFiles {
        let identity = CertifiedKey::self_signed(&server_for(&["localhost"]));
        let files = TlsFiles { certificate: folder.path().join("tls.crt"), key: folder.path().join("tls.key") };
        fs::write(&files.certificate, &identity.pem).unwrap();
        fs::write(&files.key, identity.key_pem()).unwrap();
        files
    }

    #[test]
    fn files_that_do_not_fit_are_refused_without_showing_the_key() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let files = write(&one);
        let fails = |files: &TlsFiles| files.read().and_then(|material| files.configure(&material)).unwrap_err();
        let mixed = TlsFiles { key: write(&other).key, ..files.clone() };
        assert!(matches!(fails(&mixed), TlsError::Unusable(_)));
        let swapped = TlsFiles { certificate: files.key.clone(), key: files.certificate.clone() };
        assert!(matches!(fails(&swapped), TlsError::NoCertificate(_)));
        let keyless = TlsFiles { key: files.certificate.clone(), ..files.clone() };
        assert!(matches!(fails(&keyless), TlsError::NoKey(_)));
        let missing = TlsFiles { key: one.path().join("none"), ..files.clone() };
        assert!(matches!(fails(&missing), TlsError::Read { .. }));
    }

    #[test]
    fn a_renewed_certificate_is_taken_and_a_broken_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let files = write(&folder);
        let mut current = files.read().unwrap();
        let config = RustlsConfig::from_config(files.configure(&current).unwrap());
        let first = config.get_inner();
        files.renew(&config, &mut current);
        assert!(Arc::ptr_eq(&first, &config.get_inner()));
        fs::write(&files.certificate, "half").unwrap();
        files.renew(&config, &mut current);
        assert!(Arc::ptr_eq(&first, &config.get_inner()));
        write(&folder);
        files.renew(&config, &mut current);
        assert!(!Arc::ptr_eq(&first, &config.get_inner()));
    }
}
