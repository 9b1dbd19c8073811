//! TLS of the front desk: the one listener that talks to processes without a certificate.
//!
//! The desk proves itself; the newcomer proves itself by a token inside the encrypted stream. The
//! newcomer trusts exactly one authority, the one whose fingerprint its token carries: nothing is
//! trusted because it was seen first. The desk's certificate has a name of its own, so that another
//! process of the cluster, which has a certificate of the same authority, cannot pose as the desk.

use std::sync::Arc;

use quinn_proto::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::{
    CertificateError, DigitallySignedStruct, OtherError, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature},
    pki_types::{
        CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName,
        SignatureVerificationAlgorithm, UnixTime,
    },
};
use webpki::{EndEntityCert, KeyUsage};

use super::{TlsError, fingerprint_of};

/// The name in the desk's certificate, under which it is dialed.
pub const NAME: &str = "desk.ray.internal";
/// The protocol that both sides must offer; it stays the same when the wire's version grows, so
/// that two versions can tell each other.
const ALPN: &[u8] = b"ray-desk/1";

/// What the front desk shows to prove that it is the cluster's.
pub struct DeskIdentity {
    chain: Vec<CertificateDer<'static>>,
    key: Vec<u8>,
}

impl DeskIdentity {
    pub(super) fn new(
        certificate: CertificateDer<'static>,
        authority: CertificateDer<'static>,
        key: Vec<u8>,
    ) -> DeskIdentity {
        DeskIdentity {
            chain: vec![certificate, authority],
            key,
        }
    }

    /// Returns the configuration of the listener: TLS 1.3, no early data, no tickets.
    ///
    /// # Errors
    /// When the certificates do not fit together.
    pub fn server(&self) -> Result<Arc<QuicServerConfig>, TlsError> {
        let wrong = |error: &dyn std::fmt::Display| TlsError::Use(error.to_string());
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.key.clone()));
        let mut config = rustls::ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| wrong(&error))?
            .with_no_client_auth()
            .with_single_cert(self.chain.clone(), key)
            .map_err(|error| wrong(&error))?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.max_early_data_size = 0;
        config.send_tls13_tickets = 0;
        Ok(Arc::new(
            QuicServerConfig::try_from(config).map_err(|error| wrong(&error))?,
        ))
    }
}

/// Returns the configuration of a newcomer that trusts the authority with this fingerprint alone.
///
/// # Errors
/// When the system's TLS cannot be set up.
pub fn client(fingerprint: [u8; 32]) -> Result<Arc<QuicClientConfig>, TlsError> {
    let wrong = |error: &dyn std::fmt::Display| TlsError::Use(error.to_string());
    let provider = provider();
    let verifier = PinnedAuthority {
        fingerprint,
        algorithms: provider.signature_verification_algorithms,
    };
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| wrong(&error))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.enable_early_data = false;
    config.resumption = rustls::client::Resumption::disabled();
    Ok(Arc::new(
        QuicClientConfig::try_from(config).map_err(|error| wrong(&error))?,
    ))
}

/// What a connection to a desk of another cluster than the token's fails with.
pub const WRONG_FINGERPRINT: &str = "no certificate shown has the fingerprint that the token names";

/// Accepts a chain whose authority has one fingerprint and signed the desk's certificate.
#[derive(Debug)]
struct PinnedAuthority {
    fingerprint: [u8; 32],
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for PinnedAuthority {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let authority = intermediates
            .iter()
            .find(|certificate| fingerprint_of(certificate) == self.fingerprint)
            .ok_or_else(|| rustls::Error::General(WRONG_FINGERPRINT.to_owned()))?;
        let bad = |error: webpki::Error| {
            rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(error))))
        };
        verify_signed_by(end_entity, authority, now).map_err(bad)?;
        EndEntityCert::try_from(end_entity)
            .and_then(|parsed| parsed.verify_is_valid_for_subject_name(server_name))
            .map_err(bad)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("only TLS 1.3 is spoken".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Checks that `authority` signed the certificate, for a server, and that it is good at `now`.
pub(super) fn verify_signed_by(
    certificate: &CertificateDer<'_>,
    authority: &[u8],
    now: UnixTime,
) -> Result<(), webpki::Error> {
    let authority = CertificateDer::from(authority);
    let anchor = webpki::anchor_from_trusted_cert(&authority)?;
    EndEntityCert::try_from(certificate)?.verify_for_usage(
        algorithms(),
        &[anchor],
        &[],
        now,
        KeyUsage::server_auth(),
        None,
        None,
    )?;
    Ok(())
}

fn algorithms() -> &'static [&'static dyn SignatureVerificationAlgorithm] {
    webpki::ALL_VERIFICATION_ALGS
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::ClusterCa;

    fn judge(shown: &DeskIdentity, fingerprint: [u8; 32]) -> Result<(), String> {
        let verifier = PinnedAuthority {
            fingerprint,
            algorithms: provider().signature_verification_algorithms,
        };
        let name = ServerName::try_from(NAME).expect("a name");
        verifier
            .verify_server_cert(
                &shown.chain[0],
                &shown.chain[1..],
                &name,
                &[],
                UnixTime::now(),
            )
            .map(|_| ())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn only_the_authority_in_the_token_is_trusted() {
        let (ours, other) = (ClusterCa::generate(1), ClusterCa::generate(1));
        let (ours, other) = (ours.expect("keys"), other.expect("keys"));
        let desk = ours.issue_desk().expect("a certificate");
        assert_eq!(judge(&desk, ours.fingerprint()), Ok(()));
        let refused = judge(&desk, other.fingerprint()).expect_err("another cluster");
        assert!(refused.contains(WRONG_FINGERPRINT), "{refused}");
    }

    #[test]
    fn a_chain_that_only_shows_the_authority_is_refused() {
        let (ours, other) = (ClusterCa::generate(1), ClusterCa::generate(1));
        let (ours, other) = (ours.expect("keys"), other.expect("keys"));
        let mut desk = other.issue_desk().expect("a certificate");
        desk.chain[1] = CertificateDer::from(ours.root().to_vec());
        assert!(judge(&desk, ours.fingerprint()).is_err());
    }

    #[test]
    fn another_process_of_the_cluster_cannot_pose_as_the_desk() {
        let ca = ClusterCa::generate(1).expect("keys");
        let mut desk = ca.issue_desk().expect("a certificate");
        let worker = ca.issue(7).expect("a certificate");
        desk.chain[0] = CertificateDer::from(worker.certificate.clone());
        assert!(judge(&desk, ca.fingerprint()).is_err());
    }
}
