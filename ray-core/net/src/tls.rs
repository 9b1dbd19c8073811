//! Mutual TLS between all processes of a cluster: one authority, a certificate for each process.
//!
//! The authority is made when the cluster starts and lives in the first node's memory. A certificate
//! names the one process that it is for, so a dialer verifies that it reaches the very incarnation it
//! meant, and an acceptor that the caller is who it claims to be.
//!
//! Another node gets an authority of its own, signed by the cluster's for the names of that node's
//! processes and no others (RFC 5280, name constraints): it starts workers without asking anybody, and
//! who steals its key can pose as nobody else. It is signed at the front desk ([`desk`]).

mod authority;
pub mod desk;

use std::{path::PathBuf, sync::Arc};

use quinn_proto::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName},
    server::WebPkiClientVerifier,
};

pub use authority::{CERTIFICATE_LIFE, ClusterCa, NodeKey, fingerprint_of};

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
    /// The node's authority, when it is not the cluster's own.
    delegation: Vec<u8>,
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

    /// Writes it down, private key included, to be handed to a child process over a private channel.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&self.cluster.to_le_bytes());
        out.extend_from_slice(&self.process.to_le_bytes());
        for part in [
            &self.certificate,
            &self.key,
            &self.delegation,
            &self.authority,
        ] {
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
            delegation: part()?,
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
        let mut chain = vec![CertificateDer::from(self.certificate.clone())];
        if !self.delegation.is_empty() {
            chain.push(CertificateDer::from(self.delegation.clone()));
        }
        (chain, key)
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

fn name_of(cluster: u64, process: u64) -> String {
    let node = process >> PROCESS_INDEX_BITS;
    format!("p-{process:x}.{}", domain_of(cluster, node))
}

fn domain_of(cluster: u64, node: u64) -> String {
    format!("n-{node:x}.c-{cluster:x}.ray.internal")
}

/// The low bits of a process's number that count the processes of one node.
pub const PROCESS_INDEX_BITS: u32 = 28;

#[cfg(test)]
mod tests {
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
    fn a_nodes_authority_is_for_its_own_processes() {
        let root = ClusterCa::generate(1).expect("keys");
        let key = NodeKey::generate().expect("a key");
        let delegation = root.delegate(5, &key.public()).expect("a signature");
        let node = key
            .into_authority(1, 5, delegation, root.root().to_vec())
            .expect("an authority");
        let own = 5 << PROCESS_INDEX_BITS | 3;
        let verify = |process: u64| {
            let identity = node.issue(process).expect("a certificate");
            let (chain, _) = identity.chain();
            let end = webpki::EndEntityCert::try_from(&chain[0]).expect("a certificate");
            let anchor = CertificateDer::from(root.root().to_vec());
            let anchors = [webpki::anchor_from_trusted_cert(&anchor).expect("a root")];
            end.verify_for_usage(
                webpki::ALL_VERIFICATION_ALGS,
                &anchors,
                &chain[1..],
                rustls::pki_types::UnixTime::now(),
                webpki::KeyUsage::client_auth(),
                None,
                None,
            )
            .map(drop)
        };
        assert!(verify(own).is_ok());
        assert!(
            verify(6 << PROCESS_INDEX_BITS).is_err(),
            "another node's process"
        );
        assert!(root.delegate(5, &[0; 65]).is_err());
    }
}
