//! The last observations together, or one of some steps ago.

use std::collections::VecDeque;

use super::{MapObservation, ObservationMap, refused};
use crate::{Array, ArrayData, Dtype, Env, EnvError, Space, Value};

/// What stands in for observations from before an episode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Padding {
    /// The episode's first observation.
    #[default]
    First,
    /// Zeros, or what of the space is nearest to them.
    Zero,
}

/// Shows the last observations together, the oldest first.
#[derive(Clone, Debug)]
pub struct FrameStack {
    single: Space,
    count: usize,
    padding: Padding,
    frames: VecDeque<Value>,
}

/// An environment that shows its last observations together, the oldest first.
///
/// The space is [`Space::batch`] of the environment's: arrays gain a first dimension.
pub type FrameStackObservation<E> = MapObservation<E, FrameStack>;

impl<E: Env> FrameStackObservation<E> {
    /// Shows the last `count` observations; the episode's first stands in for what was before it.
    ///
    /// # Errors
    /// A count of 0.
    pub fn new(inner: E, count: usize) -> Result<FrameStackObservation<E>, EnvError> {
        if count == 0 {
            return Err(refused("FrameStackObservation", "one observation or more"));
        }
        let map = FrameStack {
            single: inner.observation_space(),
            count,
            padding: Padding::First,
            frames: VecDeque::with_capacity(count + 1),
        };
        Ok(MapObservation { inner, map })
    }

    /// Sets what stands in for observations from before the episode.
    ///
    /// # Errors
    /// Zeros of a space that has none, which is a `Graph`.
    pub fn padding(mut self, padding: Padding) -> Result<FrameStackObservation<E>, EnvError> {
        if padding == Padding::Zero {
            zero(&self.map.single).ok_or_else(|| refused("Padding::Zero", "zeros"))?;
        }
        self.map.padding = padding;
        Ok(self)
    }
}

impl ObservationMap for FrameStack {
    const NAME: &'static str = "frame_stack";

    fn space(&self) -> Space {
        self.single.batch(self.count)
    }

    fn map(&mut self, observation: Value) -> Result<Value, EnvError> {
        if self.frames.is_empty() {
            let before = match self.padding {
                Padding::First => observation.clone(),
                Padding::Zero => zero(&self.single).expect("it was tried when it was asked for"),
            };
            self.frames.extend(vec![before; self.count - 1]);
        }
        self.frames.push_back(observation);
        if self.frames.len() > self.count {
            self.frames.pop_front();
        }
        let frames = self.frames.iter().collect::<Vec<_>>();
        stack(&self.single, &frames)
            .ok_or_else(|| EnvError::Broken("it shows what is not in its space".into()))
    }

    fn begin(&mut self) {
        self.frames.clear();
    }

    fn save(&self) -> Option<Value> {
        Some(Value::List(self.frames.iter().cloned().collect()))
    }

    fn load(&mut self, saved: &Value) -> bool {
        load_frames(&mut self.frames, saved, self.count)
    }
}

/// Shows an observation of some steps ago.
#[derive(Clone, Debug)]
pub struct Delay {
    space: Space,
    steps: usize,
    waiting: VecDeque<Value>,
}

/// An environment that shows each observation some steps late, and zeros until the first.
pub type DelayObservation<E> = MapObservation<E, Delay>;

impl<E: Env> DelayObservation<E> {
    /// Shows each observation `steps` steps late.
    ///
    /// # Errors
    /// Observations of a space that has no zeros, which is a `Graph`.
    pub fn new(inner: E, steps: usize) -> Result<DelayObservation<E>, EnvError> {
        let space = inner.observation_space();
        zero(&space).ok_or_else(|| refused("DelayObservation", "observations with zeros"))?;
        let map = Delay {
            space,
            steps,
            waiting: VecDeque::with_capacity(steps + 1),
        };
        Ok(MapObservation { inner, map })
    }
}

impl ObservationMap for Delay {
    const NAME: &'static str = "delay";

    fn space(&self) -> Space {
        self.space.clone()
    }

    fn map(&mut self, observation: Value) -> Result<Value, EnvError> {
        self.waiting.push_back(observation);
        let due = (self.waiting.len() > self.steps).then(|| self.waiting.pop_front());
        let shown = due.flatten().or_else(|| zero(&self.space));
        Ok(shown.expect("the space has zeros, or there would be no such wrapper"))
    }

    fn begin(&mut self) {
        self.waiting.clear();
    }

    fn save(&self) -> Option<Value> {
        Some(Value::List(self.waiting.iter().cloned().collect()))
    }

    fn load(&mut self, saved: &Value) -> bool {
        load_frames(&mut self.waiting, saved, self.steps)
    }
}

fn load_frames(frames: &mut VecDeque<Value>, saved: &Value, most: usize) -> bool {
    match saved.as_list() {
        Some(saved) if saved.len() <= most => {
            frames.clear();
            frames.extend(saved.iter().cloned());
            true
        }
        _ => false,
    }
}

/// Returns the member of a space that is nearest to zeros; `None` for graphs.
pub(super) fn zero(space: &Space) -> Option<Value> {
    Some(match space {
        Space::Box(space) => {
            let numbers = (0..space.len()).map(|at| {
                let (low, high) = space.bounds(at);
                0.0_f64.clamp(low, high)
            });
            array(&space.shape, ArrayData::from_f64(space.dtype, numbers))
        }
        Space::Discrete(choice) => Value::Int(choice.start),
        Space::MultiDiscrete(space) => {
            let starts = space.choices().map(|choice| choice.start).collect();
            array(&space.shape, ArrayData::I64(starts))
        }
        Space::MultiBinary(space) => array(&space.shape, ArrayData::I8(vec![0; space.len()])),
        Space::Text(space) => {
            let letter = space.letters.first().copied().unwrap_or(' ');
            Value::Text(std::iter::repeat_n(letter, space.min_length).collect())
        }
        Space::Dict(space) => {
            let parts = space
                .iter()
                .map(|(name, part)| Some((name.to_owned(), zero(part)?)));
            Value::Map(parts.collect::<Option<_>>()?)
        }
        Space::Tuple(space) => Value::List(space.spaces.iter().map(zero).collect::<Option<_>>()?),
        Space::Sequence(_) => Value::List(vec![]),
        Space::OneOf(space) => Value::List(vec![Value::Int(0), zero(space.spaces.first()?)?]),
        Space::Graph(_) => return None,
    })
}

/// Returns members as one member of [`Space::batch`]; `None` when some are no members.
fn stack(single: &Space, frames: &[&Value]) -> Option<Value> {
    Some(match single {
        Space::Box(space) => stack_arrays(&space.shape, space.dtype, frames)?,
        Space::MultiDiscrete(space) => stack_arrays(&space.shape, Dtype::I64, frames)?,
        Space::MultiBinary(space) => stack_arrays(&space.shape, Dtype::I8, frames)?,
        Space::Discrete(_) => {
            let choices = frames.iter().map(|frame| frame.as_int());
            Array::from(choices.collect::<Option<Vec<i64>>>()?).into()
        }
        Space::Dict(space) => {
            let part = |(name, part): (&str, &Space)| {
                let frames = frames.iter().map(|frame| frame.as_map()?.get(name));
                let stacked = stack(part, &frames.collect::<Option<Vec<_>>>()?)?;
                Some((name.to_owned(), stacked))
            };
            Value::Map(space.iter().map(part).collect::<Option<_>>()?)
        }
        Space::Tuple(space) => {
            let part = |(at, part): (usize, &Space)| {
                let frames = frames.iter().map(|frame| frame.as_list()?.get(at));
                stack(part, &frames.collect::<Option<Vec<_>>>()?)
            };
            let parts = space.spaces.iter().enumerate().map(part);
            Value::List(parts.collect::<Option<_>>()?)
        }
        _ => Value::List(frames.iter().map(|frame| (*frame).clone()).collect()),
    })
}

fn stack_arrays(shape: &[usize], dtype: Dtype, frames: &[&Value]) -> Option<Value> {
    let arrays = frames.iter().map(|frame| frame.as_array());
    let arrays = arrays.collect::<Option<Vec<_>>>()?;
    let data = match dtype {
        // Pictures, where going through f64 would cost.
        Dtype::U8 => {
            let bytes = arrays.iter().map(|array| match array.data() {
                ArrayData::U8(bytes) => Some(bytes.as_slice()),
                _ => None,
            });
            ArrayData::U8(bytes.collect::<Option<Vec<_>>>()?.concat())
        }
        _ => ArrayData::from_f64(dtype, arrays.iter().flat_map(|array| array.to_f64())),
    };
    Array::new([&[frames.len()], shape].concat(), data).map(Value::Array)
}

fn array(shape: &[usize], data: ArrayData) -> Value {
    let array = Array::new(shape, data);
    array.expect("a space's numbers fill its shape").into()
}
