//! Environments of one kind stepped in lanes: the states lie side by side, and one instruction advances several.
//!
//! A [`Dynamics`] says how a block of [`LANES`] states moves; [`LanesVectorEnv`] does the rest. Each environment
//! has its own generator, seeded like the scalar form's, so both go through the same episodes up to the last
//! bits of sine and cosine.

mod acrobot;
mod cartpole;
mod mountain_car;
mod pendulum;
mod trig;

use multiversion::multiversion;

pub(crate) use acrobot::AcrobotLanes;
pub(crate) use cartpole::CartPoleLanes;
pub(crate) use mountain_car::MountainCarLanes;
pub(crate) use pendulum::PendulumLanes;

use super::{Actions, AutoresetMode, Progress, StepBuffers, VectorEnv, check_len};
use crate::{EnvError, Options, Space, State, registry::VectorConfig, rng::Rng};

/// How many states a block has.
pub(crate) const LANES: usize = 16;

/// A block of states of `S` numbers each.
pub(crate) type Block<const S: usize> = [[f64; LANES]; S];

/// How environments with states of `S` numbers and observations of `D` move.
///
/// What it computes must not depend on the lane, and its methods must inline: they are compiled for each kind of
/// processor.
pub(crate) trait Dynamics<const S: usize, const D: usize>: Send + Sync + 'static {
    /// What an agent does: one number.
    type Action: Copy + Default + Send + 'static;

    /// Returns the space of an observation.
    fn observation_space(&self) -> Space;

    /// Returns the space of an action.
    fn action_space(&self) -> Space;

    /// Returns the actions when they are of this kind.
    fn actions<'a>(actions: Actions<'a>) -> Option<&'a [Self::Action]>;

    /// Returns whether an action may be done.
    fn is_valid(action: Self::Action) -> bool;

    /// Advances a block by one step.
    fn advance(
        &self,
        state: &mut Block<S>,
        actions: &[Self::Action; LANES],
        rewards: &mut [f64; LANES],
        terminated: &mut [bool; LANES],
    );

    /// Writes what the agents of a block see.
    fn observe(state: &Block<S>, obs: &mut [[f32; D]; LANES]);

    /// Draws the state that an episode begins in, and says what the agent sees.
    fn start(&self, rng: &mut Rng, options: &Options) -> Result<([f64; S], [f32; D]), EnvError>;
}

/// Environments that are stepped in lanes.
pub(crate) struct LanesVectorEnv<K, const S: usize, const D: usize> {
    dynamics: K,
    mode: AutoresetMode,
    limit: u32,
    blocks: Vec<Block<S>>,
    rngs: Vec<Rng>,
    /// Whose episode has ended and waits for a reset.
    has_ended: Vec<bool>,
    is_started: bool,
    returns: Vec<f64>,
    lengths: Vec<u32>,
    /// In which blocks the last step ended an episode.
    ends: Vec<bool>,
}

impl<K: Dynamics<S, D>, const S: usize, const D: usize> LanesVectorEnv<K, S, D> {
    /// Makes as many environments as the configuration says.
    pub(crate) fn new(dynamics: K, config: &VectorConfig) -> LanesVectorEnv<K, S, D> {
        let n = config.num_envs;
        LanesVectorEnv {
            dynamics,
            mode: config.autoreset_mode,
            limit: config.max_episode_steps.unwrap_or(u32::MAX),
            blocks: vec![[[0.0; LANES]; S]; n.div_ceil(LANES)],
            rngs: (0..n).map(|_| Rng::from_entropy()).collect(),
            has_ended: vec![false; n],
            is_started: false,
            returns: vec![0.0; n],
            lengths: vec![0; n],
            ends: vec![false; n.div_ceil(LANES)],
        }
    }

    fn restart(
        &mut self,
        at: usize,
        options: &Options,
        row: &mut [f32; D],
    ) -> Result<(), EnvError> {
        let (state, observation) = self.dynamics.start(&mut self.rngs[at], options)?;
        self.put(at, &state);
        *row = observation;
        self.has_ended[at] = false;
        self.returns[at] = 0.0;
        self.lengths[at] = 0;
        Ok(())
    }

    fn put(&mut self, at: usize, state: &[f64; S]) {
        let block = &mut self.blocks[at / LANES];
        for (numbers, number) in block.iter_mut().zip(state) {
            numbers[at % LANES] = *number;
        }
    }

    fn check_actions<'a>(&self, actions: Actions<'a>) -> Result<&'a [K::Action], EnvError> {
        let invalid = |action: String| EnvError::InvalidAction {
            action,
            space: self.dynamics.action_space().to_string(),
        };
        let actions = K::actions(actions).ok_or_else(|| invalid("of another kind".into()))?;
        check_len("actions", actions.len(), self.rngs.len())?;
        let are_valid = actions
            .iter()
            .fold(true, |valid, action| valid & K::is_valid(*action));
        match are_valid {
            true => Ok(actions),
            false => Err(invalid("of one environment".into())),
        }
    }

    /// Ends the episodes of a block that has some to end.
    fn end_episodes(&mut self, block: usize, out: &mut StepBuffers) -> Result<(), EnvError> {
        let end = ((block + 1) * LANES).min(self.rngs.len());
        for at in block * LANES..end {
            if !(out.terminated[at] || out.truncated[at]) {
                continue;
            }
            out.episode_return[at] = self.returns[at];
            out.episode_length[at] = self.lengths[at];
            if self.mode != AutoresetMode::SameStep {
                self.has_ended[at] = true;
                continue;
            }
            let (rows, _) = out.obs.as_chunks_mut::<D>();
            let (final_rows, _) = out.final_obs.as_chunks_mut::<D>();
            final_rows[at] = rows[at];
            out.has_final[at] = true;
            self.restart(at, &Options::new(), &mut rows[at])?;
        }
        Ok(())
    }
}

/// What a step of some blocks reads and writes, a row a block.
struct Run<'a, A, const D: usize> {
    actions: &'a [[A; LANES]],
    rewards: &'a mut [[f64; LANES]],
    terminated: &'a mut [[bool; LANES]],
    truncated: &'a mut [[bool; LANES]],
    obs: &'a mut [[[f32; D]; LANES]],
    returns: &'a mut [[f64; LANES]],
    lengths: &'a mut [[u32; LANES]],
    /// In which blocks an episode has ended.
    ends: &'a mut [bool],
}

/// Advances blocks by one step.
#[multiversion(targets("x86_64+avx2+fma", "aarch64+neon"))]
fn advance<K: Dynamics<S, D>, const S: usize, const D: usize>(
    dynamics: &K,
    blocks: &mut [Block<S>],
    run: Run<'_, K::Action, D>,
    limit: u32,
) {
    for (at, block) in blocks.iter_mut().enumerate() {
        let (rewards, terminated) = (&mut run.rewards[at], &mut run.terminated[at]);
        let (truncated, lengths) = (&mut run.truncated[at], &mut run.lengths[at]);
        dynamics.advance(block, &run.actions[at], rewards, terminated);
        K::observe(block, &mut run.obs[at]);
        let mut any = false;
        for lane in 0..LANES {
            run.returns[at][lane] += rewards[lane];
            lengths[lane] = lengths[lane].saturating_add(1);
            truncated[lane] = lengths[lane] >= limit;
            any |= terminated[lane] | truncated[lane];
        }
        run.ends[at] = any;
    }
}

impl<K: Dynamics<S, D>, const S: usize, const D: usize> LanesVectorEnv<K, S, D> {
    /// Advances all environments; returns nothing of resets.
    fn advance_all(&mut self, actions: &[K::Action], out: &mut StepBuffers) {
        let full = self.rngs.len() / LANES;
        let (blocks, last) = self.blocks.split_at_mut(full);
        let (actions, actions_left) = actions.as_chunks::<LANES>();
        let (rewards, rewards_left) = out.rewards.as_chunks_mut::<LANES>();
        let (terminated, terminated_left) = out.terminated.as_chunks_mut::<LANES>();
        let (truncated, truncated_left) = out.truncated.as_chunks_mut::<LANES>();
        let (rows, _) = out.obs.as_chunks_mut::<D>();
        let (obs, obs_left) = rows.as_chunks_mut::<LANES>();
        let (returns, returns_left) = self.returns.as_chunks_mut::<LANES>();
        let (lengths, lengths_left) = self.lengths.as_chunks_mut::<LANES>();
        let (ends, last_ends) = self.ends.split_at_mut(full);
        let run = Run {
            actions,
            rewards,
            terminated,
            truncated,
            obs,
            returns,
            lengths,
            ends,
        };
        advance(&self.dynamics, blocks, run, self.limit);
        let left = actions_left.len();
        if left == 0 {
            return;
        }
        // The last block is not full: it goes through a copy, whose other lanes are dropped.
        let mut copy = Tail::<K::Action, D>::default();
        copy.actions[0][..left].copy_from_slice(actions_left);
        copy.returns[0][..left].copy_from_slice(returns_left);
        copy.lengths[0][..left].copy_from_slice(lengths_left);
        advance(&self.dynamics, last, copy.run(last_ends), self.limit);
        // They would leave the range that sines are fast in.
        for numbers in &mut last[0] {
            numbers[left..].fill(0.0);
        }
        rewards_left.copy_from_slice(&copy.rewards[0][..left]);
        terminated_left.copy_from_slice(&copy.terminated[0][..left]);
        truncated_left.copy_from_slice(&copy.truncated[0][..left]);
        obs_left.copy_from_slice(&copy.obs[0][..left]);
        returns_left.copy_from_slice(&copy.returns[0][..left]);
        lengths_left.copy_from_slice(&copy.lengths[0][..left]);
    }
}

/// The buffers of one block.
struct Tail<A, const D: usize> {
    actions: [[A; LANES]; 1],
    rewards: [[f64; LANES]; 1],
    terminated: [[bool; LANES]; 1],
    truncated: [[bool; LANES]; 1],
    obs: [[[f32; D]; LANES]; 1],
    returns: [[f64; LANES]; 1],
    lengths: [[u32; LANES]; 1],
}

impl<A: Copy + Default, const D: usize> Default for Tail<A, D> {
    fn default() -> Self {
        Tail {
            actions: [[A::default(); LANES]],
            rewards: [[0.0; LANES]],
            terminated: [[false; LANES]],
            truncated: [[false; LANES]],
            obs: [[[0.0; D]; LANES]],
            returns: [[0.0; LANES]],
            lengths: [[0; LANES]],
        }
    }
}

impl<A, const D: usize> Tail<A, D> {
    fn run<'a>(&'a mut self, ends: &'a mut [bool]) -> Run<'a, A, D> {
        Run {
            actions: &self.actions,
            rewards: &mut self.rewards,
            terminated: &mut self.terminated,
            truncated: &mut self.truncated,
            obs: &mut self.obs,
            returns: &mut self.returns,
            lengths: &mut self.lengths,
            ends,
        }
    }
}

impl<K: Dynamics<S, D>, const S: usize, const D: usize> VectorEnv for LanesVectorEnv<K, S, D> {
    fn num_envs(&self) -> usize {
        self.rngs.len()
    }

    fn single_observation_space(&self) -> Space {
        self.dynamics.observation_space()
    }

    fn single_action_space(&self) -> Space {
        self.dynamics.action_space()
    }

    fn observation_len(&self) -> usize {
        D
    }

    fn autoreset_mode(&self) -> AutoresetMode {
        self.mode
    }

    fn reset(&mut self, seed: Option<u64>, obs: &mut [f32]) -> Result<(), EnvError> {
        check_len("obs", obs.len(), self.num_envs() * D)?;
        for (at, row) in obs.as_chunks_mut::<D>().0.iter_mut().enumerate() {
            if let Some(seed) = seed {
                self.rngs[at] = Rng::new(seed.wrapping_add(at as u64));
            }
            self.restart(at, &Options::new(), row)?;
        }
        self.is_started = true;
        Ok(())
    }

    fn reset_with(
        &mut self,
        seeds: &[Option<u64>],
        options: &Options,
        obs: &mut [f32],
    ) -> Result<(), EnvError> {
        check_len("seeds", seeds.len(), self.num_envs())?;
        check_len("obs", obs.len(), self.num_envs() * D)?;
        for (at, row) in obs.as_chunks_mut::<D>().0.iter_mut().enumerate() {
            if let Some(seed) = seeds[at] {
                self.rngs[at] = Rng::new(seed);
            }
            self.restart(at, options, row)?;
        }
        self.is_started = true;
        Ok(())
    }

    fn reset_where(&mut self, mask: &[bool], obs: &mut [f32]) -> Result<(), EnvError> {
        check_len("mask", mask.len(), self.num_envs())?;
        check_len("obs", obs.len(), self.num_envs() * D)?;
        let rows = obs.as_chunks_mut::<D>().0.iter_mut().enumerate();
        for (at, row) in rows.filter(|(at, _)| mask[*at]) {
            self.restart(at, &Options::new(), row)?;
        }
        Ok(())
    }

    fn step(&mut self, actions: Actions<'_>, out: &mut StepBuffers) -> Result<(), EnvError> {
        out.check(self.num_envs(), D)?;
        let actions = self.check_actions(actions)?;
        if !self.is_started {
            return Err(EnvError::ResetNeeded);
        }
        let waiting = self.has_ended.iter().position(|ended| *ended);
        if let (Some(at), AutoresetMode::Disabled) = (waiting, self.mode) {
            return Err(EnvError::EpisodeEnded { env: at });
        }
        self.advance_all(actions, out);
        out.has_final.fill(false);
        for at in waiting.map_or(0..0, |first| first..self.num_envs()) {
            if self.has_ended[at] {
                // The step was for nothing: this one only resets.
                let row = &mut out.obs.as_chunks_mut::<D>().0[at];
                self.restart(at, &Options::new(), row)?;
                out.rewards[at] = 0.0;
                out.terminated[at] = false;
                out.truncated[at] = false;
            }
        }
        for block in 0..self.blocks.len() {
            if self.ends[block] {
                self.end_episodes(block, out)?;
            }
        }
        Ok(())
    }

    fn states(&self) -> Vec<State> {
        let state = |at: usize| {
            let numbers = self.blocks[at / LANES].iter();
            let state = State {
                values: numbers.map(|numbers| numbers[at % LANES]).collect(),
                rng: self.rngs[at].save(),
                ..State::default()
            };
            let progress = Progress {
                has_ended: self.has_ended[at],
                episode_return: self.returns[at],
                length: self.lengths[at],
            };
            progress.save(state)
        };
        (0..self.num_envs()).map(state).collect()
    }

    fn set_states(&mut self, states: &[State]) -> Result<(), EnvError> {
        check_len("states", states.len(), self.num_envs())?;
        for (at, state) in states.iter().enumerate() {
            let values = state.numbers()?;
            let progress = Progress::load(state)?;
            self.put(at, &values);
            state.restore_rng(&mut self.rngs[at]);
            self.has_ended[at] = progress.has_ended;
            self.returns[at] = progress.episode_return;
            self.lengths[at] = progress.length;
        }
        self.is_started = true;
        Ok(())
    }
}
