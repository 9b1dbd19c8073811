//! Certificates are made anew before they end, so that a process may live longer than they.
//!
//! A node asks the head to sign its authority anew when two thirds of its life are over, and again from
//! time to time until it did; then it makes new certificates for itself and its workers. Connections go
//! on: a certificate counts when one begins.

use std::{sync::Arc, sync::atomic::Ordering};

use ray_engine::{ids::ProcessId, time::Time};
use ray_net::tls::Identity;

use super::Runtime;
use crate::wire::{CertificateMessage, Message};

impl Runtime {
    /// Sees to it that the certificates of this node are renewed in time.
    pub(super) fn renew_in_time(self: &Arc<Self>) {
        let Some(node) = &self.node_role else {
            return;
        };
        let now = self.now();
        let life = node.start.ca.life();
        let due = match self.certificate_due.load(Ordering::Relaxed) {
            0 => now + life * 2 / 3,
            due => Time(due),
        };
        if now < due {
            self.certificate_due.store(due.0, Ordering::Relaxed);
            return self.clock.arm(due);
        }
        // Until the answer has come it is asked again.
        let again = now + life / 30;
        self.certificate_due.store(again.0, Ordering::Relaxed);
        self.clock.arm(again);
        if self.control_role.is_some() {
            self.use_new_certificates();
        } else {
            let public_key = node.start.ca.public();
            self.send_to_control(Message::Certificates(CertificateMessage::Renew {
                public_key,
            }));
        }
    }

    /// A node's key is to speak for it a while longer.
    pub(super) fn on_renew_certificate(&self, from: ProcessId, public_key: &[u8]) {
        let (Some(node), Some(control)) = (&self.node_role, &self.control_role) else {
            return;
        };
        if from != from.node_process() || !control.is_admitted(from) {
            tracing::warn!(%from, "somebody who was not let in wants a certificate");
            return;
        }
        match node.start.ca.delegate(from.node().0, public_key) {
            Ok(delegation) => self.send(
                from,
                Message::Certificates(CertificateMessage::Renewed { delegation }),
            ),
            Err(error) => tracing::error!(%from, %error, "a certificate could not be renewed"),
        }
    }

    /// The head has signed this node's authority anew.
    pub(super) fn on_certificate_renewed(self: &Arc<Self>, from: ProcessId, delegation: Vec<u8>) {
        if let Some(node) = &self.node_role
            && from == self.control_process()
        {
            node.start.ca.renew(delegation);
            self.use_new_certificates();
        }
    }

    fn use_new_certificates(self: &Arc<Self>) {
        let Some(node) = &self.node_role else {
            return;
        };
        let ca = &node.start.ca;
        let renewed = ca
            .issue(self.process().0)
            .map_err(|error| error.to_string())
            .and_then(|identity| {
                self.net()
                    .renew(identity)
                    .map_err(|error| error.to_string())
            });
        if let Err(error) = renewed {
            tracing::error!(
                error,
                "the certificate of this process could not be renewed"
            );
            return;
        }
        for worker in node.ready_processes() {
            match ca.issue(worker.0) {
                Ok(identity) => {
                    let identity = identity.to_bytes();
                    self.send(
                        worker,
                        Message::Certificates(CertificateMessage::New { identity }),
                    );
                }
                Err(error) => {
                    tracing::error!(%worker, %error, "a certificate could not be renewed")
                }
            }
        }
        let due = self.now() + ca.life() * 2 / 3;
        self.certificate_due.store(due.0, Ordering::Relaxed);
        self.clock.arm(due);
        tracing::info!(good_for = ?ca.life(), "the certificates of this node were renewed");
    }

    /// The node gives this worker a new certificate.
    pub(super) fn on_new_identity(&self, from: ProcessId, identity: &[u8]) {
        if from != self.node_process() || self.node_role.is_some() {
            return;
        }
        let identity = Identity::from_bytes(identity);
        let identity = identity.filter(|identity| identity.process() == self.process().0);
        match identity.map(|identity| self.net().renew(identity)) {
            Some(Ok(())) => tracing::debug!("this worker has a new certificate"),
            Some(Err(error)) => tracing::error!(%error, "a new certificate cannot be used"),
            None => tracing::error!("the node gave a certificate of another process"),
        }
    }
}
