//! The producing side of a stream: when it may make the next item.

/// What a producer does before its next item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Make it and send it.
    Send,
    /// Make it for its effects only: nobody will ask for it.
    Skip,
    /// Wait until more items are taken.
    Pause,
    /// Stop: the stream has as many items as one may have.
    Full,
}

/// The state machine of one running producer.
#[derive(Clone, Debug)]
pub struct Producer {
    produced: u64,
    taken: u64,
    /// Items that may wait for the consumer; 0 for any number.
    backpressure: u64,
    items_max: u64,
}

impl Producer {
    /// Returns a producer that pauses while `backpressure` items are not taken; 0 for never.
    pub fn new(backpressure: u64, items_max: u64) -> Producer {
        Producer {
            produced: 0,
            taken: 0,
            backpressure,
            items_max,
        }
    }

    /// Returns what to do before the next item.
    pub fn turn(&self) -> Turn {
        if self.produced >= self.items_max {
            Turn::Full
        } else if self.taken == u64::MAX {
            Turn::Skip
        } else if self.backpressure != 0
            && self.produced.saturating_sub(self.taken) >= self.backpressure
        {
            Turn::Pause
        } else {
            Turn::Send
        }
    }

    /// An item was made; returns its number, from 0.
    pub fn on_produced(&mut self) -> u64 {
        self.produced += 1;
        self.produced - 1
    }

    /// The consumer has taken this many items in all; `u64::MAX` says that it wants none.
    pub fn on_taken(&mut self, taken: u64) {
        self.taken = self.taken.max(taken);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_backpressure_it_never_pauses() {
        let mut producer = Producer::new(0, 1000);
        for number in 0..100 {
            assert_eq!(producer.turn(), Turn::Send);
            assert_eq!(producer.on_produced(), number);
        }
    }

    #[test]
    fn it_pauses_while_as_many_items_wait_as_may() {
        let mut producer = Producer::new(2, 1000);
        producer.on_produced();
        assert_eq!(producer.turn(), Turn::Send);
        producer.on_produced();
        assert_eq!(producer.turn(), Turn::Pause);
        producer.on_taken(1);
        assert_eq!(producer.turn(), Turn::Send);
        producer.on_produced();
        assert_eq!(producer.turn(), Turn::Pause);
    }

    #[test]
    fn late_news_take_nothing_back() {
        let mut producer = Producer::new(1, 1000);
        producer.on_taken(3);
        producer.on_taken(2);
        for _ in 0..3 {
            producer.on_produced();
        }
        assert_eq!(producer.turn(), Turn::Send);
    }

    #[test]
    fn it_goes_on_without_sending_when_nobody_listens() {
        let mut producer = Producer::new(1, 1000);
        producer.on_produced();
        producer.on_taken(u64::MAX);
        assert_eq!(producer.turn(), Turn::Skip);
    }

    #[test]
    fn it_stops_at_the_most_items() {
        let mut producer = Producer::new(0, 1);
        producer.on_produced();
        assert_eq!(producer.turn(), Turn::Full);
        producer.on_taken(u64::MAX);
        assert_eq!(producer.turn(), Turn::Full);
    }
}
