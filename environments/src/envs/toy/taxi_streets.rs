//! Taxi's streets: what a state means, and where each action leads.

use super::{TaxiConfig, Transition, TransitionTable};

/// A state in parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) row: usize,
    pub(super) column: usize,
    /// The stand where the passenger waits, or [`IN_TAXI`].
    pub(super) passenger: usize,
    pub(super) destination: usize,
}

impl Place {
    pub(super) fn decode(state: usize) -> Place {
        Place {
            row: state / 100,
            column: state / 20 % 5,
            passenger: state / 4 % 5,
            destination: state % 4,
        }
    }

    pub(super) fn encode(self) -> usize {
        ((self.row * SIDE + self.column) * 5 + self.passenger) * 4 + self.destination
    }

    /// Returns which actions change the state.
    pub(super) fn action_mask(self) -> [bool; ACTIONS] {
        let stand = self.stand();
        [
            self.row < SIDE - 1,
            self.row > 0,
            opens_east(self.row, self.column),
            self.column > 0 && opens_east(self.row, self.column - 1),
            self.passenger < IN_TAXI && stand == Some(self.passenger),
            self.passenger == IN_TAXI && stand.is_some(),
        ]
    }

    /// Returns the stand where the taxi is.
    fn stand(self) -> Option<usize> {
        STANDS
            .iter()
            .position(|stand| *stand == (self.row, self.column))
    }

    /// Returns the place after a move in a direction, the same when a wall is in the way.
    fn moved(self, direction: usize) -> Place {
        let mut to = self;
        match direction {
            0 => to.row = (self.row + 1).min(SIDE - 1),
            1 => to.row = self.row.saturating_sub(1),
            2 if opens_east(self.row, self.column) => to.column += 1,
            3 if self.column > 0 && opens_east(self.row, self.column - 1) => to.column -= 1,
            _ => {}
        }
        to
    }
}

/// Builds the dynamics; passengers' changes of mind are not part of them.
pub(super) fn transitions(config: &TaxiConfig) -> TransitionTable {
    let mut initial = vec![0.0; STATES];
    for (state, share) in initial.iter_mut().enumerate() {
        let place = Place::decode(state);
        if place.passenger < IN_TAXI && place.passenger != place.destination {
            *share = 1.0 / STARTS as f64;
        }
    }
    TransitionTable::build(initial, ACTIONS, |state, action| {
        let place = Place::decode(state);
        let certain = |to: Place, reward: f64, terminated: bool| Transition {
            probability: 1.0,
            next: to.encode(),
            reward,
            terminated,
        };
        match action {
            PICK_UP => vec![picked_up(place, certain)],
            DROP_OFF => vec![dropped_off(place, certain)],
            _ if config.is_rainy => slid(place, action, config.rainy_probability),
            _ => vec![certain(place.moved(action), -1.0, false)],
        }
    })
}

fn picked_up(place: Place, certain: impl Fn(Place, f64, bool) -> Transition) -> Transition {
    if place.passenger < IN_TAXI && place.stand() == Some(place.passenger) {
        let passenger = IN_TAXI;
        certain(Place { passenger, ..place }, -1.0, false)
    } else {
        certain(place, -10.0, false)
    }
}

fn dropped_off(place: Place, certain: impl Fn(Place, f64, bool) -> Transition) -> Transition {
    match place.stand() {
        Some(passenger) if place.passenger == IN_TAXI => {
            let is_delivered = passenger == place.destination;
            let reward = if is_delivered { 20.0 } else { -1.0 };
            certain(Place { passenger, ..place }, reward, is_delivered)
        }
        _ => certain(place, -10.0, false),
    }
}

/// Returns where a move in the rain may lead: ahead, to its left, to its right. A wall ahead stops all three.
fn slid(place: Place, direction: usize, ahead_probability: f64) -> Vec<Transition> {
    let ahead = place.moved(direction);
    let side_probability = (1.0 - ahead_probability) / 2.0;
    let (left, right) = match direction {
        _ if ahead == place => (place, place),
        0 => (place.moved(2), place.moved(3)),
        1 => (place.moved(3), place.moved(2)),
        2 => (place.moved(1), place.moved(0)),
        _ => (place.moved(0), place.moved(1)),
    };
    [
        (ahead_probability, ahead),
        (side_probability, left),
        (side_probability, right),
    ]
    .map(|(probability, to)| Transition {
        probability,
        next: to.encode(),
        reward: -1.0,
        terminated: false,
    })
    .to_vec()
}

/// Returns whether there is no wall to the east of a cell.
pub(super) fn opens_east(row: usize, column: usize) -> bool {
    MAP[row + 1].as_bytes()[2 * column + 2] == b':'
}

pub(super) const MAP: [&str; 7] = [
    "+---------+",
    "|R: | : :G|",
    "| : | : : |",
    "| : : : : |",
    "| | : | : |",
    "|Y| : |B: |",
    "+---------+",
];
pub(super) const STANDS: [(usize, usize); 4] = [(0, 0), (0, 4), (4, 0), (4, 3)];
pub(super) const ACTIONS: usize = 6;
const PICK_UP: usize = 4;
const DROP_OFF: usize = 5;
pub(super) const IN_TAXI: usize = 4;
pub(super) const SIDE: usize = 5;
const STATES: usize = 500;
/// States that an episode may begin in.
const STARTS: usize = 300;
