//! TensorBoard's event files: records of protocol buffers with masked CRCs.

use std::io::{self, Write};

use prost::Message;

#[derive(Clone, PartialEq, Message)]
pub(super) struct Event {
    #[prost(double, tag = "1")]
    pub(super) wall_time: f64,
    #[prost(int64, tag = "2")]
    pub(super) step: i64,
    #[prost(string, optional, tag = "3")]
    pub(super) file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    pub(super) summary: Option<Summary>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Summary {
    #[prost(message, repeated, tag = "1")]
    pub(super) values: Vec<SummaryValue>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SummaryValue {
    #[prost(string, tag = "1")]
    pub(super) tag: String,
    #[prost(float, tag = "2")]
    pub(super) simple_value: f32,
}

/// Appends one record: length, its masked CRC, the event, its masked CRC.
pub(super) fn write_event(out: &mut impl Write, event: &Event) -> io::Result<()> {
    let bytes = event.encode_to_vec();
    let len = (bytes.len() as u64).to_le_bytes();
    out.write_all(&len)?;
    out.write_all(&masked_crc(&len).to_le_bytes())?;
    out.write_all(&bytes)?;
    out.write_all(&masked_crc(&bytes).to_le_bytes())
}

fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
        .rotate_right(15)
        .wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_back() {
        let event = Event {
            wall_time: 1.5,
            step: 7,
            file_version: None,
            summary: Some(Summary {
                values: vec![SummaryValue {
                    tag: "rollout/ep_rew_mean".into(),
                    simple_value: 475.0,
                }],
            }),
        };
        let mut out = Vec::new();
        write_event(&mut out, &event).expect("memory takes everything");
        let len = u64::from_le_bytes(out[..8].try_into().expect("eight bytes")) as usize;
        assert_eq!(out.len(), 12 + len + 4);
        assert_eq!(out[8..12], masked_crc(&out[..8]).to_le_bytes());
        assert_eq!(
            out[12 + len..],
            masked_crc(&out[12..12 + len]).to_le_bytes()
        );
        assert_eq!(Event::decode(&out[12..12 + len]).expect("an event"), event);
        // The CRC of "123456789" is the standard's check value.
        assert_eq!(crc32c::crc32c(b"123456789"), 0xe306_9283);
    }
}
