//! What happened, as a number always and as text when asked for.

use ray_engine::{ids::ProcessId, time::Time};

use crate::wire::Message;

/// The history of one seed.
pub struct Trace {
    hash: u64,
    lines: Option<Vec<String>>,
}

impl Trace {
    /// Returns a trace that only counts.
    pub fn quiet() -> Trace {
        Trace {
            hash: 0xcbf2_9ce4_8422_2325,
            lines: None,
        }
    }

    /// Returns a trace that keeps a line an event.
    pub fn kept() -> Trace {
        Trace {
            lines: Some(Vec::new()),
            ..Trace::quiet()
        }
    }

    fn add(&mut self, numbers: [u64; 4]) {
        for number in numbers {
            self.hash = (self.hash ^ number).wrapping_mul(0x0000_0100_0000_01b3);
            self.hash ^= self.hash >> 29;
        }
    }

    /// Notes an event.
    pub(crate) fn note(
        &mut self,
        now: Time,
        at: ProcessId,
        kind: u64,
        detail: u64,
        text: impl FnOnce() -> String,
    ) {
        self.add([now.0, at.0, kind, detail]);
        if let Some(lines) = &mut self.lines {
            lines.push(format!("{:>12} {at}: {}", now.0, text()));
        }
    }

    /// Notes a message that arrives.
    pub(crate) fn note_message(
        &mut self,
        now: Time,
        from: ProcessId,
        to: ProcessId,
        message: &Message,
    ) {
        let detail = match message {
            Message::Call { task, attempt, .. } | Message::Done { task, attempt, .. } => {
                task.index << 8 | u64::from(*attempt)
            }
            Message::Answer { object, .. }
            | Message::Ask(object)
            | Message::FreeObject(object)
            | Message::ObjectLetGo(object)
            | Message::OpenCredit(object, _)
            | Message::ReleaseCredits(object, _) => object.index,
            _ => 0,
        };
        self.note(now, to, from.0 << 8 | 9, detail, || {
            let text = format!("{message:?}");
            let cut = text
                .char_indices()
                .nth(220)
                .map_or(text.len(), |(at, _)| at);
            format!("from {from}: {}", &text[..cut])
        });
    }

    /// Returns the number that stands for everything so far.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// Returns the lines, none when they were not kept.
    pub fn into_lines(self) -> Vec<String> {
        self.lines.unwrap_or_default()
    }
}
