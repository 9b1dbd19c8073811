//! Stream bytes into whole frames, the first of which says who speaks.

use bytes::Bytes;
use quinn_proto::ReadError;
use rkyv::util::AlignedVec;
use rustls::pki_types::CertificateDer;

use super::{Arrival, Transport, connection::Connection};
use crate::{
    frame::{self, FrameBatch, KIND_HELLO},
    peer::Peer,
    pieces::Piece,
};

/// What is known of the end of a stream.
enum StreamEnd {
    Open,
    Finished,
    Reset,
}

impl Transport {
    /// Takes what the stream and its lane hold; fails when it is no sequence of frames.
    pub(super) fn read(&mut self, connection: &mut Connection) -> Result<(), String> {
        let end = self.read_stream(connection)?;
        // All that goes through a lane was in it before the stream ended.
        self.read_lane(connection)?;
        match end {
            StreamEnd::Open => Ok(()),
            StreamEnd::Finished if connection.is_between_frames() => {
                // Everything was said; the other side closes once it knows that it arrived.
                connection.receive = None;
                Ok(())
            }
            StreamEnd::Finished | StreamEnd::Reset => {
                Err("the stream of frames ended inside a frame".into())
            }
        }
    }

    fn read_stream(&mut self, connection: &mut Connection) -> Result<StreamEnd, String> {
        let Some(stream) = connection.receive else {
            return Ok(StreamEnd::Open);
        };
        let before = connection.inbox.len();
        let mut end = StreamEnd::Open;
        let mut pieces = Vec::new();
        let mut cut_bytes = 0;
        let mut fault = None;
        {
            let mut receive = connection.quic.recv_stream(stream);
            let Ok(mut chunks) = receive.read(true) else {
                return Ok(StreamEnd::Open);
            };
            loop {
                match chunks.next(usize::MAX) {
                    Ok(Some(chunk)) => match &mut connection.cutter {
                        Some(cutter) if connection.was_greeted => {
                            cut_bytes += chunk.bytes.len() as u64;
                            if let Err(reason) = cutter.take(chunk.bytes, &mut pieces) {
                                fault = Some(reason);
                                break;
                            }
                        }
                        _ => connection.inbox.extend_from_slice(&chunk.bytes),
                    },
                    Ok(None) => {
                        end = StreamEnd::Finished;
                        break;
                    }
                    Err(ReadError::Blocked) => break,
                    Err(ReadError::Reset(_)) => {
                        end = StreamEnd::Reset;
                        break;
                    }
                }
            }
            let _flow_control = chunks.finalize();
        }
        let read = (connection.inbox.len() - before) as u64 + cut_bytes;
        if read > 0 {
            self.stats.bytes_in += read;
            connection.streamed += read;
            if let Some(lane) = &connection.lane_in {
                lane.set_streamed(connection.streamed);
            }
        }
        self.hand_on(connection, pieces);
        match fault {
            Some(reason) => Err(reason),
            None if connection.inbox.len() > before => {
                self.split(connection)?;
                Ok(end)
            }
            None => Ok(end),
        }
    }

    /// Gives pieces of frames to the handler, in their order.
    fn hand_on(&mut self, connection: &Connection, pieces: Vec<Piece>) {
        // Nothing follows a close, not even over the pair's other connection.
        if let Some(peer) = connection.peer.as_ref().filter(|peer| !peer.is_closed())
            && !pieces.is_empty()
        {
            self.arrivals
                .push_back(Arrival::Pieces(peer.clone(), pieces));
        }
    }

    /// Takes the whole frames out of the inbox.
    pub(super) fn split(&mut self, connection: &mut Connection) -> Result<(), String> {
        if !connection.was_greeted {
            let Some(len) = self.greet(connection)? else {
                return Ok(());
            };
            connection.take_front(len, self.spare.pop());
            if let Some(cutter) = &mut connection.cutter {
                // What came together with the hello.
                let rest = Bytes::copy_from_slice(&connection.inbox);
                connection.inbox.clear();
                let mut pieces = Vec::new();
                let cut = cutter.take(rest, &mut pieces);
                self.hand_on(connection, pieces);
                return cut;
            }
        }
        let (whole, fault) = frame::whole_frames(&connection.inbox, self.limit);
        if whole > 0 {
            let Some(peer) = connection.peer.clone() else {
                return Err("frames before a hello".into());
            };
            let frames = connection.take_front(whole, self.spare.pop());
            // Nothing follows a close, not even over the pair's other connection.
            if !peer.is_closed() {
                self.arrivals.push_back(Arrival::Frames(peer, frames));
            }
        }
        fault.map_or(Ok(()), Err)
    }

    /// Reads the hello; returns its length once all of it is there.
    fn greet(&mut self, connection: &mut Connection) -> Result<Option<usize>, String> {
        let Some(header) = connection.inbox.first_chunk() else {
            return Ok(None);
        };
        let header = frame::Header::parse(header, self.limit)?;
        if header.kind != KIND_HELLO {
            return Err("the first frame is not a hello".into());
        }
        let len = header.frame_bytes();
        if connection.inbox.len() < len {
            return Ok(None);
        }
        let claimed = header.source;
        let certificates = connection.quic.crypto_session().peer_identity();
        let certificates = certificates
            .and_then(|any| any.downcast::<Vec<CertificateDer<'static>>>().ok())
            .ok_or("the other side has no certificate")?;
        let is_genuine = certificates
            .first()
            .is_some_and(|certificate| self.identity.is_of(certificate, claimed));
        if !is_genuine {
            return Err(format!("a process that is not p{claimed:x} says it is"));
        }
        let peer = match &connection.peer {
            Some(peer) if peer.0.process == claimed => peer.clone(),
            Some(peer) => {
                return Err(format!(
                    "p{:x} was dialed and p{claimed:x} answered",
                    peer.0.process
                ));
            }
            None => {
                let known = self.peers.get(&claimed).cloned();
                let is_new = known.is_none();
                let addr = connection.quic.remote_address();
                let peer = known
                    .unwrap_or_else(|| Peer::new(claimed, self.process, addr, self.net.clone()));
                // When both dialed at once, each side keeps sending where it began.
                connection.sends = is_new;
                self.peers.insert(claimed, peer.clone());
                connection.peer = Some(peer.clone());
                peer
            }
        };
        connection.was_greeted = true;
        let mut batch = AlignedVec::<16>::new();
        batch.extend_from_slice(&connection.inbox[..len]);
        let (hello, place) = FrameBatch::new(&batch, self.limit)
            .next()
            .map(|frame| (frame.body.to_vec(), frame.meta.to_vec()))
            .unwrap_or_default();
        self.open_lane(connection, &place);
        self.arrivals.push_back(Arrival::Hello(peer.clone(), hello));
        Ok(Some(len))
    }
}
