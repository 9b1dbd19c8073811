//! `check_env` finds each fault that is planted, and nothing in an environment without one.

use std::cell::Cell;

use environments::{
    Array, ArrayData, BoxSpace, Discrete, Env, EnvError, Frame, Info, Metadata, Options, Outcome,
    RenderMode, Space, State, Step, Value,
    check::{EnvMatch, Promise, Severity, check_env, check_environments_match, passes},
    envs::CartPole,
    rng::Rng,
    wrappers::{RepeatAction, TransformReward},
};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    Outside,
    Shape,
    Dtype,
    Nan,
    Kind,
    BothFlags,
    Reward,
    UnseededReset,
    UnseededStep,
    UnseededInfo,
    UnknownOption,
    OptionError,
    StateForgetsRng,
    StateRefused,
    ForeignState,
    InvertedBounds,
    NoChoices,
    InfiniteBounds,
    ChangingSpace,
    RefusesMember,
    TakesAnyAction,
    RefusesTooLate,
    EmptyMask,
    StepsBeforeReset,
    ResetFails,
    RenderFails,
    WrongFrame,
    ShortPicture,
    RenderDraws,
    OtherRow,
    OtherRowReward,
    Panics,
}

/// Walks along a line of ten fields, now and then two at once; over at the last.
struct Walk {
    fault: Fault,
    position: f64,
    is_started: bool,
    rng: Rng,
    unseeded: Rng,
    asked: Cell<u32>,
}

impl Walk {
    fn with(fault: Fault) -> Walk {
        Walk {
            fault,
            position: 0.0,
            is_started: false,
            rng: Rng::new(0),
            unseeded: Rng::from_entropy(),
            asked: Cell::new(0),
        }
    }

    fn observation(&self) -> Value {
        let position = self.position as f32;
        let array = |shape: &[usize], data| Array::new(shape, data).expect("it fills the shape");
        let shown = match self.fault {
            Fault::Outside if position > 3.0 => vec![position + 100.0],
            Fault::Nan if position > 3.0 => vec![f32::NAN],
            Fault::Shape => vec![position; 2],
            _ => vec![position],
        };
        match self.fault {
            Fault::Kind => Value::Float(self.position),
            Fault::Dtype => array(&[1], ArrayData::F64(vec![self.position])).into(),
            _ => array(&[shown.len()], ArrayData::F32(shown)).into(),
        }
    }

    fn info(&mut self) -> Info {
        match self.fault {
            Fault::UnseededInfo => Info::from([("draw".into(), self.unseeded.unit().into())]),
            _ => Info::new(),
        }
    }
}

impl Env for Walk {
    type Observation = Value;
    type Action = Value;

    fn observation_space(&self) -> Space {
        self.asked.set(self.asked.get() + 1);
        let mut space = BoxSpace::new(vec![0.0], vec![9.0]);
        match self.fault {
            Fault::InvertedBounds => space.low[0] = 10.0,
            Fault::InfiniteBounds => space.high[0] = f32::INFINITY,
            Fault::ChangingSpace => space.high[0] += self.asked.get() as f32,
            _ => {}
        }
        space.into()
    }

    fn action_space(&self) -> Space {
        let mut space = Discrete::new(2);
        if self.fault == Fault::NoChoices {
            space.n = 0;
        }
        space.into()
    }

    fn reset(&mut self, seed: Option<u64>, options: &Options) -> Result<(Value, Info), EnvError> {
        if self.fault == Fault::ResetFails {
            return Err(EnvError::NotSupported("not today".into()));
        }
        if let Some(seed) = seed {
            self.rng = Rng::new(seed);
        }
        let rng = match self.fault {
            Fault::UnseededReset => &mut self.unseeded,
            _ => &mut self.rng,
        };
        self.position = (rng.unit() * 3.0 * 1e3).round() / 1e3;
        match self.fault {
            Fault::UnknownOption if !options.is_empty() => self.position += 0.5,
            Fault::OptionError if !options.is_empty() => return Err(EnvError::ResetNeeded),
            _ => {}
        }
        self.is_started = true;
        Ok((self.observation(), self.info()))
    }

    fn step(&mut self, action: &Value) -> Result<Step<Value>, EnvError> {
        let invalid = || EnvError::InvalidAction {
            action: format!("{action:?}"),
            space: "Discrete(2)".into(),
        };
        if !self.is_started && self.fault != Fault::StepsBeforeReset {
            return Err(EnvError::ResetNeeded);
        }
        if self.fault == Fault::RefusesTooLate {
            self.position += 1e-3;
        }
        let is_valid = matches!(action, Value::Int(0 | 1));
        if !is_valid && self.fault != Fault::TakesAnyAction
            || self.fault == Fault::RefusesMember && *action == Value::Int(1)
        {
            return Err(invalid());
        }
        assert!(
            self.fault != Fault::Panics || self.position < 5.0,
            "out of luck"
        );
        let rng = match self.fault {
            Fault::UnseededStep => &mut self.unseeded,
            _ => &mut self.rng,
        };
        let stride = if rng.unit() < 0.3 { 2.0 } else { 1.0 };
        self.position = (self.position + stride).min(9.0);
        let terminated = self.position >= 9.0;
        let reward = match self.fault {
            Fault::Reward if self.position > 5.0 => f64::INFINITY,
            _ => self.position,
        };
        Ok(Step {
            observation: self.observation(),
            reward,
            terminated,
            truncated: terminated && self.fault == Fault::BothFlags,
            info: self.info(),
        })
    }

    fn step_into(&mut self, action: &Value, row: &mut [f32]) -> Result<Outcome, EnvError> {
        let step = self.step(action)?;
        row[0] = self.position as f32;
        row[0] += f32::from(u8::from(self.fault == Fault::OtherRow));
        Ok(Outcome {
            reward: step.reward + f64::from(u8::from(self.fault == Fault::OtherRowReward)),
            terminated: step.terminated,
            truncated: step.truncated,
        })
    }

    fn action_mask(&self, mask: &mut [bool]) -> bool {
        mask.fill(self.fault != Fault::EmptyMask);
        true
    }

    fn state(&self) -> State {
        State {
            values: vec![self.position],
            rng: match self.fault {
                Fault::StateForgetsRng => vec![],
                _ => self.rng.save(),
            },
            ..State::default()
        }
    }

    fn set_state(&mut self, state: &State) -> Result<(), EnvError> {
        let wrong = || EnvError::InvalidState("one number".into());
        if self.fault == Fault::StateRefused
            || state.values.len() != 1 && self.fault != Fault::ForeignState
        {
            return Err(wrong());
        }
        self.position = state.values[0];
        self.is_started = true;
        if let Some(rng) = Rng::restore(&state.rng) {
            self.rng = rng;
        }
        Ok(())
    }

    fn render(&mut self, mode: RenderMode) -> Result<Frame, EnvError> {
        match (self.fault, mode) {
            (Fault::RenderFails, _) => Err(EnvError::NotSupported("no canvas".into())),
            (Fault::RenderDraws, RenderMode::Ansi) => {
                self.rng.unit();
                Ok(Frame::Ansi("A".into()))
            }
            (Fault::WrongFrame, _) | (_, RenderMode::Ansi) => Ok(Frame::Ansi("A".into())),
            (fault, _) => Ok(Frame::Rgb {
                width: 2,
                height: 1,
                pixels: vec![0; if fault == Fault::ShortPicture { 5 } else { 6 }],
            }),
        }
    }

    fn metadata(&self) -> Metadata {
        Metadata::new(&[RenderMode::Ansi, RenderMode::RgbArray], 4)
    }
}

#[test]
fn nothing_is_found_where_nothing_is_wrong() {
    assert_eq!(check_env(|| Walk::with(Fault::None)), []);
}

/// Checks that a fault is found, and that nothing else is but what it brings with it.
fn finds(fault: Fault, promise: Promise, place: &str) {
    let findings = check_env(|| Walk::with(fault));
    let found = findings.iter().find(|found| found.promise == promise);
    let found = found.unwrap_or_else(|| panic!("{fault:?} is not among {findings:#?}"));
    let told = found.to_string();
    assert!(found.place.contains(place), "{fault:?}: {told}");
    assert!(told.contains("\n  help: "), "{told}");
    assert_eq!(
        passes(&findings),
        promise.severity() == Severity::Warning,
        "{fault:?}: {findings:#?}"
    );
}

#[test]
fn wrong_observations_are_found() {
    finds(Fault::Outside, Promise::ObservationBounds, "step");
    finds(Fault::Shape, Promise::ObservationShape, "reset");
    finds(Fault::Kind, Promise::ObservationShape, "reset");
    finds(Fault::Dtype, Promise::ObservationDtype, "reset");
    finds(Fault::Nan, Promise::ObservationNumber, "step");
    finds(Fault::OtherRow, Promise::ObservationRow, "step_into");
    finds(Fault::OtherRowReward, Promise::ObservationRow, "step_into");
}

#[test]
fn wrong_outcomes_are_found() {
    finds(Fault::Reward, Promise::FiniteReward, "step");
    finds(Fault::BothFlags, Promise::SeparateFlags, "step");
    finds(Fault::Panics, Promise::NoPanic, "an episode");
}

#[test]
fn draws_past_the_seed_are_found() {
    finds(Fault::UnseededReset, Promise::ResetDeterminism, "reset");
    finds(Fault::UnseededStep, Promise::StepDeterminism, "step");
    finds(Fault::UnseededInfo, Promise::InfoDeterminism, "reset");
}

#[test]
fn wrong_resets_are_found() {
    finds(Fault::UnknownOption, Promise::UnknownOption, "reset with");
    finds(Fault::OptionError, Promise::UnknownOption, "reset with");
    finds(
        Fault::StepsBeforeReset,
        Promise::ResetNeeded,
        "step before reset",
    );
    finds(Fault::ResetFails, Promise::ResetAccepted, "reset");
}

#[test]
fn states_that_leave_something_out_are_found() {
    finds(
        Fault::StateForgetsRng,
        Promise::ExactState,
        "after set_state",
    );
    finds(Fault::StateRefused, Promise::ExactState, "set_state");
    finds(Fault::ForeignState, Promise::ForeignState, "set_state");
}

#[test]
fn spaces_that_cannot_be_used_are_found() {
    finds(
        Fault::InvertedBounds,
        Promise::UsableSpace,
        "observation_space",
    );
    finds(Fault::NoChoices, Promise::UsableSpace, "action_space");
    finds(
        Fault::InfiniteBounds,
        Promise::BoundedSpace,
        "observation_space",
    );
    finds(Fault::ChangingSpace, Promise::ConstantSpace, "after");
}

#[test]
fn wrong_answers_to_actions_are_found() {
    finds(Fault::RefusesMember, Promise::ActionAccepted, "step");
    finds(Fault::TakesAnyAction, Promise::ActionRefused, "step with");
    finds(Fault::RefusesTooLate, Promise::ActionRefused, "step with");
    finds(Fault::EmptyMask, Promise::ActionMask, "action_mask");
}

#[test]
fn wrong_pictures_are_found() {
    finds(Fault::RenderFails, Promise::Rendering, "render(ansi)");
    finds(Fault::WrongFrame, Promise::Rendering, "render(rgb_array)");
    finds(Fault::ShortPicture, Promise::Rendering, "render(rgb_array)");
    finds(Fault::RenderDraws, Promise::RenderingIsPassive, "render");
}

#[test]
fn environments_that_differ_do_so_at_a_place() {
    let found = check_environments_match(&mut CartPole::new(), &mut CartPole::new());
    assert_eq!(found, []);

    let found = check_environments_match(&mut CartPole::new(), &mut Walk::with(Fault::None));
    assert_eq!(found[0].promise, Promise::SameSpaces);

    let mut repeated = RepeatAction::new(CartPole::new(), 2).expect("two");
    let found = check_environments_match(&mut CartPole::new(), &mut repeated);
    assert_eq!(
        (found[0].promise, found[0].place.as_str()),
        (Promise::SameSteps, "step 1")
    );

    let mut a = Walk::with(Fault::None);
    let mut b = Walk::with(Fault::UnseededReset);
    let found = check_environments_match(&mut a, &mut b);
    assert_eq!(found[0].promise, Promise::SameResets);

    let mut more = TransformReward::new(CartPole::new(), |reward| reward + 1e-6);
    assert!(!check_environments_match(&mut CartPole::new(), &mut more).is_empty());
    let near = EnvMatch::default().tolerance(1e-5).steps(500).seed(3);
    assert_eq!(near.run(&mut CartPole::new(), &mut more), []);

    let mut told = Walk::with(Fault::UnseededInfo);
    assert!(!check_environments_match(&mut Walk::with(Fault::None), &mut told).is_empty());
    let quiet = EnvMatch::default().ignore_infos();
    assert_eq!(quiet.run(&mut Walk::with(Fault::None), &mut told), []);
}
