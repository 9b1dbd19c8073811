//! Experience: sampling it from a vector environment, and advantages.

use environments::{
    EnvError, make_vec,
    rng::Rng,
    vector::{Actions, AutoresetMode, StepBuffers, VectorEnv},
};
use ray_core::Data;

use crate::{
    RlError,
    policy::{ActMode, ActionKind, ActorCritic, Workspace, stream},
};

/// `T` steps of `N` environments, step by step: index `t * N + n`.
#[derive(Data, Clone, Debug, Default, PartialEq)]
pub struct Rollout {
    /// How many steps, `T`.
    pub steps: u32,
    /// How many environments, `N`.
    pub envs: u32,
    /// `[T, N, observation_len]`: what the policy saw.
    pub observations: Vec<f32>,
    /// `[T, N, action_len]`: what it did, unclipped.
    pub actions: Vec<f32>,
    /// `[T, N]`: log-probabilities of that.
    pub log_probs: Vec<f32>,
    /// `[T, N]`: values of what it saw.
    pub values: Vec<f32>,
    /// `[T, N]`: undiscounted rewards.
    pub rewards: Vec<f32>,
    /// `[T, N]`: the value of what followed: 0 after a terminated step, that of the final observation after
    /// a truncated one.
    pub next_values: Vec<f32>,
    /// `[T, N]`: 1 where the episode ended with the step, for whatever reason.
    pub ended: Vec<u8>,
    /// `[T, N]`: 1 where the step is no transition, because its environment was lost with its process.
    pub lost: Vec<u8>,
    /// Returns of the episodes that ended, in order.
    pub episode_returns: Vec<f64>,
    /// Their lengths; steps.
    pub episode_lengths: Vec<u32>,
    /// The version of the weights that acted.
    pub weights_version: u64,
}

/// Steps a vector environment with a policy.
pub struct Sampler {
    model: ActorCritic,
    envs: Box<dyn VectorEnv>,
    out: StepBuffers,
    rng: Rng,
    work: Workspace,
    values: Vec<f32>,
    choices: Vec<i64>,
    clipped: Vec<f32>,
}

impl Sampler {
    /// Makes the environments of runner `index` and begins their first episodes.
    ///
    /// Environment `i` of all runners together gets `seed + i`, whatever the runners are.
    ///
    /// # Errors
    /// An unknown environment, or actions without a distribution.
    pub fn new(
        env: &str,
        envs: usize,
        hidden: &[usize],
        seed: u64,
        index: usize,
    ) -> Result<Sampler, RlError> {
        let envs = make_vec(env, envs, AutoresetMode::SameStep)?;
        Sampler::from_envs(envs, hidden, seed, index)
    }

    /// Takes environments that exist, wherever they are, and begins as [`Sampler::new`] does.
    ///
    /// # Errors
    /// Environments that do not reset in the same step, or actions without a distribution.
    pub fn from_envs(
        mut envs: Box<dyn VectorEnv>,
        hidden: &[usize],
        seed: u64,
        index: usize,
    ) -> Result<Sampler, RlError> {
        if envs.autoreset_mode() != AutoresetMode::SameStep {
            return Err(RlError::Config {
                name: "autoreset_mode",
                reason: "a sampler needs `SameStep`, whose rows all are transitions".into(),
            });
        }
        let model = ActorCritic::new(
            &envs.single_observation_space(),
            &envs.single_action_space(),
            hidden,
        )?;
        let mut out = StepBuffers::for_env(&*envs);
        envs.reset(
            Some(seed.wrapping_add((index * envs.num_envs()) as u64)),
            &mut out.obs,
        )?;
        Ok(Sampler {
            values: vec![0.0; envs.num_envs()],
            model,
            envs,
            out,
            rng: Rng::stream(seed, stream::ACT, index as u64),
            work: Workspace::default(),
            choices: Vec::new(),
            clipped: Vec::new(),
        })
    }

    /// Returns the networks.
    pub fn model(&self) -> &ActorCritic {
        &self.model
    }

    /// Samples `steps` steps of every environment; they go on where the last call ended.
    ///
    /// # Errors
    /// What an environment refuses.
    pub fn sample(&mut self, parameters: &[f32], steps: usize) -> Result<Rollout, RlError> {
        let n = self.envs.num_envs();
        let d = self.envs.observation_len();
        let action_len = self.model.distribution().action_len();
        let total = steps * n;
        let mut rollout = Rollout {
            steps: steps as u32,
            envs: n as u32,
            observations: Vec::with_capacity(total * d),
            actions: vec![0.0; total * action_len],
            log_probs: vec![0.0; total],
            values: Vec::with_capacity(total),
            rewards: Vec::with_capacity(total),
            next_values: vec![0.0; total],
            ended: Vec::with_capacity(total),
            lost: Vec::with_capacity(total),
            ..Rollout::default()
        };
        self.values
            .copy_from_slice(self.model.values(parameters, &self.out.obs, &mut self.work));
        for t in 0..steps {
            rollout.observations.extend_from_slice(&self.out.obs);
            rollout.values.extend_from_slice(&self.values);
            let actions = &mut rollout.actions[t * n * action_len..][..n * action_len];
            let log_probs = &mut rollout.log_probs[t * n..][..n];
            let mode = ActMode::Stochastic;
            self.model.act(
                parameters,
                &self.out.obs,
                mode,
                &mut self.rng,
                &mut self.work,
                actions,
                log_probs,
            );
            step_envs(
                &mut *self.envs,
                &self.model,
                actions,
                &mut self.choices,
                &mut self.clipped,
                &mut self.out,
            )?;
            self.values.copy_from_slice(self.model.values(
                parameters,
                &self.out.obs,
                &mut self.work,
            ));
            for at in 0..n {
                let (terminated, truncated) = (self.out.terminated[at], self.out.truncated[at]);
                let is_lost = self.envs.lost().is_some_and(|lost| lost[at]);
                rollout.lost.push(u8::from(is_lost));
                rollout.rewards.push(self.out.rewards[at] as f32);
                rollout.ended.push(u8::from(terminated || truncated));
                rollout.next_values[t * n + at] = if terminated {
                    0.0
                } else if truncated {
                    let last = &self.out.final_obs[at * d..][..d];
                    self.model.values(parameters, last, &mut self.work)[0]
                } else {
                    self.values[at]
                };
                if (terminated || truncated) && !is_lost {
                    rollout.episode_returns.push(self.out.episode_return[at]);
                    rollout.episode_lengths.push(self.out.episode_length[at]);
                }
            }
        }
        Ok(rollout)
    }
}

/// Does one action each, as the environments take them.
pub(crate) fn step_envs(
    envs: &mut dyn VectorEnv,
    model: &ActorCritic,
    actions: &[f32],
    choices: &mut Vec<i64>,
    clipped: &mut Vec<f32>,
    out: &mut StepBuffers,
) -> Result<(), EnvError> {
    match model.distribution().kind() {
        ActionKind::Discrete => {
            model.distribution().to_choices(actions, choices);
            envs.step(Actions::Discrete(choices), out)
        }
        ActionKind::Continuous => {
            model.distribution().to_clipped(actions, clipped);
            envs.step(Actions::Continuous(clipped), out)
        }
    }
}

/// Computes advantages `[T, N]` by generalized advantage estimation (Schulman et al. 2016, eq. 16).
///
/// `delta = reward + gamma * next_value - value`; the sum stops where an episode ended, and a truncated
/// step still counts the value of what would have followed. Returns are `advantage + value`. A lost step has
/// advantage 0: the one before it counts the value of what it led to.
pub fn gae(rollout: &Rollout, gamma: f32, lambda: f32) -> Vec<f32> {
    let n = rollout.envs as usize;
    let mut advantages = vec![0.0; rollout.rewards.len()];
    for at in (0..rollout.rewards.len()).rev() {
        let delta = rollout.rewards[at] + gamma * rollout.next_values[at] - rollout.values[at];
        let later = match advantages.get(at + n) {
            Some(later) if rollout.ended[at] == 0 => *later,
            _ => 0.0,
        };
        if rollout.lost.get(at) != Some(&1) {
            advantages[at] = delta + gamma * lambda * later;
        }
    }
    advantages
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rollout(values: &[f32], next_values: &[f32], ended: &[u8]) -> Rollout {
        Rollout {
            steps: values.len() as u32,
            envs: 1,
            rewards: vec![1.0; values.len()],
            values: values.to_vec(),
            next_values: next_values.to_vec(),
            ended: ended.to_vec(),
            ..Rollout::default()
        }
    }

    #[test]
    fn advantages_equal_those_worked_by_hand() {
        // gamma 0.5, lambda 0.5. Deltas: 1 + 0.5 * 4 - 2 = 1; 1 + 0.5 * 6 - 4 = 0; 1 + 0 - 6 = -5.
        let terminated = rollout(&[2.0, 4.0, 6.0], &[4.0, 6.0, 0.0], &[0, 0, 1]);
        assert_eq!(
            gae(&terminated, 0.5, 0.5),
            [1.0 + 0.25 * -1.25, 0.25 * -5.0, -5.0]
        );
        // Truncated with a final value of 8: the last delta is 1 + 4 - 6 = -1.
        let truncated = rollout(&[2.0, 4.0, 6.0], &[4.0, 6.0, 8.0], &[0, 0, 1]);
        assert_eq!(gae(&truncated, 0.5, 0.5), [1.0 + 0.25 * -0.25, -0.25, -1.0]);
        // An end in the middle cuts the sum there.
        let middle = rollout(&[2.0, 4.0, 6.0], &[4.0, 0.0, 8.0], &[0, 1, 0]);
        assert_eq!(gae(&middle, 0.5, 0.5), [1.0 + 0.25 * -3.0, -3.0, -1.0]);
    }

    #[test]
    fn a_lost_step_adds_nothing_and_the_one_before_counts_the_value_of_its_observation() {
        let mut lost = rollout(&[2.0, 4.0, 6.0], &[4.0, 9.0, 8.0], &[0, 1, 0]);
        lost.lost = vec![0, 1, 0];
        assert_eq!(gae(&lost, 0.5, 0.5), [1.0, 0.0, -1.0]);
    }

    #[test]
    fn with_lambda_one_an_advantage_is_the_discounted_sum() {
        let rollout = rollout(
            &[0.5, 0.25, 0.125, 2.0],
            &[0.25, 0.125, 2.0, 3.0],
            &[0, 0, 0, 0],
        );
        let found = gae(&rollout, 0.9, 1.0);
        for (start, found) in found.iter().enumerate() {
            let mut expected = -rollout.values[start];
            for (power, _) in (start..4).enumerate() {
                expected += 0.9_f32.powi(power as i32);
            }
            expected += 0.9_f32.powi(4 - start as i32) * 3.0;
            assert!((found - expected).abs() < 1e-5);
        }
    }

    #[test]
    fn environments_do_not_leak_into_each_other() {
        let one = rollout(&[1.0, 2.0], &[2.0, 3.0], &[0, 0]);
        let mut two = one.clone();
        two.envs = 2;
        let interleave =
            |a: &[f32], b: f32| a.iter().flat_map(|value| [*value, b]).collect::<Vec<_>>();
        two.rewards = interleave(&one.rewards, 100.0);
        two.values = interleave(&one.values, 7.0);
        two.next_values = interleave(&one.next_values, 9.0);
        two.ended = vec![0; 4];
        let (alone, together) = (gae(&one, 0.9, 0.9), gae(&two, 0.9, 0.9));
        assert_eq!(alone, [together[0], together[2]]);
    }

    #[test]
    fn a_truncated_episode_is_bootstrapped_from_its_final_observation() {
        let mut sampler = Sampler::new("Pendulum-v1", 1, &[8], 3, 0).expect("a sampler");
        let parameters = sampler.model().init(1);
        let rollout = sampler.sample(&parameters, 401).expect("samples");
        let ends = (0..401)
            .filter(|at| rollout.ended[*at] == 1)
            .collect::<Vec<_>>();
        assert_eq!(ends, [199, 399]);
        for at in ends {
            assert_ne!(rollout.next_values[at], 0.0, "Pendulum never terminates");
            assert_ne!(
                rollout.next_values[at],
                rollout.values[at + 1],
                "what follows is another episode"
            );
        }
        assert_eq!(rollout.episode_lengths, [200, 200]);
    }
}
