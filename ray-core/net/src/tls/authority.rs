//! Authorities: the cluster's, with the file that keeps it, and those of its nodes.

use std::{
    fs,
    io::{ErrorKind, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, NameConstraints, PublicKeyData, SignatureAlgorithm,
};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, pem::PemObject as _};

use time::OffsetDateTime;

use super::{Identity, TlsError, desk::DeskIdentity, domain_of, name_of};

/// The file inside the authority's folder that holds its certificate and key.
const FILE: &str = "cluster-ca.pem";
/// How long the certificates of nodes and processes are good, unless somebody says otherwise.
pub const CERTIFICATE_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);
/// How far the clock of another machine may be behind.
const CLOCK_SKEW: Duration = Duration::from_secs(5 * 60);
/// The first word of that file, before the cluster's number.
const FILE_HEADER: &str = "ray-cluster";

/// The authority of one cluster, or of one of its nodes.
pub struct ClusterCa {
    cluster: u64,
    issuer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
    /// What the cluster's authority signed last, when this is a node's.
    delegation: Mutex<Option<CertificateDer<'static>>>,
    /// How long what it signs is good.
    life: Duration,
    /// What the file of a cluster's authority holds: the cluster's number, the certificate, the key.
    pem: Option<String>,
}

/// A fresh key of a node; its secret half never leaves the process.
pub struct NodeKey(KeyPair);

/// Somebody else's key, its public half.
struct PublicKey<'a>(&'a [u8]);

impl PublicKeyData for PublicKey<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl NodeKey {
    /// Makes a key.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn generate() -> Result<NodeKey, TlsError> {
        Ok(NodeKey(KeyPair::generate()?))
    }

    /// Returns the public half: a point of P-256, uncompressed.
    pub fn public(&self) -> Vec<u8> {
        self.0.der_bytes().to_vec()
    }

    /// Becomes the node's authority with what the cluster's authority signed for it.
    ///
    /// # Errors
    /// When the names cannot be written into certificates.
    pub fn into_authority(
        self,
        cluster: u64,
        node: u64,
        delegation: Vec<u8>,
        root: Vec<u8>,
    ) -> Result<ClusterCa, TlsError> {
        Ok(ClusterCa {
            cluster,
            issuer: Issuer::new(delegation_params(cluster, node)?, self.0),
            root: CertificateDer::from(root),
            delegation: Mutex::new(Some(CertificateDer::from(delegation))),
            life: CERTIFICATE_LIFE,
            pem: None,
        })
    }
}

impl ClusterCa {
    /// Makes a new authority for the cluster with this number.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn generate(cluster: u64) -> Result<ClusterCa, TlsError> {
        let key = KeyPair::generate()?;
        let params = root_params(cluster)?;
        let root = params.self_signed(&key)?;
        let pem = format!(
            "{FILE_HEADER} {cluster:x}\n{}{}",
            root.pem(),
            key.serialize_pem()
        );
        Ok(ClusterCa {
            cluster,
            issuer: Issuer::new(params, key),
            root: root.der().clone(),
            delegation: Mutex::new(None),
            life: CERTIFICATE_LIFE,
            pem: Some(pem),
        })
    }

    /// Reads the authority that [`ClusterCa::save`] left in `dir`; `None` when there is none.
    ///
    /// # Errors
    /// A file that others may read, or one that holds something else.
    pub fn load(dir: &Path) -> Result<Option<ClusterCa>, TlsError> {
        let path = dir.join(FILE);
        let failed = |reason: String| TlsError::Keep {
            path: path.clone(),
            reason,
        };
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error.to_string())),
        };
        let mode = fs::metadata(&path)
            .map_err(|error| failed(error.to_string()))?
            .permissions()
            .mode();
        if mode & 0o077 != 0 {
            return Err(failed(format!(
                "its mode is {:o}, so others may read the cluster's key; make it 600, or remove it to start a new cluster",
                mode & 0o777
            )));
        }
        let cluster = text
            .lines()
            .next()
            .and_then(|line| line.strip_prefix(FILE_HEADER))
            .and_then(|number| u64::from_str_radix(number.trim(), 16).ok())
            .ok_or_else(|| failed("it does not begin with a cluster's number".into()))?;
        let certificate = CertificateDer::from_pem_slice(text.as_bytes())
            .map_err(|error| failed(format!("no certificate in it: {error}")))?;
        let key = PrivatePkcs8KeyDer::from_pem_slice(text.as_bytes())
            .map_err(|error| failed(format!("no private key in it: {error}")))?;
        let key = KeyPair::try_from(&key)
            .map_err(|error| failed(format!("its private key is of no use: {error}")))?;
        Ok(Some(ClusterCa {
            cluster,
            issuer: Issuer::new(root_params(cluster)?, key),
            root: certificate,
            delegation: Mutex::new(None),
            life: CERTIFICATE_LIFE,
            pem: Some(text),
        }))
    }

    /// Keeps the authority in `dir`, which only this user may open, so that a head can come back.
    ///
    /// # Errors
    /// What the file system refused.
    pub fn save(&self, dir: &Path) -> Result<(), TlsError> {
        let path = dir.join(FILE);
        let pem = self
            .pem
            .as_deref()
            .ok_or_else(|| TlsError::Use("the authority of a node is not the cluster's".into()))?;
        let write = || {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(dir)?;
            fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?;
            let fresh = dir.join(format!("{FILE}.{}", std::process::id()));
            let mut file = fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&fresh)?;
            file.write_all(pem.as_bytes())?;
            file.sync_all()?;
            fs::rename(&fresh, &path)?;
            fs::File::open(dir)?.sync_all()
        };
        write().map_err(|error: std::io::Error| TlsError::Keep {
            path: path.clone(),
            reason: error.to_string(),
        })
    }

    /// Returns the authority with another life of what it signs.
    pub fn with_life(mut self, life: Duration) -> ClusterCa {
        self.life = life;
        self
    }

    /// Returns how long what it signs is good.
    pub fn life(&self) -> Duration {
        self.life
    }

    /// Returns the public half of its key: a point of P-256, uncompressed.
    pub fn public(&self) -> Vec<u8> {
        self.issuer.key().der_bytes().to_vec()
    }

    /// Takes what the cluster's authority signed anew for this node's.
    pub fn renew(&self, delegation: Vec<u8>) {
        *self.delegation() = Some(CertificateDer::from(delegation));
    }

    fn delegation(&self) -> MutexGuard<'_, Option<CertificateDer<'static>>> {
        // Nothing panics while it is held.
        self.delegation
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the number of the cluster.
    pub fn cluster(&self) -> u64 {
        self.cluster
    }

    /// Returns the certificate that everybody in the cluster trusts.
    pub fn root(&self) -> &[u8] {
        &self.root
    }

    /// Returns the hash by which a newcomer knows this authority from any other.
    pub fn fingerprint(&self) -> [u8; 32] {
        fingerprint_of(&self.root)
    }

    /// Returns a secret that every head of this cluster can reckon and nobody else; a node's authority has none.
    pub fn reset_secret(&self) -> Option<[u8; 32]> {
        let pem = self.pem.as_deref()?;
        Some(fingerprint_of(format!("reset {pem}").as_bytes()))
    }

    /// Lets the holder of a key issue certificates for the processes of one node.
    ///
    /// # Errors
    /// When the key is not a point of P-256.
    pub fn delegate(&self, node: u64, public_key: &[u8]) -> Result<Vec<u8>, TlsError> {
        if public_key.len() != 65 || public_key[0] != 4 {
            return Err(TlsError::Use("the key is not a point of P-256".into()));
        }
        let mut params = delegation_params(self.cluster, node)?;
        limit(&mut params, self.life);
        let certificate = params.signed_by(&PublicKey(public_key), &self.issuer)?;
        Ok(certificate.der().to_vec())
    }

    /// Issues the certificate of one process.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn issue(&self, process: u64) -> Result<Identity, TlsError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(vec![name_of(self.cluster, process)])?;
        params
            .distinguished_name
            .push(DnType::CommonName, format!("ray process {process:x}"));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        limit(&mut params, self.life);
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Identity {
            cluster: self.cluster,
            process,
            certificate: certificate.der().to_vec(),
            key: key.serialize_der(),
            delegation: self.delegation().as_deref().unwrap_or_default().to_vec(),
            authority: self.root.to_vec(),
        })
    }

    /// Issues what the front desk shows to newcomers; its name is one that no process ever gets.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn issue_desk(&self) -> Result<DeskIdentity, TlsError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(vec![super::desk::NAME.to_owned()])?;
        params
            .distinguished_name
            .push(DnType::CommonName, "ray front desk");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(DeskIdentity::new(
            certificate.der().clone(),
            self.root.clone(),
            key.serialize_der(),
        ))
    }
}

/// Lets a certificate end; it begins a little ago, since the clocks of two machines differ.
fn limit(params: &mut CertificateParams, life: Duration) {
    let now = OffsetDateTime::now_utc();
    params.not_before = now - CLOCK_SKEW;
    params.not_after = now + life;
}

/// Returns the SHA-256 of a certificate.
pub fn fingerprint_of(certificate: &[u8]) -> [u8; 32] {
    let digest = ring::digest::digest(&ring::digest::SHA256, certificate);
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

fn root_params(cluster: u64) -> Result<CertificateParams, TlsError> {
    let mut params = CertificateParams::new(Vec::<String>::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    params
        .distinguished_name
        .push(DnType::CommonName, format!("ray cluster {cluster:x}"));
    Ok(params)
}

fn delegation_params(cluster: u64, node: u64) -> Result<CertificateParams, TlsError> {
    let mut params = CertificateParams::new(Vec::<String>::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    params
        .distinguished_name
        .push(DnType::CommonName, format!("ray node {node:x}"));
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![GeneralSubtree::DnsName(domain_of(cluster, node))],
        excluded_subtrees: Vec::new(),
    });
    Ok(params)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> std::path::PathBuf {
        let name = format!("ray-ca-{:?}", std::thread::current().id());
        let name = name.replace(['(', ')'], "");
        let path = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
        fs::remove_dir_all(&path).ok();
        path
    }

    #[test]
    fn an_authority_comes_back_from_its_folder() {
        let dir = folder();
        assert!(ClusterCa::load(&dir).expect("no folder yet").is_none());
        let ca = ClusterCa::generate(0xabc).expect("keys");
        ca.save(&dir).expect("a folder");
        let again = ClusterCa::load(&dir).expect("readable").expect("saved");
        assert_eq!(again.cluster(), 0xabc);
        assert_eq!(again.fingerprint(), ca.fingerprint());
        // What the new one signs is of the old one's cluster.
        let identity = again.issue(7).expect("a certificate");
        let certificate = CertificateDer::from(identity.certificate.as_slice());
        let now = rustls::pki_types::UnixTime::now();
        let signed_by = |root| crate::tls::desk::verify_signed_by(&certificate, root, now);
        assert!(signed_by(ca.root()).is_ok());
        let other = ClusterCa::generate(0xabc).expect("keys");
        assert!(signed_by(other.root()).is_err());
        fs::remove_dir_all(&dir).expect("removed");
    }

    #[test]
    fn a_key_that_others_may_read_is_refused() {
        let dir = folder();
        let ca = ClusterCa::generate(1).expect("keys");
        ca.save(&dir).expect("a folder");
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!((mode(&dir), mode(&dir.join(FILE))), (0o700, 0o600));
        fs::set_permissions(dir.join(FILE), fs::Permissions::from_mode(0o640)).expect("mine");
        let error = ClusterCa::load(&dir).err().expect("refused").to_string();
        assert!(error.contains("its mode is 640"), "{error}");
        fs::remove_dir_all(&dir).expect("removed");
    }
}
