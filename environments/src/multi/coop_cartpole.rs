//! Cooperative CartPole: two carts on one track, tied together, each with a pole to keep upright.
//!
//! # Description
//! Each agent pushes its own cart, as in CartPole. A spring of 2 N/m and 1.5 m ties the carts, so each feels what the
//! other does, and both fail when one fails: they must keep their poles up and their distance.
//!
//! # Action space
//! `Discrete(2)` for each of the agents `left` and `right`: push the own cart to the left (0) or right (1) with 10 N.
//!
//! # Observation space
//! `Box(8)`: own cart position (m), cart velocity (m/s), pole angle (rad), pole angular velocity (rad/s); the other
//! cart's position and velocity relative to the own one, and the other pole's angle and angular velocity.
//!
//! # Rewards
//! 1 for each agent for every step, the last included.
//!
//! # Starting state
//! Carts at -0.75 m and 0.75 m, and every value off by up to ±0.05.
//!
//! # Episode end
//! Terminated for both when a cart is more than 2.4 m from the middle, a pole leans more than 12°, or the carts are
//! nearer than 0.5 m or farther than 2.5 m; truncated for both after 500 steps.

use super::{AgentId, AgentMap, ParallelEnv, parallel::actions_of};
use crate::{
    BoxSpace, Discrete, EnvError, Frame, Info, Metadata, Options, RenderMode, Space, State, Step,
    envs::cartpole::{FORCE, TAU, THETA_LIMIT, X_LIMIT, accelerations},
    render::{Canvas, Color},
    rng::Rng,
};

/// The environment; state order: the left cart's four values of CartPole, then the right one's.
#[derive(Clone, Debug)]
pub struct CoopCartPole {
    names: [String; 2],
    agents: Vec<AgentId>,
    carts: [[f64; 4]; 2],
    elapsed: u32,
    rng: Rng,
}

impl Default for CoopCartPole {
    fn default() -> Self {
        CoopCartPole::new()
    }
}

impl CoopCartPole {
    /// Returns the environment.
    pub fn new() -> CoopCartPole {
        CoopCartPole {
            names: ["left", "right"].map(str::to_owned),
            agents: Vec::new(),
            carts: [[0.0; 4]; 2],
            elapsed: 0,
            rng: Rng::from_entropy(),
        }
    }

    fn observation(&self, agent: AgentId) -> [f32; 8] {
        let (own, other) = (self.carts[agent.0], self.carts[1 - agent.0]);
        let seen = [
            own[0],
            own[1],
            own[2],
            own[3],
            other[0] - own[0],
            other[1] - own[1],
            other[2],
            other[3],
        ];
        seen.map(|number| number as f32)
    }

    /// Moves both carts by one step of 20 ms (explicit Euler).
    fn advance(&mut self, pushes: [f64; 2]) {
        let pull = STIFFNESS * (self.distance() - REST_LENGTH);
        for (cart, force) in self
            .carts
            .iter_mut()
            .zip([pushes[0] + pull, pushes[1] - pull])
        {
            let [x, x_dot, theta, theta_dot] = *cart;
            let (x_acc, theta_acc) = accelerations(theta_dot, force, theta.sin(), theta.cos());
            *cart = [
                x + TAU * x_dot,
                x_dot + TAU * x_acc,
                theta + TAU * theta_dot,
                theta_dot + TAU * theta_acc,
            ];
        }
    }

    fn distance(&self) -> f64 {
        self.carts[1][0] - self.carts[0][0]
    }

    fn has_failed(&self) -> bool {
        let is_lost = |cart: &[f64; 4]| cart[0].abs() > X_LIMIT || cart[2].abs() > THETA_LIMIT;
        self.carts.iter().any(is_lost) || !(NEAREST..=FARTHEST).contains(&self.distance())
    }
}

impl ParallelEnv for CoopCartPole {
    type Observation = [f32; 8];
    type Action = i64;

    fn possible_agents(&self) -> &[String] {
        &self.names
    }

    fn agents(&self) -> &[AgentId] {
        &self.agents
    }

    fn observation_space(&self, _agent: AgentId) -> Space {
        let far = f32::INFINITY;
        let (x, theta) = (2.0 * X_LIMIT as f32, 2.0 * THETA_LIMIT as f32);
        let high = vec![x, far, theta, far, 2.0 * x, far, theta, far];
        let low = high.iter().map(|bound| -bound).collect();
        Space::Box(BoxSpace::new(low, high))
    }

    fn action_space(&self, _agent: AgentId) -> Space {
        Space::Discrete(Discrete::new(2))
    }

    fn reset(
        &mut self,
        seed: Option<u64>,
        _options: &Options,
    ) -> Result<AgentMap<([f32; 8], Info)>, EnvError> {
        if let Some(seed) = seed {
            self.rng = Rng::new(seed);
        }
        for (cart, middle) in self.carts.iter_mut().zip([-0.75, 0.75]) {
            *cart = std::array::from_fn(|_| self.rng.uniform(-0.05, 0.05));
            cart[0] += middle;
        }
        self.agents = vec![AgentId(0), AgentId(1)];
        self.elapsed = 0;
        let first = |agent: &AgentId| (*agent, (self.observation(*agent), Info::new()));
        Ok(self.agents.iter().map(first).collect())
    }

    fn step(&mut self, actions: &AgentMap<i64>) -> Result<AgentMap<Step<[f32; 8]>>, EnvError> {
        let chosen = actions_of(&self.agents, &self.names, actions)?;
        if let Some(action) = chosen.iter().find(|action| !(0..2).contains(**action)) {
            return Err(EnvError::invalid_action(action, "Discrete(2)"));
        }
        let push = |at: usize| if *chosen[at] == 1 { FORCE } else { -FORCE };
        self.advance([push(0), push(1)]);
        self.elapsed += 1;
        let terminated = self.has_failed();
        let truncated = self.elapsed >= LIMIT;
        let steps = self.agents.iter().map(|agent| {
            let step = Step {
                observation: self.observation(*agent),
                reward: 1.0,
                terminated,
                truncated,
                info: Info::new(),
            };
            (*agent, step)
        });
        let steps = steps.collect();
        if terminated || truncated {
            self.agents.clear();
        }
        Ok(steps)
    }

    fn state(&self) -> State {
        State {
            values: self.carts.concat(),
            elapsed: u64::from(self.elapsed),
            rng: self.rng.save(),
            ..State::default()
        }
    }

    fn set_state(&mut self, state: &State) -> Result<(), EnvError> {
        let (values, rest) = state.values.as_chunks::<4>();
        let carts: [[f64; 4]; 2] = values
            .try_into()
            .ok()
            .filter(|_| rest.is_empty())
            .ok_or_else(|| {
                let found = state.values.len();
                EnvError::InvalidState(format!("it has {found} values and not 8"))
            })?;
        self.elapsed = u32::try_from(state.elapsed)
            .map_err(|error| EnvError::InvalidState(error.to_string()))?;
        self.carts = carts;
        state.restore_rng(&mut self.rng);
        let is_over = self.has_failed() || self.elapsed >= LIMIT;
        let alive = if is_over { 0 } else { 2 };
        self.agents = (0..alive).map(AgentId).collect();
        Ok(())
    }

    fn render(&mut self, mode: RenderMode) -> Result<Frame, EnvError> {
        if mode != RenderMode::RgbArray {
            return Err(EnvError::not_drawn("cooperative CartPole", mode));
        }
        let mut canvas = Canvas::new(600, 300, Color::WHITE);
        let pixels_per_metre = f64::from(canvas.width()) / (2.0 * X_LIMIT);
        let track = 230.0;
        let place = |cart: &[f64; 4]| 300.0 + cart[0] * pixels_per_metre;
        canvas.line((0.0, track), (600.0, track), 1.5, Color::GRAY);
        let tie = [place(&self.carts[0]), place(&self.carts[1])].map(|x| (x, track));
        canvas.line(tie[0], tie[1], 4.0, Color(90, 150, 90));
        for cart in &self.carts {
            let x = place(cart);
            canvas.rect(x - 25.0, track - 15.0, 50.0, 30.0, Color::BLACK);
            let tip = (
                x + cart[2].sin() * pixels_per_metre,
                track - 8.0 - cart[2].cos() * pixels_per_metre,
            );
            canvas.line((x, track - 8.0), tip, 10.0, Color(202, 152, 101));
            canvas.circle((x, track - 8.0), 5.0, Color(129, 132, 203));
        }
        Ok(canvas.into_frame())
    }

    fn metadata(&self) -> Metadata {
        Metadata::new(&[RenderMode::RgbArray], 50)
    }
}

const STIFFNESS: f64 = 2.0;
const REST_LENGTH: f64 = 1.5;
const NEAREST: f64 = 0.5;
const FARTHEST: f64 = 2.5;
const LIMIT: u32 = 500;
