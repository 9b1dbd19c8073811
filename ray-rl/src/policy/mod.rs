//! An actor-critic: policy and value network, and the distribution over actions.

mod distribution;

use environments::{Space, rng::Rng};

pub use distribution::{ActionKind, Distribution};

use crate::{
    RlError,
    nn::{Cache, Mlp},
};

/// Whether actions are drawn or the likeliest is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActMode {
    /// Drawn from the distribution.
    Stochastic,
    /// The likeliest.
    Deterministic,
}

/// The shape of an actor-critic; its parameters are one flat slice: policy, value, log deviations.
#[derive(Clone, Debug)]
pub struct ActorCritic {
    policy: Mlp,
    value: Mlp,
    distribution: Distribution,
    observation_len: usize,
}

/// Buffers of one user of an actor-critic.
#[derive(Clone, Debug, Default)]
pub struct Workspace {
    policy: Cache,
    value: Cache,
}

impl ActorCritic {
    /// Returns the networks for these spaces: two separate trunks of `hidden` tanh layers.
    ///
    /// # Errors
    /// An action space without a distribution.
    pub fn new(
        observation: &Space,
        action: &Space,
        hidden: &[usize],
    ) -> Result<ActorCritic, RlError> {
        let observation_len = observation.flat_len();
        let distribution = match action {
            Space::Discrete(space) => Distribution::categorical(space.n as usize, space.start),
            Space::Box(space) => Distribution::gaussian(space.low.clone(), space.high.clone()),
            other => {
                return Err(RlError::Config {
                    name: "env",
                    reason: format!("no policy for actions in {other}"),
                });
            }
        };
        let sizes = |last: usize| [&[observation_len], hidden, &[last]].concat();
        Ok(ActorCritic {
            policy: Mlp::new(&sizes(distribution.parameter_len())),
            value: Mlp::new(&sizes(1)),
            distribution,
            observation_len,
        })
    }

    /// Returns how many parameters there are.
    pub fn parameter_count(&self) -> usize {
        self.policy.parameter_count()
            + self.value.parameter_count()
            + self.distribution.free_parameters()
    }

    /// Returns the distribution over actions.
    pub fn distribution(&self) -> &Distribution {
        &self.distribution
    }

    /// Returns how many numbers an observation has.
    pub fn observation_len(&self) -> usize {
        self.observation_len
    }

    /// Makes initial parameters: orthogonal weights, the policy's last layer small (0.01), the value's 1.
    pub fn init(&self, seed: u64) -> Vec<f32> {
        let mut rng = Rng::stream(seed, stream::INIT, 0);
        let mut parameters = vec![0.0; self.parameter_count()];
        let (policy, rest) = parameters.split_at_mut(self.policy.parameter_count());
        self.policy.init(policy, 0.01, &mut rng);
        self.value
            .init(&mut rest[..self.value.parameter_count()], 1.0, &mut rng);
        parameters
    }

    fn split<'a>(&self, parameters: &'a [f32]) -> (&'a [f32], &'a [f32], &'a [f32]) {
        let (policy, rest) = parameters.split_at(self.policy.parameter_count());
        let (value, free) = rest.split_at(self.value.parameter_count());
        (policy, value, free)
    }

    /// Computes the values of observations `[batch, observation_len]`.
    pub fn values<'a>(
        &self,
        parameters: &[f32],
        observations: &[f32],
        work: &'a mut Workspace,
    ) -> &'a [f32] {
        self.value
            .forward(self.split(parameters).1, observations, &mut work.value)
    }

    /// Chooses an action for each observation; writes actions `[batch, action_len]` and log-probabilities.
    #[allow(
        clippy::too_many_arguments,
        reason = "two inputs, two outputs and what they are made with"
    )]
    pub fn act(
        &self,
        parameters: &[f32],
        observations: &[f32],
        mode: ActMode,
        rng: &mut Rng,
        work: &mut Workspace,
        actions: &mut [f32],
        log_probs: &mut [f32],
    ) {
        let (policy, _, free) = self.split(parameters);
        let outputs = self.policy.forward(policy, observations, &mut work.policy);
        let (width, len) = (
            self.distribution.parameter_len(),
            self.distribution.action_len(),
        );
        for ((row, action), log_prob) in outputs
            .chunks_exact(width)
            .zip(actions.chunks_exact_mut(len))
            .zip(log_probs)
        {
            match mode {
                ActMode::Stochastic => self.distribution.sample(row, free, rng, action),
                ActMode::Deterministic => self.distribution.mode(row, action),
            }
            *log_prob = self.distribution.log_prob(row, free, action);
        }
    }

    /// Runs both networks forward for a loss; the outputs stay in the workspace.
    pub(crate) fn forward(&self, parameters: &[f32], observations: &[f32], work: &mut Workspace) {
        let (policy, value, _) = self.split(parameters);
        self.policy.forward(policy, observations, &mut work.policy);
        self.value.forward(value, observations, &mut work.value);
    }

    pub(crate) fn outputs<'a>(&self, work: &'a Workspace) -> (&'a [f32], &'a [f32]) {
        (work.policy.output(), work.value.output())
    }

    /// Runs both networks backward; `free_gradient` is that of the log deviations.
    pub(crate) fn backward(
        &self,
        parameters: &[f32],
        output_gradient: &[f32],
        value_gradient: &[f32],
        free_gradient: &[f32],
        work: &mut Workspace,
        gradient: &mut [f32],
    ) {
        let (policy, value, _) = self.split(parameters);
        let (policy_gradient, rest) = gradient.split_at_mut(self.policy.parameter_count());
        let (value_part, free_part) = rest.split_at_mut(self.value.parameter_count());
        self.policy
            .backward(policy, output_gradient, &mut work.policy, policy_gradient);
        self.value
            .backward(value, value_gradient, &mut work.value, value_part);
        for (sum, value) in free_part.iter_mut().zip(free_gradient) {
            *sum += value;
        }
    }

    pub(crate) fn free<'a>(&self, parameters: &'a [f32]) -> &'a [f32] {
        self.split(parameters).2
    }
}

/// Purposes of random streams: one seed, no number used twice.
pub(crate) mod stream {
    pub(crate) const INIT: u64 = 1;
    pub(crate) const ACT: u64 = 2;
    pub(crate) const SHUFFLE: u64 = 3;
    pub(crate) const EVALUATE: u64 = 4;
}
