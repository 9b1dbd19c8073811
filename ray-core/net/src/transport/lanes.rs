//! Connections whose frames go through memory; see [`crate::lane`].

use std::{
    io,
    sync::{Arc, atomic::Ordering},
};

use quinn_proto::ConnectionHandle;
use quinn_udp::UdpSockRef;
use ring::rand::SecureRandom as _;

use super::{BELL, Transport, connection::Connection};
use crate::lane::{BrokenLane, LaneIn, LaneOut, is_same_host};

impl Transport {
    /// Makes a lane to a process of this host; returns what the hello says of it, nothing where there is none.
    pub(super) fn offer_lane(&self, connection: &mut Connection) -> Vec<u8> {
        let other = connection.quic.remote_address().ip();
        let Some(lanes) = &self.lanes else {
            return Vec::new();
        };
        let mut secret = [0; 16];
        if !is_same_host(self.bind, other)
            || ring::rand::SystemRandom::new().fill(&mut secret).is_err()
        {
            return Vec::new();
        }
        match lanes.make(secret) {
            Ok(lane) => {
                let place = lane.place();
                connection.lane_out = LaneOut::Offered(lane);
                place
            }
            Err(error) => {
                tracing::debug!(%error, "no shared memory for frames; they go through QUIC");
                Vec::new()
            }
        }
    }

    /// Opens the lane that the other side described in its hello.
    pub(super) fn open_lane(&self, connection: &mut Connection, place: &[u8]) {
        let Some(lanes) = &self.lanes else { return };
        let other = connection.quic.remote_address().ip();
        if place.is_empty() || !is_same_host(self.bind, other) {
            return;
        }
        match lanes.open(place) {
            Ok(reader) => {
                let lane = LaneIn::new(reader, connection.streamed);
                self.lanes_in.lock().push(lane.clone());
                connection.lane_in = Some(lane);
            }
            // Another user, another container: the other side sees that nobody opened it.
            Err(error) => tracing::debug!(%error, "a lane is out of reach; frames come by QUIC"),
        }
    }

    /// Forgets both lanes of a connection that is at its end.
    pub(super) fn forget_lanes(&self, connection: &mut Connection) {
        connection.lane_out = LaneOut::None;
        if let Some(lane) = connection.lane_in.take() {
            self.lanes_in
                .lock()
                .retain(|other| !Arc::ptr_eq(other, &lane));
        }
    }

    /// Returns whether this side's frames go through a lane, from now on if not before.
    pub(super) fn may_use_lane(&self, connection: &mut Connection) -> bool {
        connection.sends && connection.lane_out.writer(connection.sent).is_some()
    }

    /// Writes what is pending into the lane; returns how much it took.
    pub(super) fn write_lane(&mut self, connection: &mut Connection) -> usize {
        let (Some(bytes), LaneOut::Begun(writer)) =
            (&mut connection.pending, &mut connection.lane_out)
        else {
            return 0;
        };
        let mut taken = 0;
        let written = loop {
            match writer.write(&bytes[taken..]) {
                Ok(written) => taken += written,
                Err(broken) => break Err(broken),
            }
            if taken == bytes.len() {
                break Ok(());
            }
            match writer.wait_for_room() {
                Ok(true) => break Ok(()),
                Ok(false) => {}
                Err(broken) => break Err(broken),
            }
        };
        self.stats.bytes_out += taken as u64;
        self.stats.lane_bytes += taken as u64;
        let is_asleep = taken > 0 && writer.take_sleeper();
        if taken == bytes.len() {
            connection.pending = None;
        } else {
            let _taken = bytes.split_to(taken);
        }
        if let Err(broken) = written {
            connection.fault = Some(broken);
            connection.active = true;
        }
        if is_asleep {
            self.ring_bell(connection);
        }
        taken
    }

    /// Takes what waits in the lane.
    pub(super) fn read_lane(&mut self, connection: &mut Connection) -> Result<(), String> {
        let told = |broken: BrokenLane| broken.to_string();
        if let Some(broken) = connection.fault.take() {
            return Err(told(broken));
        }
        // Once is not enough when the stream has ended: what a full lane had no room for comes next.
        while let Some(lane) = connection.lane_in.clone() {
            let waiting = lane.available().map_err(told)?;
            if waiting == 0 {
                break;
            }
            let before = connection.inbox.len();
            connection.inbox.resize(before + waiting, 0);
            let is_full = lane.read(&mut connection.inbox[before..]);
            self.stats.bytes_in += waiting as u64;
            self.stats.lane_bytes += waiting as u64;
            if is_full {
                self.ring_bell(connection);
            }
            self.split(connection)?;
        }
        Ok(())
    }

    /// Does all there is to do for a connection in its lanes; false when it takes more than that.
    pub(super) fn advance_by_lane(&mut self, handle: ConnectionHandle) -> bool {
        let Some(mut connection) = self.connections.remove(&handle) else {
            return true;
        };
        let is_enough = !connection.active && self.is_plain(&mut connection) && {
            connection.is_due = false;
            match self.read_lane(&mut connection) {
                Ok(()) => {}
                Err(reason) => {
                    tracing::debug!(%reason, "a lane is broken");
                    connection.fault = Some(BrokenLane);
                    connection.active = true;
                }
            }
            if let Some(peer) = connection.peer.clone().filter(|_| connection.sends) {
                self.write_out(&mut connection, &peer);
            }
            !connection.active
        };
        self.connections.insert(handle, connection);
        is_enough
    }

    /// Returns whether nothing but frames in lanes is to be seen to.
    fn is_plain(&self, connection: &mut Connection) -> bool {
        let is_quiet = connection.peer.as_ref().is_some_and(|peer| {
            !peer.is_closed()
                && !peer.0.finish_wanted.load(Ordering::Acquire)
                && peer.0.close_wanted.lock().is_none()
        });
        is_quiet
            && connection.established
            && connection.was_greeted
            && connection.closing.is_none()
            && !connection.hello_left
            && (!connection.sends || self.may_use_lane(connection))
    }

    /// Wakes the other side of a connection for what is in a lane.
    pub(super) fn ring_bell(&mut self, connection: &mut Connection) {
        let bell = quinn_udp::Transmit {
            destination: connection.quic.remote_address(),
            ecn: None,
            contents: &BELL,
            segment_size: None,
            src_ip: None,
        };
        self.stats.bells += 1;
        let rung = self.udp.try_send(UdpSockRef::from(&self.socket), &bell);
        // Any other error is the system's word that the other side is gone.
        connection.owes_bell = rung.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
    }
}

impl Connection {
    /// Returns whether the lane that this side reads wants to be looked at.
    pub(super) fn has_lane_news(&self) -> bool {
        self.lane_in.as_ref().is_some_and(|lane| lane.has_news())
    }

    /// Returns whether bytes wait for room in a lane.
    pub(super) fn is_stuck_in_lane(&self) -> bool {
        self.lane_out.is_begun() && self.pending.is_some()
    }
}
