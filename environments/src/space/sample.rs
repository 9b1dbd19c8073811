//! Drawing members of spaces, with masks or probabilities, from one generator or from one per space.

use std::collections::BTreeMap;

use super::{BoxSpace, Discrete, GraphSpace, MultiBinary, Space, SpaceError, TextSpace};
use crate::{Array, ArrayData, Dtype, GraphInstance, Value, rng::Rng};

/// Which members may be drawn, or how likely each is; it has the form of the space.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Mask {
    /// All, as likely as the space says. The only one that `Box` takes.
    #[default]
    Any,
    /// `Discrete`: those with `true`. `Text`: letters.
    Allowed(Vec<bool>),
    /// `Discrete`: how likely each is, together 1. `Text`: letters. `MultiBinary`: how likely a one is.
    Probability(Vec<f64>),
    /// `MultiBinary`: which elements are fixed, and at what.
    Fixed(Vec<Option<bool>>),
    /// `MultiDiscrete`, `Tuple`, `OneOf`: one for each. `Graph`: one for nodes and one for edges.
    Each(Vec<Mask>),
    /// `Dict`: by name; names that are missing take all.
    Named(BTreeMap<String, Mask>),
    /// `Sequence`, `Text`: one of these lengths (none: as the space says), and a mask of the elements.
    Length(Vec<usize>, Box<Mask>),
}

/// A seed of a space: one for all, or one for each of its parts.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Seed {
    /// Seeds the space, whose generator draws the seeds of its parts.
    One(u64),
    /// `Tuple`, `OneOf`: one for each.
    Each(Vec<Seed>),
    /// `Dict`: by name.
    Named(BTreeMap<String, Seed>),
}

/// A space with a generator of its own, and one for each space within it.
///
/// ```
/// use environments::{Discrete, Seed, SpaceSampler};
///
/// let mut sampler = SpaceSampler::new(Discrete::new(6));
/// sampler.seed(&Seed::One(1))?;
/// let first = sampler.sample();
/// sampler.seed(&Seed::One(1))?;
/// assert_eq!(sampler.sample(), first);
/// # Ok::<(), environments::SpaceError>(())
/// ```
#[derive(Clone, Debug)]
pub struct SpaceSampler {
    space: Space,
    generators: Generators,
}

/// A generator for a space and those for its parts.
#[derive(Clone, Debug)]
pub(super) struct Generators {
    own: Rng,
    parts: Vec<Generators>,
}

impl SpaceSampler {
    /// Returns a sampler with a seed from the operating system.
    pub fn new(space: impl Into<Space>) -> SpaceSampler {
        let space = space.into();
        let generators = Generators::grow(&space, Rng::from_entropy().bits());
        SpaceSampler { space, generators }
    }

    /// Returns the space.
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// Starts all generators anew.
    ///
    /// # Errors
    /// Seeds that do not have the form of the space.
    pub fn seed(&mut self, seed: &Seed) -> Result<(), SpaceError> {
        self.generators.seed(&self.space, seed)
    }

    /// Draws a member.
    pub fn sample(&mut self) -> Value {
        draw(
            &self.space,
            &mut Source::Own(&mut self.generators),
            &Mask::Any,
        )
        .expect("every space takes the mask that allows all")
    }

    /// Draws one of the members that `mask` allows, with the probabilities that it gives.
    ///
    /// # Errors
    /// A mask of another form.
    pub fn sample_masked(&mut self, mask: &Mask) -> Result<Value, SpaceError> {
        draw(&self.space, &mut Source::Own(&mut self.generators), mask)
    }
}

/// Returns the spaces within a space.
fn parts(space: &Space) -> Vec<&Space> {
    match space {
        Space::Dict(space) => space.iter().map(|(_, space)| space).collect(),
        Space::Tuple(space) => space.spaces.iter().collect(),
        Space::OneOf(space) => space.spaces.iter().collect(),
        Space::Sequence(space) => vec![&*space.space],
        Space::Graph(space) => {
            let edges = space.edge_space.as_deref();
            std::iter::once(&*space.node_space).chain(edges).collect()
        }
        _ => Vec::new(),
    }
}

impl Generators {
    fn grow(space: &Space, seed: u64) -> Generators {
        let mut own = Rng::new(seed);
        let parts = parts(space)
            .into_iter()
            .map(|part| Generators::grow(part, own.bits()))
            .collect();
        Generators { own, parts }
    }

    fn seed(&mut self, space: &Space, seed: &Seed) -> Result<(), SpaceError> {
        let wrong = || SpaceError::InvalidMask {
            space: space.to_string(),
            reason: "the seeds have another form".into(),
        };
        match seed {
            Seed::One(seed) => *self = Generators::grow(space, *seed),
            Seed::Each(seeds) => {
                let parts = parts(space);
                if parts.len() != seeds.len() {
                    return Err(wrong());
                }
                for ((own, part), seed) in self.parts.iter_mut().zip(parts).zip(seeds) {
                    own.seed(part, seed)?;
                }
            }
            Seed::Named(seeds) => {
                let Space::Dict(dict) = space else {
                    return Err(wrong());
                };
                if seeds.len() != dict.len() {
                    return Err(wrong());
                }
                for (own, (name, part)) in self.parts.iter_mut().zip(dict.iter()) {
                    own.seed(part, seeds.get(name).ok_or_else(wrong)?)?;
                }
            }
        }
        Ok(())
    }
}

/// Where random numbers come from.
pub(super) enum Source<'a> {
    /// One generator for a space and all within.
    One(&'a mut Rng),
    /// One each.
    Own(&'a mut Generators),
}

impl Source<'_> {
    fn rng(&mut self) -> &mut Rng {
        match self {
            Source::One(rng) => rng,
            Source::Own(generators) => &mut generators.own,
        }
    }

    fn part(&mut self, at: usize) -> Source<'_> {
        match self {
            Source::One(rng) => Source::One(rng),
            Source::Own(generators) => Source::Own(&mut generators.parts[at]),
        }
    }
}

/// Draws a member that the mask allows.
pub(super) fn draw(
    space: &Space,
    source: &mut Source<'_>,
    mask: &Mask,
) -> Result<Value, SpaceError> {
    let wrong = |reason: &str| SpaceError::InvalidMask {
        space: space.to_string(),
        reason: reason.to_owned(),
    };
    let none = [];
    let each = |count: usize| match mask {
        Mask::Any => Ok(&none[..]),
        Mask::Each(masks) if masks.len() == count => Ok(&masks[..]),
        _ => Err(wrong("it takes one mask for each of its parts")),
    };
    let of = |masks: &[Mask], at: usize| masks.get(at).cloned().unwrap_or_default();
    Ok(match space {
        Space::Box(space) => match mask {
            Mask::Any => Value::Array(space.sample_array(source.rng())),
            _ => return Err(wrong("it takes none")),
        },
        Space::Discrete(choice) => {
            Value::Int(draw_choice(choice, mask, source.rng()).map_err(wrong)?)
        }
        Space::MultiDiscrete(space) => {
            let masks = each(space.nvec.len())?;
            let mut drawn = Vec::with_capacity(space.nvec.len());
            for (at, choice) in space.choices().enumerate() {
                drawn.push(draw_choice(&choice, &of(masks, at), source.rng()).map_err(wrong)?);
            }
            let array = Array::new(space.shape.clone(), ArrayData::I64(drawn));
            Value::Array(array.expect("one draw an element"))
        }
        Space::MultiBinary(space) => draw_bits(space, mask, source.rng()).map_err(wrong)?,
        Space::Text(space) => Value::Text(draw_text(space, mask, source.rng()).map_err(wrong)?),
        Space::Dict(dict) => {
            let named = match mask {
                Mask::Any => None,
                Mask::Named(masks) if masks.keys().all(|name| dict.get(name).is_some()) => {
                    Some(masks)
                }
                _ => return Err(wrong("it takes masks by the names of its parts")),
            };
            let mut drawn = BTreeMap::new();
            for (at, (name, part)) in dict.iter().enumerate() {
                let mask = named
                    .and_then(|masks| masks.get(name))
                    .unwrap_or(&Mask::Any);
                drawn.insert(name.to_owned(), draw(part, &mut source.part(at), mask)?);
            }
            Value::Map(drawn)
        }
        Space::Tuple(space) => {
            let masks = each(space.spaces.len())?;
            let mut drawn = Vec::with_capacity(space.spaces.len());
            for (at, part) in space.spaces.iter().enumerate() {
                drawn.push(draw(part, &mut source.part(at), &of(masks, at))?);
            }
            Value::List(drawn)
        }
        Space::Sequence(space) => {
            let (lengths, mask) = lengths(mask);
            let length = match lengths {
                // How often a coin with one side in four is thrown until it shows that side.
                [] => (source.rng().exponential() / (4.0_f64 / 3.0).ln()) as usize + 1,
                lengths => lengths[source.rng().below(lengths.len() as u64) as usize],
            };
            let mut part = source.part(0);
            let drawn = (0..length).map(|_| draw(&space.space, &mut part, mask));
            Value::List(drawn.collect::<Result<_, _>>()?)
        }
        Space::OneOf(space) => {
            let masks = each(space.spaces.len())?;
            let index = source.rng().below(space.spaces.len() as u64) as usize;
            let value = draw(
                &space.spaces[index],
                &mut source.part(index),
                &of(masks, index),
            )?;
            Value::List(vec![Value::Int(index as i64), value])
        }
        Space::Graph(space) => {
            let masks = each(2)?;
            draw_graph(space, source, &of(masks, 0), &of(masks, 1))?
        }
    })
}

/// Splits a mask into lengths and what is left for the elements.
fn lengths(mask: &Mask) -> (&[usize], &Mask) {
    match mask {
        Mask::Length(lengths, mask) => (lengths, mask),
        mask => (&[], mask),
    }
}

/// Checks probabilities: as many as needed, none negative, together 1.
fn check_probabilities(probability: &[f64], count: usize) -> Result<(), &'static str> {
    if probability.len() != count || probability.iter().any(|part| !(0.0..=1.0).contains(part)) {
        return Err("it takes one probability for each, in 0 to 1");
    }
    if (probability.iter().sum::<f64>() - 1.0).abs() > 1e-6 {
        return Err("the probabilities do not add up to 1");
    }
    Ok(())
}

fn draw_choice(choice: &Discrete, mask: &Mask, rng: &mut Rng) -> Result<i64, &'static str> {
    match mask {
        Mask::Any => Ok(choice.sample(rng)),
        Mask::Allowed(allowed) if allowed.len() as i64 == choice.n => {
            Ok(choice.sample_masked(allowed, rng))
        }
        Mask::Probability(probability) => {
            check_probabilities(probability, choice.n as usize)?;
            Ok(choice.sample_weighted(probability, rng))
        }
        _ => Err("it takes one truth or one probability for each choice"),
    }
}

fn draw_bits(space: &MultiBinary, mask: &Mask, rng: &mut Rng) -> Result<Value, &'static str> {
    let len = space.len();
    let bits = match mask {
        Mask::Any => (0..len).map(|_| rng.below(2) as i8).collect(),
        Mask::Fixed(fixed) if fixed.len() == len => fixed
            .iter()
            .map(|fixed| fixed.map_or_else(|| rng.below(2) as i8, i8::from))
            .collect(),
        Mask::Probability(probability)
            if probability.len() == len
                && probability.iter().all(|one| (0.0..=1.0).contains(one)) =>
        {
            probability
                .iter()
                .map(|one| i8::from(rng.unit() < *one))
                .collect()
        }
        _ => return Err("it takes what is fixed, or one probability for each element"),
    };
    let array = Array::new(space.shape.clone(), ArrayData::I8(bits));
    Ok(Value::Array(array.expect("one draw an element")))
}

fn draw_text(space: &TextSpace, mask: &Mask, rng: &mut Rng) -> Result<String, &'static str> {
    let (lengths, mask) = lengths(mask);
    let range = space.min_length..=space.max_length;
    if !lengths.iter().all(|length| range.contains(length)) {
        return Err("a length is outside the space's");
    }
    if matches!(mask, Mask::Allowed(allowed) if !allowed.contains(&true)) {
        return match space.min_length {
            0 => Ok(String::new()),
            _ => Err("it allows no letter, and an empty text is not in the space"),
        };
    }
    let length = match lengths {
        [] => {
            space.min_length + rng.below((space.max_length - space.min_length + 1) as u64) as usize
        }
        lengths => lengths[rng.below(lengths.len() as u64) as usize],
    };
    let choice = Discrete::new(space.letters.len() as i64);
    (0..length)
        .map(|_| Ok(space.letters[draw_choice(&choice, mask, rng)? as usize]))
        .collect()
}

fn draw_graph(
    space: &GraphSpace,
    source: &mut Source<'_>,
    node_mask: &Mask,
    edge_mask: &Mask,
) -> Result<Value, SpaceError> {
    let count = GRAPH_NODES as u64;
    let edge_count = match space.edge_space {
        Some(_) => source.rng().below(count * (count - 1)) as usize,
        None => 0,
    };
    let nodes = draw_rows(
        &space.node_space,
        GRAPH_NODES,
        &mut source.part(0),
        node_mask,
    )?;
    let (mut edges, mut edge_links) = (None, None);
    if let (Some(edge_space), 1..) = (&space.edge_space, edge_count) {
        edges = Some(draw_rows(
            edge_space,
            edge_count,
            &mut source.part(1),
            edge_mask,
        )?);
        let links = (0..edge_count * 2).map(|_| source.rng().below(count) as i64);
        edge_links = Array::new([edge_count, 2], ArrayData::I64(links.collect()));
    }
    Ok(Value::Graph(Box::new(GraphInstance {
        nodes,
        edges,
        edge_links,
    })))
}

/// Draws several members of `Box` or `Discrete` into one array.
fn draw_rows(
    space: &Space,
    count: usize,
    source: &mut Source<'_>,
    mask: &Mask,
) -> Result<Array, SpaceError> {
    let (mut numbers, mut shape, mut dtype) = (Vec::new(), vec![count], Dtype::I64);
    if let Space::Box(BoxSpace {
        shape: inner,
        dtype: inner_dtype,
        ..
    }) = space
    {
        shape.extend(inner);
        dtype = *inner_dtype;
    }
    for _ in 0..count {
        match draw(space, source, mask)? {
            Value::Array(array) => numbers.extend(array.to_f64()),
            other => numbers.extend(other.as_float()),
        }
    }
    let array = Array::new(shape, ArrayData::from_f64(dtype, numbers));
    Ok(array.expect("as many rows as the shape says"))
}

/// How many nodes a drawn graph has.
const GRAPH_NODES: usize = 10;
