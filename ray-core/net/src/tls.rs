//! Mutual TLS between all processes of a cluster: one authority, a certificate for each process.
//!
//! The authority is made when the cluster starts and lives in the first node's memory. A certificate
//! names the one process that it is for, so a dialer verifies that it reaches the very incarnation it
//! meant, and an acceptor that the caller is who it claims to be. A newcomer gets its certificate at
//! the front desk ([`desk`]), for a key that never leaves it ([`KeyRequest`]).

mod authority;
pub mod desk;

use std::{path::PathBuf, sync::Arc};

use quinn_proto::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rcgen::{KeyPair, PublicKeyData as _};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName},
    server::WebPkiClientVerifier,
};

pub use authority::{CLOCK_SKEW_MAX, ClusterCa, LEAF_LIFETIME, fingerprint_of};

/// The protocol name and version that both sides must offer.
const ALPN: &[u8] = b"ray/1";

/// Why keys or certificates could not be made or used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A certificate could not be made.
    #[error("could not make a certificate: {0}")]
    Make(#[from] rcgen::Error),
    /// A configuration could not be built of the certificates given.
    #[error("the certificates cannot be used: {0}")]
    Use(String),
    /// The authority could not be kept in a file or read from it.
    #[error("the cluster's authority at {path}: {reason}")]
    Keep {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// What a process needs to prove who it is and to check others.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    cluster: u64,
    process: u64,
    certificate: Vec<u8>,
    key: Vec<u8>,
    authority: Vec<u8>,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Identity(process {:x} of cluster {:x})",
            self.process, self.cluster
        )
    }
}

impl Identity {
    /// Returns the process that it is for.
    pub fn process(&self) -> u64 {
        self.process
    }

    /// Puts together what a process got from elsewhere: a P-256 key in PKCS #8 and its certificate.
    ///
    /// # Errors
    /// A certificate of another process or authority, one that is out of date here, a wrong key.
    pub fn from_parts(
        cluster: u64,
        process: u64,
        certificate: Vec<u8>,
        key: Vec<u8>,
        authority: Vec<u8>,
    ) -> Result<Identity, TlsError> {
        let identity = Identity {
            cluster,
            process,
            certificate,
            key,
            authority,
        };
        let certificate = CertificateDer::from(identity.certificate.as_slice());
        desk::verify_signed_by(
            &certificate,
            &identity.authority,
            rustls::pki_types::UnixTime::now(),
        )
        .map_err(|error| TlsError::Use(error.to_string()))?;
        if !identity.is_of(&certificate, process) {
            return Err(TlsError::Use(format!(
                "the certificate is not that of process {process:x} of cluster {cluster:x}"
            )));
        }
        // Building a configuration compares the key with the certificate.
        identity.server()?;
        Ok(identity)
    }

    /// Writes it down, private key included, to be handed to a child process over a private channel.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&self.cluster.to_le_bytes());
        out.extend_from_slice(&self.process.to_le_bytes());
        for part in [&self.certificate, &self.key, &self.authority] {
            out.extend_from_slice(&(part.len() as u32).to_le_bytes());
            out.extend_from_slice(part);
        }
        out
    }

    /// Reads what [`Identity::to_bytes`] wrote; `None` when it is anything else.
    pub fn from_bytes(bytes: &[u8]) -> Option<Identity> {
        let (cluster, rest) = bytes.split_first_chunk::<8>()?;
        let (process, mut rest) = rest.split_first_chunk::<8>()?;
        let mut part = || {
            let (len, after) = rest.split_first_chunk::<4>()?;
            let (part, after) = after.split_at_checked(u32::from_le_bytes(*len) as usize)?;
            rest = after;
            Some(part.to_vec())
        };
        Some(Identity {
            cluster: u64::from_le_bytes(*cluster),
            process: u64::from_le_bytes(*process),
            certificate: part()?,
            key: part()?,
            authority: part()?,
        })
    }

    fn roots(&self) -> Result<RootCertStore, TlsError> {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from(self.authority.clone()))
            .map_err(|error| TlsError::Use(error.to_string()))?;
        Ok(roots)
    }

    fn chain(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.key.clone()));
        (vec![CertificateDer::from(self.certificate.clone())], key)
    }

    pub(crate) fn server(&self) -> Result<Arc<QuicServerConfig>, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let wrong = |error: &dyn std::fmt::Display| TlsError::Use(error.to_string());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(self.roots()?), provider.clone())
                .build()
                .map_err(|error| wrong(&error))?;
        let (chain, key) = self.chain();
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| wrong(&error))?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)
            .map_err(|error| wrong(&error))?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.max_early_data_size = 0;
        // Each process dials another once: tickets would only cost time.
        config.send_tls13_tickets = 0;
        Ok(Arc::new(
            QuicServerConfig::try_from(config).map_err(|error| wrong(&error))?,
        ))
    }

    pub(crate) fn client(&self) -> Result<Arc<QuicClientConfig>, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let wrong = |error: &dyn std::fmt::Display| TlsError::Use(error.to_string());
        let (chain, key) = self.chain();
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| wrong(&error))?
            .with_root_certificates(self.roots()?)
            .with_client_auth_cert(chain, key)
            .map_err(|error| wrong(&error))?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.enable_early_data = false;
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Arc::new(
            QuicClientConfig::try_from(config).map_err(|error| wrong(&error))?,
        ))
    }

    /// Returns the name by which another process of this cluster is dialed.
    pub(crate) fn name_of(&self, process: u64) -> String {
        name_of(self.cluster, process)
    }

    /// Returns whether a certificate that the authority signed is that of `process`.
    pub(crate) fn is_of(&self, certificate: &CertificateDer<'_>, process: u64) -> bool {
        let Ok(name) = ServerName::try_from(self.name_of(process)) else {
            return false;
        };
        webpki::EndEntityCert::try_from(certificate)
            .and_then(|parsed| parsed.verify_is_valid_for_subject_name(&name))
            .is_ok()
    }
}

/// A fresh key whose public half travels to be signed.
pub struct KeyRequest {
    key: KeyPair,
    public_key: Vec<u8>,
}

impl KeyRequest {
    /// Makes a key.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn generate() -> Result<KeyRequest, TlsError> {
        let key = KeyPair::generate()?;
        let public_key = key.subject_public_key_info();
        Ok(KeyRequest { key, public_key })
    }

    /// Returns the half that travels, a SubjectPublicKeyInfo in DER.
    pub fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    /// Puts the key together with the certificate that was made for it.
    ///
    /// # Errors
    /// See [`Identity::from_parts`].
    pub fn accept(
        self,
        cluster: u64,
        process: u64,
        certificate: Vec<u8>,
        authority: Vec<u8>,
    ) -> Result<Identity, TlsError> {
        let key = self.key.serialize_der();
        Identity::from_parts(cluster, process, certificate, key, authority)
    }
}

fn name_of(cluster: u64, process: u64) -> String {
    format!("p-{process:x}.c-{cluster:x}.ray.internal")
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn an_identity_survives_being_written_down() {
        let ca = ClusterCa::generate(1).expect("keys");
        let identity = ca.issue(7).expect("a certificate");
        assert_eq!(
            Identity::from_bytes(&identity.to_bytes()),
            Some(identity.clone())
        );
        let bytes = identity.to_bytes();
        for cut in [0, 8, 16, 20, bytes.len() - 1] {
            assert_eq!(Identity::from_bytes(&bytes[..cut]), None);
        }
        assert!(!format!("{identity:?}").contains(&format!("{:?}", identity.key)));
    }

    #[test]
    fn a_certificate_names_one_process() {
        let ca = ClusterCa::generate(1).expect("keys");
        let identity = ca.issue(7).expect("a certificate");
        let certificate = CertificateDer::from(identity.certificate.clone());
        assert!(identity.is_of(&certificate, 7));
        assert!(!identity.is_of(&certificate, 8));
    }

    #[test]
    fn a_key_is_signed_without_leaving_its_process() {
        let ca = ClusterCa::generate(1).expect("keys");
        let sign = |request: &KeyRequest, now| {
            let signed = ca.sign(7, request.public_key(), now);
            signed.expect("a certificate")
        };
        let authority = ca.certificate().to_vec();
        let request = KeyRequest::generate().expect("keys");
        let certificate = sign(&request, SystemTime::now());
        let identity = request.accept(1, 7, certificate, authority.clone());
        assert_eq!(identity.expect("it fits").process(), 7);

        let request = KeyRequest::generate().expect("keys");
        let certificate = sign(&request, SystemTime::now());
        assert!(
            request
                .accept(1, 8, certificate, authority.clone())
                .is_err()
        );

        let other = KeyRequest::generate().expect("keys");
        let certificate = sign(&other, SystemTime::now());
        let request = KeyRequest::generate().expect("keys");
        assert!(
            request
                .accept(1, 7, certificate, authority.clone())
                .is_err()
        );

        let request = KeyRequest::generate().expect("keys");
        let certificate = sign(&request, SystemTime::now());
        let foreign = ClusterCa::generate(1).expect("keys").certificate().to_vec();
        assert!(request.accept(1, 7, certificate, foreign).is_err());
    }

    #[test]
    fn a_signed_certificate_bears_a_clock_five_minutes_behind_and_lives_a_day() {
        let ca = ClusterCa::generate(1).expect("keys");
        let accepted = |signed_at: SystemTime| {
            let request = KeyRequest::generate().expect("keys");
            let certificate = ca.sign(7, request.public_key(), signed_at);
            let authority = ca.certificate().to_vec();
            request
                .accept(1, 7, certificate.expect("a certificate"), authority)
                .is_ok()
        };
        let (now, second) = (SystemTime::now(), Duration::from_secs(1));
        let minute = 60 * second;
        assert!(accepted(now + 4 * minute), "the signer's clock is ahead");
        assert!(!accepted(now + 6 * minute));
        assert!(accepted(now - LEAF_LIFETIME + minute));
        assert!(!accepted(now - LEAF_LIFETIME - minute), "it is out of date");
    }
}
