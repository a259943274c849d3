//! TLS: a certificate from files, read again when they change.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum_server::tls_rustls::RustlsConfig;
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio::time::sleep;

use crate::auth::Digest;

/// How often the files are looked at. A certificate is renewed days before it runs out; a Secret takes the kubelet a
/// minute.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", .path.display())]
    Read { path: PathBuf, source: io::Error },
    /// A file has no such thing in it.
    #[error("{} has no {what} in PEM: {message}", .path.display())]
    Pem { path: PathBuf, what: &'static str, message: String },
    /// They do not belong together, or are of a kind that is not supported.
    #[error("the certificate {} and the key {} cannot be used: {source}", .certificate.display(), .key.display())]
    Pair { certificate: PathBuf, key: PathBuf, source: rustls::Error },
}

/// A certificate with its key, from files.
#[derive(Debug)]
pub(crate) struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    config: RustlsConfig,
    /// What was in the files, so that a change is seen.
    loaded: Digest,
}

impl Tls {
    /// Reads the files.
    pub(crate) fn load(certificate: PathBuf, key: PathBuf) -> Result<Self, TlsError> {
        let (config, loaded) = read(&certificate, &key)?;
        Ok(Self { certificate, key, config: RustlsConfig::from_config(config), loaded })
    }

    /// What connections are accepted with; it changes with the files.
    pub(crate) fn config(&self) -> RustlsConfig {
        self.config.clone()
    }

    /// Looks at the files from time to time. Files that cannot be used change nothing: the old certificate is better
    /// than none.
    pub(crate) async fn keep_up(mut self) {
        let mut fault = None;
        loop {
            sleep(LOOK_EVERY).await;
            fault = match self.look() {
                Ok(true) => {
                    tracing::info!(certificate = %self.certificate.display(), "the TLS certificate was read again");
                    None
                }
                Ok(false) => None,
                Err(error) => {
                    let sentence = error.to_string();
                    if fault.as_ref() != Some(&sentence) {
                        tracing::warn!("the TLS certificate stays as it was: {sentence}");
                    }
                    Some(sentence)
                }
            };
        }
    }

    /// Takes up what is in the files now; whether that is something else than before.
    fn look(&mut self) -> Result<bool, TlsError> {
        let (config, found) = read(&self.certificate, &self.key)?;
        if found == self.loaded {
            return Ok(false);
        }
        self.config.reload_from_config(config);
        self.loaded = found;
        Ok(true)
    }
}

fn read(certificate: &Path, key: &Path) -> Result<(Arc<ServerConfig>, Digest), TlsError> {
    let file = |path: &Path| fs::read(path).map_err(|source| TlsError::Read { path: path.to_owned(), source });
    let (chain_pem, key_pem) = (file(certificate)?, file(key)?);
    let no_pem = |path: &Path, what| {
        let path = path.to_owned();
        move |error: rustls::pki_types::pem::Error| TlsError::Pem { path, what, message: error.to_string() }
    };
    let chain = CertificateDer::pem_slice_iter(&chain_pem).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(no_pem(certificate, "certificate"))?;
    if chain.is_empty() {
        let (path, message) = (certificate.to_owned(), "it is another kind of file".to_owned());
        return Err(TlsError::Pem { path, what: "certificate", message });
    }
    let private = PrivateKeyDer::from_pem_slice(&key_pem).map_err(no_pem(key, "private key"))?;
    let no_pair = |source| TlsError::Pair { certificate: certificate.to_owned(), key: key.to_owned(), source };
    let provider = Arc::new(ring::default_provider());
    let config =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(no_pair)?;
    let mut config = config.with_no_client_auth().with_single_cert(chain, private).map_err(no_pair)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok((Arc::new(config), Digest::of(&[chain_pem, key_pem].concat())))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use rcgen::{CertifiedKey, generate_simple_self_signed};

    use super::*;

    /// A folder of its own for each test.
    fn folder() -> PathBuf {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("careen-tls-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::SeqCst));
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn write_pair(folder: &Path) -> (PathBuf, PathBuf) {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (certificate, key) = (folder.join("tls.crt"), folder.join("tls.key"));
        fs::write(&certificate, cert.pem()).unwrap();
        fs::write(&key, signing_key.serialize_pem()).unwrap();
        (certificate, key)
    }

    #[test]
    fn a_changed_certificate_is_taken_up_and_a_broken_one_is_not() {
        let folder = folder();
        let (certificate, key) = write_pair(&folder);
        let mut tls = Tls::load(certificate.clone(), key).unwrap();
        let first = tls.config.get_inner();
        assert!(!tls.look().unwrap());
        write_pair(&folder);
        assert!(tls.look().unwrap());
        let second = tls.config.get_inner();
        assert!(!Arc::ptr_eq(&first, &second));
        fs::write(&certificate, "half of").unwrap();
        assert!(tls.look().unwrap_err().to_string().contains("has no certificate in PEM"));
        assert!(Arc::ptr_eq(&second, &tls.config.get_inner()));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_cannot_be_used_is_refused_by_file() {
        let (one, other) = (folder(), folder());
        let ((certificate, key), (_, another_key)) = (write_pair(&one), write_pair(&other));
        let error =
            |certificate: &Path, key: &Path| Tls::load(certificate.to_owned(), key.to_owned()).unwrap_err().to_string();
        assert!(error(&certificate, &another_key).contains("cannot be used"));
        assert!(error(&certificate, &certificate).contains("has no private key"));
        assert!(error(&key, &key).contains("has no certificate"));
        assert!(error(&one.join("none"), &key).contains("cannot read"));
        for folder in [one, other] {
            fs::remove_dir_all(folder).unwrap();
        }
    }
}
