//! Observations, actions and rewards that go through a function, environment by environment.

use super::forward_vector;
use crate::{
    EnvError, Options, Space,
    vector::{Actions, StepBuffers, VectorEnv, check_len},
};

/// A vector environment whose observations go through a function, a row at a time.
///
/// Last observations of episodes go through it too, so a function that remembers rows is not for it.
///
/// ```
/// use environments::{BoxSpace, make_vec, vector::{AutoresetMode, TransformObservation, VectorEnv}};
///
/// let envs = make_vec("CartPole-v1", 3, AutoresetMode::SameStep)?;
/// let angle = BoxSpace::new(vec![-0.5], vec![0.5]);
/// let mut envs = TransformObservation::new(envs, angle, |seen, shown| shown[0] = seen[2])?;
/// let mut obs = [f32::NAN; 3];
/// envs.reset(Some(0), &mut obs)?;
/// assert!(obs.iter().all(|angle| angle.abs() <= 0.05));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct TransformObservation<V> {
    inner: V,
    space: Space,
    observation_len: usize,
    convert: Box<dyn FnMut(&[f32], &mut [f32]) + Send>,
    /// What the inner environments write.
    seen: StepBuffers,
}

impl<V: VectorEnv> TransformObservation<V> {
    /// Shows what `convert` makes of a row, which is the second one it gets and a member of `space`.
    ///
    /// # Errors
    /// A space whose members have no fixed length.
    pub fn new(
        inner: V,
        space: impl Into<Space>,
        convert: impl FnMut(&[f32], &mut [f32]) + Send + 'static,
    ) -> Result<TransformObservation<V>, EnvError> {
        let space = space.into();
        Ok(TransformObservation {
            observation_len: row_len(&space)?,
            seen: StepBuffers::for_env(&inner),
            inner,
            space,
            convert: Box::new(convert),
        })
    }

    /// Shows the rows of which `which` says so.
    fn show(&mut self, obs: &mut [f32], which: impl Fn(usize) -> bool) {
        let seen = self.seen.obs.chunks_exact(self.inner.observation_len());
        let shown = obs.chunks_exact_mut(self.observation_len);
        for (_, (seen, shown)) in seen.zip(shown).enumerate().filter(|(at, _)| which(*at)) {
            (self.convert)(seen, shown);
        }
    }

    fn check_obs(&self, obs: &[f32]) -> Result<(), EnvError> {
        check_len("obs", obs.len(), self.num_envs() * self.observation_len)
    }
}

/// Swaps everything but the observations.
fn swap_outcomes(a: &mut StepBuffers, b: &mut StepBuffers) {
    std::mem::swap(&mut a.rewards, &mut b.rewards);
    std::mem::swap(&mut a.terminated, &mut b.terminated);
    std::mem::swap(&mut a.truncated, &mut b.truncated);
    std::mem::swap(&mut a.has_final, &mut b.has_final);
    std::mem::swap(&mut a.episode_return, &mut b.episode_return);
    std::mem::swap(&mut a.episode_length, &mut b.episode_length);
    std::mem::swap(&mut a.infos, &mut b.infos);
    std::mem::swap(&mut a.final_infos, &mut b.final_infos);
}

impl<V: VectorEnv> VectorEnv for TransformObservation<V> {
    forward_vector!(inner: actions, masks, rest);

    fn single_observation_space(&self) -> Space {
        self.space.clone()
    }

    fn observation_len(&self) -> usize {
        self.observation_len
    }

    fn reset(&mut self, seed: Option<u64>, obs: &mut [f32]) -> Result<(), EnvError> {
        self.check_obs(obs)?;
        self.inner.reset(seed, &mut self.seen.obs)?;
        self.show(obs, |_| true);
        Ok(())
    }

    fn reset_with(
        &mut self,
        seeds: &[Option<u64>],
        options: &Options,
        obs: &mut [f32],
    ) -> Result<(), EnvError> {
        self.check_obs(obs)?;
        self.inner.reset_with(seeds, options, &mut self.seen.obs)?;
        self.show(obs, |_| true);
        Ok(())
    }

    fn reset_where(&mut self, mask: &[bool], obs: &mut [f32]) -> Result<(), EnvError> {
        self.check_obs(obs)?;
        self.inner.reset_where(mask, &mut self.seen.obs)?;
        self.show(obs, |at| mask[at]);
        Ok(())
    }

    fn step(&mut self, actions: Actions<'_>, out: &mut StepBuffers) -> Result<(), EnvError> {
        out.check(self.num_envs(), self.observation_len)?;
        swap_outcomes(&mut self.seen, out);
        let result = self.inner.step(actions, &mut self.seen);
        swap_outcomes(&mut self.seen, out);
        result?;
        self.show(&mut out.obs, |_| true);
        let seen = self
            .seen
            .final_obs
            .chunks_exact(self.inner.observation_len());
        let shown = out.final_obs.chunks_exact_mut(self.observation_len);
        for ((seen, shown), _) in seen.zip(shown).zip(&out.has_final).filter(|(_, has)| **has) {
            (self.convert)(seen, shown);
        }
        Ok(())
    }
}

/// A vector environment whose actions go through a function, all at once.
///
/// It knows no action masks, for the environments' are of other actions.
///
/// ```
/// use environments::{BoxSpace, make_vec, vector::*};
///
/// let envs = make_vec("Pendulum-v1", 2, AutoresetMode::SameStep)?;
/// let share = BoxSpace::new(vec![-1.0], vec![1.0]);
/// let mut envs = TransformAction::continuous(envs, share, |actions, torques| {
///     for (torque, share) in torques.iter_mut().zip(actions.continuous().unwrap_or(&[])) {
///         *torque = 2.0 * share.clamp(-1.0, 1.0);
///     }
/// });
/// let mut out = StepBuffers::for_env(&envs);
/// envs.reset(Some(0), &mut out.obs)?;
/// envs.step(Actions::Continuous(&[1.0, -3.0]), &mut out)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct TransformAction<V> {
    inner: V,
    space: Space,
    action_len: usize,
    convert: Convert,
}

enum Convert {
    Discrete(Box<dyn FnMut(Actions<'_>, &mut [i64]) + Send>, Vec<i64>),
    Continuous(Box<dyn FnMut(Actions<'_>, &mut [f32]) + Send>, Vec<f32>),
}

impl<V: VectorEnv> TransformAction<V> {
    /// Takes actions from `space` for environments that choose; `convert` writes the choices of all.
    pub fn discrete(
        inner: V,
        space: impl Into<Space>,
        convert: impl FnMut(Actions<'_>, &mut [i64]) + Send + 'static,
    ) -> TransformAction<V> {
        let len = inner.num_envs() * inner.single_action_space().flat_len();
        TransformAction::with(
            inner,
            space.into(),
            Convert::Discrete(Box::new(convert), vec![0; len]),
        )
    }

    /// Takes actions from `space` for environments that do numbers; `convert` writes the numbers of all.
    pub fn continuous(
        inner: V,
        space: impl Into<Space>,
        convert: impl FnMut(Actions<'_>, &mut [f32]) + Send + 'static,
    ) -> TransformAction<V> {
        let len = inner.num_envs() * inner.single_action_space().flat_len();
        TransformAction::with(
            inner,
            space.into(),
            Convert::Continuous(Box::new(convert), vec![0.0; len]),
        )
    }

    fn with(inner: V, space: Space, convert: Convert) -> TransformAction<V> {
        TransformAction {
            inner,
            action_len: space.flat_len(),
            space,
            convert,
        }
    }
}

impl<V: VectorEnv> VectorEnv for TransformAction<V> {
    forward_vector!(inner: observations, observation_len, resets, rest);

    fn single_action_space(&self) -> Space {
        self.space.clone()
    }

    fn step(&mut self, actions: Actions<'_>, out: &mut StepBuffers) -> Result<(), EnvError> {
        let found = match actions {
            Actions::Discrete(choices) => choices.len(),
            Actions::Continuous(values) => values.len(),
        };
        check_len("actions", found, self.inner.num_envs() * self.action_len)?;
        match &mut self.convert {
            Convert::Discrete(convert, choices) => {
                convert(actions, choices);
                self.inner.step(Actions::Discrete(choices), out)
            }
            Convert::Continuous(convert, values) => {
                convert(actions, values);
                self.inner.step(Actions::Continuous(values), out)
            }
        }
    }
}

/// A vector environment whose rewards go through a function.
///
/// `episode_return` stays that of the rewards as they were.
pub struct TransformReward<V> {
    inner: V,
    convert: Box<dyn FnMut(f64) -> f64 + Send>,
}

impl<V: VectorEnv> TransformReward<V> {
    /// Pays what the function returns.
    pub fn new(inner: V, convert: impl FnMut(f64) -> f64 + Send + 'static) -> TransformReward<V> {
        TransformReward {
            inner,
            convert: Box::new(convert),
        }
    }
}

impl<V: VectorEnv> VectorEnv for TransformReward<V> {
    forward_vector!(inner: actions, observations, observation_len, masks, resets, rest);

    fn step(&mut self, actions: Actions<'_>, out: &mut StepBuffers) -> Result<(), EnvError> {
        self.inner.step(actions, out)?;
        for reward in &mut out.rewards {
            *reward = (self.convert)(*reward);
        }
        Ok(())
    }
}

fn row_len(space: &Space) -> Result<usize, EnvError> {
    match space.flat_len() {
        0 => Err(EnvError::NotSupported(format!(
            "members of {space} have no fixed length, so they make no rows"
        ))),
        len => Ok(len),
    }
}
