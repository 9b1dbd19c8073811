//! Building and freeing large values in the node's arena.

use std::sync::Arc;

use ray_engine::failure::Failure;
use ray_shm::{SegmentRange, Slot, WriteGuard};

use crate::{
    __private::SegmentSource,
    config::{SEGMENT_LEASE_BYTES, STORE_ANSWER_TIMEOUT},
    runtime::Runtime,
    wire::Message,
};

impl SegmentSource for Arc<Runtime> {
    fn alloc(&self, len: usize) -> Result<WriteGuard, Failure> {
        loop {
            let needed = match self.writer.alloc(len) {
                Ok(guard) => return Ok(guard),
                Err(needed) => needed.bytes,
            };
            self.lease_segments(needed)?;
        }
    }
}

impl Runtime {
    /// Leases more of the arena, waiting until the node has made room or given up.
    fn lease_segments(self: &Arc<Self>, least: u64) -> Result<(), Failure> {
        let capacity = self.arena.capacity();
        let bytes = least.max(SEGMENT_LEASE_BYTES);
        if least > capacity {
            return Err(Failure::ObjectStoreFull {
                needed: least,
                capacity,
                holders: String::new(),
            });
        }
        let mut asked = 0;
        // The node decides how long to wait: it knows whether room is being made.
        let reply = self.request(STORE_ANSWER_TIMEOUT, |request| {
            asked = request;
            Message::RequestSegments {
                request,
                bytes,
                least,
            }
        });
        match reply {
            Ok(Message::SegmentsGranted {
                outcome: Ok((first, count)),
                ..
            }) => {
                self.want_segments(false);
                self.writer
                    .add_segments(SegmentRange { first, count })
                    .map_err(|error| {
                        Failure::System(format!("could not map {count} segments: {error}"))
                    })
            }
            Ok(Message::SegmentsGranted {
                outcome: Err(failure),
                ..
            }) => Err(failure),
            Ok(other) => Err(Failure::System(format!(
                "asked for segments and got {other:?}"
            ))),
            Err(_) => {
                self.send_to_node(Message::CancelSegments { request: asked });
                let (live, objects) = (self.writer.live_bytes(), self.writer.live_objects());
                let holders =
                    format!("; this process alone holds {live} bytes in {objects} objects");
                Err(Failure::ObjectStoreFull {
                    needed: least,
                    capacity,
                    holders,
                })
            }
        }
    }

    /// Frees a value that this process wrote.
    pub(crate) fn free_slot(&self, slot: Slot) {
        match self.writer.free(slot) {
            Ok(Some(range)) => self.send_to_node(Message::ReturnSegments {
                first: range.first,
                count: range.count,
            }),
            Ok(None) => {}
            Err(error) => {
                tracing::error!(%error, offset = slot.offset, "a value could not be freed");
                return;
            }
        }
        if self.segments_are_wanted() {
            self.return_segments(false);
        }
    }

    /// Gives empty segments back to the node; it keeps the last one unless somebody waits.
    pub(crate) fn return_segments(&self, recalled: bool) {
        if recalled {
            self.want_segments(true);
        }
        let empty = self.writer.take_empty();
        for range in empty {
            self.send_to_node(Message::ReturnSegments {
                first: range.first,
                count: range.count,
            });
        }
    }
}
