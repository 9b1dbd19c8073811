//! What is said to have certificates renewed.

use rkyv::{Archive, Deserialize, Serialize};

/// What is said to have certificates renewed.
#[derive(Archive, Serialize, Deserialize, Clone, Debug)]
pub(crate) enum CertificateMessage {
    /// A node wants the certificate of its authority signed anew.
    Renew {
        public_key: Vec<u8>,
    },
    Renewed {
        delegation: Vec<u8>,
    },
    /// A node gives a worker a new certificate, with its key.
    New {
        identity: Vec<u8>,
    },
}
