//! The cluster's authority: its key, the certificates it signs, the file that keeps it.

use std::{
    fs,
    io::{ErrorKind, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
    time::{Duration, SystemTime},
};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, SignatureAlgorithm,
};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, pem::PemObject as _};

use super::{Identity, TlsError, desk::DeskIdentity, name_of};

/// The file inside the authority's folder that holds its certificate and key.
const FILE: &str = "cluster-ca.pem";
/// The first word of that file, before the cluster's number.
const FILE_HEADER: &str = "ray-cluster";
/// How long a certificate that was asked for at the front desk is good.
pub const LEAF_LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// How far the clocks of two machines may differ.
pub const CLOCK_SKEW_MAX: Duration = Duration::from_secs(5 * 60);

/// The authority of one cluster.
pub struct ClusterCa {
    cluster: u64,
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    /// What its file holds: the cluster's number, the certificate, the key.
    pem: String,
}

impl ClusterCa {
    /// Makes a new authority for the cluster with this number.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn generate(cluster: u64) -> Result<ClusterCa, TlsError> {
        let key = KeyPair::generate()?;
        let params = authority_params(cluster)?;
        let certificate = params.self_signed(&key)?;
        let pem = format!(
            "{FILE_HEADER} {cluster:x}\n{}{}",
            certificate.pem(),
            key.serialize_pem()
        );
        Ok(ClusterCa {
            cluster,
            issuer: Issuer::new(params, key),
            certificate: certificate.der().clone(),
            pem,
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
            issuer: Issuer::new(authority_params(cluster)?, key),
            certificate,
            pem: text,
        }))
    }

    /// Keeps the authority in `dir`, which only this user may open, so that a head can come back.
    ///
    /// # Errors
    /// What the file system refused.
    pub fn save(&self, dir: &Path) -> Result<(), TlsError> {
        let path = dir.join(FILE);
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
            file.write_all(self.pem.as_bytes())?;
            file.sync_all()?;
            fs::rename(&fresh, &path)?;
            fs::File::open(dir)?.sync_all()
        };
        write().map_err(|error: std::io::Error| TlsError::Keep {
            path: path.clone(),
            reason: error.to_string(),
        })
    }

    /// Returns the number of the cluster that it speaks for.
    pub fn cluster(&self) -> u64 {
        self.cluster
    }

    /// Returns its certificate, which every process of the cluster trusts.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// Returns the hash by which a newcomer knows this authority from any other.
    pub fn fingerprint(&self) -> [u8; 32] {
        fingerprint_of(&self.certificate)
    }

    /// Issues the certificate of one process of this machine, key included.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn issue(&self, process: u64) -> Result<Identity, TlsError> {
        let key = KeyPair::generate()?;
        let params = process_params(self.cluster, process)?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Identity {
            cluster: self.cluster,
            process,
            certificate: certificate.der().to_vec(),
            key: key.serialize_der(),
            authority: self.certificate.to_vec(),
        })
    }

    /// Signs the certificate of a process that keeps its key to itself.
    ///
    /// `public_key` is a P-256 SubjectPublicKeyInfo in DER, as [`super::KeyRequest::public_key`]
    /// gives it. The certificate is good from five minutes before `now`, so that a clock which is a
    /// little behind accepts it, until [`LEAF_LIFETIME`] after it.
    ///
    /// # Errors
    /// Bytes that are no such key, or a `now` that no certificate can state.
    pub fn sign(
        &self,
        process: u64,
        public_key: &[u8],
        now: SystemTime,
    ) -> Result<Vec<u8>, TlsError> {
        let key = PublicKey::parse(public_key)?;
        let mut params = process_params(self.cluster, process)?;
        limit_life(&mut params, now);
        Ok(params.signed_by(&key, &self.issuer)?.der().to_vec())
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
            self.certificate.clone(),
            key.serialize_der(),
        ))
    }
}

/// Returns the SHA-256 of a certificate.
pub fn fingerprint_of(certificate: &[u8]) -> [u8; 32] {
    let digest = ring::digest::digest(&ring::digest::SHA256, certificate);
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

fn authority_params(cluster: u64) -> Result<CertificateParams, TlsError> {
    let mut params = CertificateParams::new(Vec::<String>::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    params
        .distinguished_name
        .push(DnType::CommonName, format!("ray cluster {cluster:x}"));
    Ok(params)
}

fn process_params(cluster: u64, process: u64) -> Result<CertificateParams, TlsError> {
    let mut params = CertificateParams::new(vec![name_of(cluster, process)])?;
    params
        .distinguished_name
        .push(DnType::CommonName, format!("ray process {process:x}"));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    Ok(params)
}

fn limit_life(params: &mut CertificateParams, now: SystemTime) {
    params.not_before = (now - CLOCK_SKEW_MAX).into();
    params.not_after = (now + LEAF_LIFETIME).into();
}

/// A P-256 key of somebody else.
struct PublicKey {
    point: Vec<u8>,
}

impl PublicKey {
    /// What stands before the point in every P-256 SubjectPublicKeyInfo; RFC 5480.
    const PREFIX: [u8; 26] = [
        0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08,
        0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
    ];
    /// An uncompressed point: a 4 and two coordinates.
    const POINT_BYTES: usize = 65;

    fn parse(spki: &[u8]) -> Result<PublicKey, TlsError> {
        match spki.strip_prefix(&Self::PREFIX) {
            Some(point) if point.len() == Self::POINT_BYTES && point[0] == 4 => Ok(PublicKey {
                point: point.to_vec(),
            }),
            _ => Err(TlsError::Use("the public key is not a P-256 key".into())),
        }
    }
}

impl PublicKeyData for PublicKey {
    fn der_bytes(&self) -> &[u8] {
        &self.point
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::KeyRequest;

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
        // What the old one signed and what the new one signs are of one cluster.
        let request = KeyRequest::generate().expect("keys");
        let signed = again
            .sign(7, request.public_key(), SystemTime::now())
            .expect("a key");
        let identity = request.accept(0xabc, 7, signed, ca.certificate().to_vec());
        assert_eq!(identity.expect("one authority").process(), 7);
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

    #[test]
    fn bytes_that_are_no_key_are_not_signed() {
        let ca = ClusterCa::generate(1).expect("keys");
        let request = KeyRequest::generate().expect("keys");
        let good = request.public_key();
        let mut other = good.to_vec();
        other[26] = 3;
        for bad in [&b""[..], &good[..90], &[good, &[0]].concat(), &other] {
            assert!(ca.sign(7, bad, SystemTime::now()).is_err());
        }
    }
}
