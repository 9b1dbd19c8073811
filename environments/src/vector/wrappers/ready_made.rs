//! Transformations that are used often, under Gymnasium's names.
//!
//! Rows are numbers of f32 already, so there are none that change only a shape or a type.

use std::ops::Range;

use super::{
    TransformAction, TransformObservation, TransformReward, delegate_vector, forward_vector,
    refused,
};
use crate::{
    BoxSpace, Dict, Dtype, EnvError, Space, Tuple,
    render::AreaResize,
    vector::{Actions, StepBuffers, VectorEnv},
    wrappers::rescaled,
};

/// A vector environment that takes any numbers as actions and moves them into its bounds.
///
/// ```
/// use environments::{make_vec, vector::*};
///
/// let mut envs = ClipAction::new(make_vec("Pendulum-v1", 2, AutoresetMode::SameStep)?)?;
/// let mut out = StepBuffers::for_env(&envs);
/// envs.reset(Some(0), &mut out.obs)?;
/// envs.step(Actions::Continuous(&[100.0, f32::INFINITY]), &mut out)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ClipAction<V>(TransformAction<V>);

impl<V: VectorEnv> ClipAction<V> {
    /// Takes any finite or infinite numbers.
    ///
    /// # Errors
    /// Actions that are no `Box`.
    pub fn new(inner: V) -> Result<ClipAction<V>, EnvError> {
        let to = action_box(&inner, "ClipAction")?;
        let any = BoxSpace::of_dtype(&to.shape, to.dtype);
        let bounds = (0..to.len()).map(|at| to.bounds(at)).collect::<Vec<_>>();
        let clip = move |at: usize, number: f64| number.clamp(bounds[at].0, bounds[at].1);
        Ok(ClipAction(each_number(inner, any, to.len(), clip)))
    }
}

/// A vector environment that takes actions within other bounds.
pub struct RescaleAction<V>(TransformAction<V>);

impl<V: VectorEnv> RescaleAction<V> {
    /// Takes numbers from `low` to `high` as the whole range of the environments'.
    ///
    /// Numbers outside go on outside in proportion: the environments say what becomes of them.
    ///
    /// # Errors
    /// Actions that are no `Box` of floats with finite bounds, or a `low` that is not below `high`.
    pub fn new(inner: V, low: f64, high: f64) -> Result<RescaleAction<V>, EnvError> {
        let to = action_box(&inner, "RescaleAction")?;
        if !(to.is_bounded() && to.dtype.is_float()) {
            return Err(refused("RescaleAction", "actions with finite bounds"));
        }
        check_bounds("RescaleAction", low, high)?;
        let from = BoxSpace::uniform(low, high, &to.shape, to.dtype);
        let bounds = (0..to.len()).map(|at| to.bounds(at)).collect::<Vec<_>>();
        let rescale = move |at: usize, number: f64| rescaled(number, (low, high), bounds[at]);
        Ok(RescaleAction(each_number(inner, from, to.len(), rescale)))
    }
}

/// A vector environment whose rewards are moved within bounds.
///
/// `episode_return` stays that of the rewards as they were.
pub struct ClipReward<V>(TransformReward<V>);

impl<V: VectorEnv> ClipReward<V> {
    /// Moves every reward into `low..=high`.
    ///
    /// # Errors
    /// Bounds that are no numbers, or the wrong way round.
    pub fn new(inner: V, low: f64, high: f64) -> Result<ClipReward<V>, EnvError> {
        if !matches!(low.partial_cmp(&high), Some(order) if order.is_le()) {
            return Err(refused(
                "ClipReward",
                "a low bound that is not above the high",
            ));
        }
        let clip = move |reward: f64| reward.clamp(low, high);
        Ok(ClipReward(TransformReward::new(inner, clip)))
    }
}

/// A vector environment whose observations are mapped from their bounds to others.
pub struct RescaleObservation<V>(TransformObservation<V>);

impl<V: VectorEnv> RescaleObservation<V> {
    /// Shows the whole range of each number as `low..=high`.
    ///
    /// # Errors
    /// Observations that are no `Box` with finite bounds, or a `low` that is not below `high`.
    pub fn new(inner: V, low: f64, high: f64) -> Result<RescaleObservation<V>, EnvError> {
        const NAME: &str = "RescaleObservation";
        let from = match inner.single_observation_space() {
            Space::Box(space) if space.is_bounded() => space,
            _ => return Err(refused(NAME, "a `Box` with finite bounds as observations")),
        };
        check_bounds(NAME, low, high)?;
        let space = BoxSpace::uniform(low, high, &from.shape, Dtype::F32);
        let bounds = (0..from.len()).map(|at| from.bounds(at));
        let bounds = bounds.collect::<Vec<_>>();
        let rescale = move |seen: &[f32], shown: &mut [f32]| {
            for ((shown, seen), from) in shown.iter_mut().zip(seen).zip(&bounds) {
                *shown = rescaled(f64::from(*seen), *from, (low, high)) as f32;
            }
        };
        TransformObservation::new(inner, space, rescale).map(RescaleObservation)
    }
}

/// A vector environment that shows some parts of a `Dict` or `Tuple`.
pub struct FilterObservation<V>(TransformObservation<V>);

impl<V: VectorEnv> FilterObservation<V> {
    /// Shows the named parts of a `Dict`.
    ///
    /// # Errors
    /// Observations that are no `Dict`, no names, or one that is not there.
    pub fn names(inner: V, names: &[&str]) -> Result<FilterObservation<V>, EnvError> {
        const NAME: &str = "FilterObservation::names";
        let Space::Dict(whole) = inner.single_observation_space() else {
            return Err(refused(NAME, "a `Dict` as observations"));
        };
        if let Some(name) = names.iter().find(|name| whole.get(name).is_none()) {
            let there = whole.iter().map(|(name, _)| name).collect::<Vec<_>>();
            let needs = format!("names among {there:?}, which `{name}` is not");
            return Err(refused(NAME, &needs));
        }
        let (mut kept, mut ranges, mut begin) = (Vec::new(), Vec::new(), 0);
        // A row has its parts in the order of the space.
        for (name, part) in whole.iter() {
            let range = begin..begin + part.flat_len();
            begin = range.end;
            if names.contains(&name) {
                kept.push((name, part.clone()));
                ranges.push(range);
            }
        }
        if kept.is_empty() {
            return Err(refused(NAME, "one name or more"));
        }
        FilterObservation::keep(inner, Dict::new(kept).into(), ranges)
    }

    /// Shows the parts of a `Tuple` at these places, in this order.
    ///
    /// # Errors
    /// Observations that are no `Tuple`, no places, or one past the end.
    pub fn indices(inner: V, indices: &[usize]) -> Result<FilterObservation<V>, EnvError> {
        const NAME: &str = "FilterObservation::indices";
        let Space::Tuple(whole) = inner.single_observation_space() else {
            return Err(refused(NAME, "a `Tuple` as observations"));
        };
        let (mut kept, mut ranges) = (Vec::new(), Vec::new());
        for at in indices {
            let Some(part) = whole.spaces.get(*at) else {
                let needs = format!("places below {}", whole.spaces.len());
                return Err(refused(NAME, &needs));
            };
            let begin = whole.spaces[..*at].iter().map(Space::flat_len).sum();
            kept.push(part.clone());
            ranges.push(begin..begin + part.flat_len());
        }
        if kept.is_empty() {
            return Err(refused(NAME, "one place or more"));
        }
        FilterObservation::keep(inner, Tuple::new(kept).into(), ranges)
    }

    fn keep(
        inner: V,
        space: Space,
        ranges: Vec<Range<usize>>,
    ) -> Result<FilterObservation<V>, EnvError> {
        let filter = move |seen: &[f32], shown: &mut [f32]| {
            let mut rest = shown;
            for range in &ranges {
                let (part, after) = rest.split_at_mut(range.len());
                part.copy_from_slice(&seen[range.clone()]);
                rest = after;
            }
        };
        TransformObservation::new(inner, space, filter).map(FilterObservation)
    }
}

/// A vector environment whose observations have choices in one-hot form.
///
/// Without it, a row has a choice as one number. What is no choice stays as it is.
pub struct FlattenObservation<V>(TransformObservation<V>);

impl<V: VectorEnv> FlattenObservation<V> {
    /// Shows flat arrays of numbers.
    ///
    /// # Errors
    /// Observations with texts in them, whose letters have numbers of their own.
    pub fn new(inner: V) -> Result<FlattenObservation<V>, EnvError> {
        let whole = inner.single_observation_space();
        if has_text(&whole) {
            return Err(refused("FlattenObservation", "observations without texts"));
        }
        let space = whole.flatten_space();
        let flatten = move |seen: &[f32], shown: &mut [f32]| {
            let (mut seen, mut shown) = (seen, shown);
            flatten_row(&whole, &mut seen, &mut shown);
        };
        TransformObservation::new(inner, space, flatten).map(FlattenObservation)
    }
}

fn has_text(space: &Space) -> bool {
    match space {
        Space::Text(_) => true,
        Space::Dict(parts) => parts.iter().any(|(_, part)| has_text(part)),
        Space::Tuple(parts) => parts.spaces.iter().any(has_text),
        _ => false,
    }
}

/// Writes a member's numbers in flat form; both rows are then what follows.
fn flatten_row(space: &Space, seen: &mut &[f32], shown: &mut &mut [f32]) {
    let mut put = |numbers: usize, one_hot: Option<(i64, i64)>| {
        let from = seen.split_off(..numbers).unwrap_or_default();
        let Some((n, start)) = one_hot else {
            let to = shown.split_off_mut(..numbers).unwrap_or_default();
            to.copy_from_slice(from);
            return;
        };
        let to = shown.split_off_mut(..n as usize).unwrap_or_default();
        to.fill(0.0);
        to[(from[0] as i64 - start) as usize] = 1.0;
    };
    match space {
        Space::Discrete(choice) => put(1, Some((choice.n, choice.start))),
        Space::MultiDiscrete(choices) => choices
            .choices()
            .for_each(|choice| put(1, Some((choice.n, choice.start)))),
        Space::Dict(parts) => parts
            .iter()
            .for_each(|(_, part)| flatten_row(part, seen, shown)),
        Space::Tuple(parts) => parts
            .spaces
            .iter()
            .for_each(|part| flatten_row(part, seen, shown)),
        other => put(other.flat_len(), None),
    }
}

/// A vector environment whose pictures are gray.
///
/// Brightness is 0.2125 red + 0.7154 green + 0.0721 blue, rounded down.
pub struct GrayscaleObservation<V>(TransformObservation<V>);

impl<V: VectorEnv> GrayscaleObservation<V> {
    /// Shows pictures `[height, width, 3]` as `[height, width]`.
    ///
    /// # Errors
    /// Observations that are no such pictures of bytes.
    pub fn new(inner: V) -> Result<GrayscaleObservation<V>, EnvError> {
        let [height, width, 3] = picture_shape(&inner, "GrayscaleObservation")?[..] else {
            return Err(refused("GrayscaleObservation", "pictures of three colors"));
        };
        let space = BoxSpace::uniform(0.0, 255.0, &[height, width], Dtype::U8);
        let gray = |seen: &[f32], shown: &mut [f32]| {
            for (shown, pixel) in shown.iter_mut().zip(seen.as_chunks::<3>().0) {
                let [red, green, blue] = pixel.map(f64::from);
                *shown = (0.2125 * red + 0.7154 * green + 0.0721 * blue).floor() as f32;
            }
        };
        TransformObservation::new(inner, space, gray).map(GrayscaleObservation)
    }
}

/// A vector environment whose pictures have another size, each pixel the mean of the area that it covers.
pub struct ResizeObservation<V>(TransformObservation<V>);

impl<V: VectorEnv> ResizeObservation<V> {
    /// Shows pictures `[_, _]` or `[_, _, channels]` with `height` rows of `width` pixels.
    ///
    /// # Errors
    /// Observations that are no such pictures of bytes, or a size of 0.
    pub fn new(inner: V, height: usize, width: usize) -> Result<ResizeObservation<V>, EnvError> {
        let from = picture_shape(&inner, "ResizeObservation")?;
        if !matches!(from.len(), 2 | 3) || height == 0 || width == 0 || from.contains(&0) {
            return Err(refused("ResizeObservation", "pictures, and a size above 0"));
        }
        let shape = [&[height, width], &from[2..]].concat();
        let channels = from.get(2).copied().unwrap_or(1);
        let area = AreaResize::new([from[0], from[1]], [height, width], channels);
        let resize = move |seen: &[f32], shown: &mut [f32]| {
            let mut shown = shown.iter_mut();
            let put = |mean: f64| {
                if let Some(number) = shown.next() {
                    *number = mean.round_ties_even() as f32;
                }
            };
            area.resize(|at| f64::from(seen[at]), put);
        };
        let space = BoxSpace::uniform(0.0, 255.0, &shape, Dtype::U8);
        TransformObservation::new(inner, space, resize).map(ResizeObservation)
    }
}

delegate_vector!(
    ClipReward,
    RescaleObservation,
    FilterObservation,
    FlattenObservation,
    GrayscaleObservation,
    ResizeObservation
);

/// Makes vector environments of wrappers that take numbers as actions, and nothing else.
macro_rules! delegate_numbers {
    ($($wrapper:ident),*) => {
        $(impl<V: VectorEnv> VectorEnv for $wrapper<V> {
            forward_vector!(0: actions, observations, observation_len, masks, resets, rest);

            fn step(
                &mut self,
                actions: Actions<'_>,
                out: &mut StepBuffers,
            ) -> Result<(), EnvError> {
                let numbers = actions.continuous().unwrap_or(&[f32::NAN]);
                if numbers.iter().any(|number| number.is_nan()) {
                    return Err(EnvError::InvalidAction {
                        action: "that is no number".into(),
                        space: self.0.single_action_space().to_string(),
                    });
                }
                self.0.step(actions, out)
            }
        })*
    };
}

delegate_numbers!(ClipAction, RescaleAction);

fn action_box(envs: &impl VectorEnv, wrapper: &str) -> Result<BoxSpace, EnvError> {
    match envs.single_action_space() {
        Space::Box(space) => Ok(space),
        other => Err(refused(
            wrapper,
            &format!("a `Box` as actions and not {other}"),
        )),
    }
}

fn check_bounds(wrapper: &str, low: f64, high: f64) -> Result<(), EnvError> {
    match low < high && low.is_finite() && high.is_finite() {
        true => Ok(()),
        false => Err(refused(wrapper, "a low bound below the high")),
    }
}

fn picture_shape(envs: &impl VectorEnv, wrapper: &str) -> Result<Vec<usize>, EnvError> {
    match envs.single_observation_space() {
        Space::Box(space)
            if space.dtype == Dtype::U8
                && (0..space.len()).all(|at| space.bounds(at) == (0.0, 255.0)) =>
        {
            Ok(space.shape)
        }
        _ => Err(refused(wrapper, "pictures of bytes from 0 to 255")),
    }
}

/// Returns environments whose actions' numbers go through a function that knows their place in an action.
fn each_number<V: VectorEnv>(
    inner: V,
    space: BoxSpace,
    len: usize,
    convert: impl Fn(usize, f64) -> f64 + Send + 'static,
) -> TransformAction<V> {
    TransformAction::continuous(inner, space, move |actions: Actions<'_>, converted| {
        let given = actions.continuous().unwrap_or_default();
        for (at, (to, from)) in converted.iter_mut().zip(given).enumerate() {
            *to = convert(at % len, f64::from(*from)) as f32;
        }
    })
}
