//! Keys of the root CAs that istiod signs with.

use std::process::Command;

use anyhow::ensure;
use rcgen::KeyPair;

/// Year in which renewed roots expire; rcgen's others expire in 4096.
pub const RENEWED: i32 = 4100;

/// The type of a root's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// P-256.
    Ec,
    /// RSA, 2048 bits.
    Rsa,
}

impl Key {
    pub(super) fn generate(self) -> anyhow::Result<KeyPair> {
        match self {
            Self::Ec => Ok(KeyPair::generate()?),
            // ring cannot generate RSA keys.
            Self::Rsa => {
                let output = Command::new("openssl").args(["genrsa", "2048"]).output()?;
                ensure!(output.status.success(), "openssl genrsa: {}", String::from_utf8_lossy(&output.stderr));
                Ok(KeyPair::from_pem(std::str::from_utf8(&output.stdout)?)?)
            }
        }
    }
}
