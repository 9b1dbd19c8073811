//! Simple spread: agents on a plane cover landmarks together, and shun each other.
//!
//! # Description
//! The particle world of Lowe et al. (2017) and Mordatch and Abbeel (2018): discs with inertia and damping, which
//! push each other away. Equal to `simple_spread_v3` of the Python package `mpe2` from the same state.
//!
//! # Action space
//! `Discrete(5)`: nothing (0), push to the left (1), right (2), down (3), up (4).
//!
//! # Observation space
//! `Box(-inf, inf, 6 n)` for n agents, `agent_0` to `agent_{n-1}`: own velocity and position, the landmarks and the
//! other agents relative to oneself, and two zeros for each other agent, where others would speak.
//!
//! # Rewards
//! A half for all alike, minus the distance of the nearest agent to each landmark, summed; a half for each alone,
//! -1 for each other agent that it touches. `local_ratio` sets the latter's part.
//!
//! # Starting state
//! Agents at rest and landmarks, everywhere in ±1 on both axes.
//!
//! # Episode end
//! Truncated for all after 25 steps.

use super::{AgentId, AgentMap, ParallelEnv, parallel::actions_of};
use crate::{
    BoxSpace, Discrete, EnvError, Frame, Info, Metadata, Options, RenderMode, Space, State, Step,
    render::{Canvas, Color},
    rng::Rng,
};

/// The environment.
///
/// State order: for each agent its position and velocity, then for each landmark its position; x before y.
#[derive(Clone, Debug)]
pub struct SimpleSpread {
    names: Vec<String>,
    agents: Vec<AgentId>,
    bodies: Vec<Body>,
    landmarks: Vec<[f64; 2]>,
    local_ratio: f64,
    max_cycles: u32,
    elapsed: u32,
    rng: Rng,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Body {
    position: [f64; 2],
    velocity: [f64; 2],
}

impl Default for SimpleSpread {
    fn default() -> Self {
        SimpleSpread::new()
    }
}

impl SimpleSpread {
    /// Returns the environment of three agents and three landmarks.
    pub fn new() -> SimpleSpread {
        SimpleSpread::with_agents(3)
    }

    /// Returns the environment of `count` agents, at least 1, and as many landmarks.
    pub fn with_agents(count: usize) -> SimpleSpread {
        let count = count.max(1);
        SimpleSpread {
            names: (0..count).map(|at| format!("agent_{at}")).collect(),
            agents: Vec::new(),
            bodies: vec![Body::default(); count],
            landmarks: vec![[0.0; 2]; count],
            local_ratio: 0.5,
            max_cycles: 25,
            elapsed: 0,
            rng: Rng::from_entropy(),
        }
    }

    /// Sets the part of the reward that is each agent's own, from 0 to 1.
    pub fn local_ratio(mut self, value: f64) -> Self {
        self.local_ratio = value.clamp(0.0, 1.0);
        self
    }

    /// Sets after how many steps an episode is cut, at least 1.
    pub fn max_cycles(mut self, value: u32) -> Self {
        self.max_cycles = value.max(1);
        self
    }

    fn observation(&self, agent: AgentId) -> Vec<f32> {
        let own = self.bodies[agent.0];
        let count = self.bodies.len();
        let mut seen = Vec::with_capacity(6 * count);
        seen.extend(own.velocity.iter().chain(&own.position).copied());
        let others = self.bodies.iter().enumerate();
        let others = others.filter(|(at, _)| *at != agent.0);
        let others = others.map(|(_, body)| &body.position);
        for position in self.landmarks.iter().chain(others) {
            seen.extend(minus(*position, own.position));
        }
        seen.resize(6 * count, 0.0);
        seen.into_iter().map(|number| number as f32).collect()
    }

    /// Moves everybody by one step of 0.1 s.
    fn advance(&mut self, pushes: &[[f64; 2]]) {
        let mut forces = pushes.to_vec();
        for a in 0..self.bodies.len() {
            for b in a + 1..self.bodies.len() {
                let push = repulsion(self.bodies[a].position, self.bodies[b].position);
                for axis in 0..2 {
                    forces[a][axis] += push[axis];
                    forces[b][axis] += -push[axis];
                }
            }
        }
        for (body, force) in self.bodies.iter_mut().zip(forces) {
            for (axis, force) in force.into_iter().enumerate() {
                body.position[axis] += body.velocity[axis] * DT;
                body.velocity[axis] *= 1.0 - DAMPING;
                body.velocity[axis] += force * DT;
            }
        }
    }

    /// Returns what all earn alike.
    fn shared_reward(&self) -> f64 {
        let nearest = |landmark: &[f64; 2]| {
            let distances = self.bodies.iter();
            let distances = distances.map(|body| length(minus(body.position, *landmark)));
            distances.fold(f64::INFINITY, f64::min)
        };
        -self.landmarks.iter().map(nearest).sum::<f64>()
    }

    /// Returns what an agent earns alone.
    fn own_reward(&self, agent: AgentId) -> f64 {
        let own = self.bodies[agent.0].position;
        let touches = |(at, body): &(usize, &Body)| {
            *at != agent.0 && length(minus(body.position, own)) < 2.0 * RADIUS
        };
        -(self.bodies.iter().enumerate().filter(touches).count() as f64)
    }
}

impl ParallelEnv for SimpleSpread {
    type Observation = Vec<f32>;
    type Action = i64;

    fn possible_agents(&self) -> &[String] {
        &self.names
    }

    fn agents(&self) -> &[AgentId] {
        &self.agents
    }

    fn observation_space(&self, _agent: AgentId) -> Space {
        let len = 6 * self.bodies.len();
        let high = vec![f32::INFINITY; len];
        Space::Box(BoxSpace::new(vec![f32::NEG_INFINITY; len], high))
    }

    fn action_space(&self, _agent: AgentId) -> Space {
        Space::Discrete(Discrete::new(PUSHES.len() as i64))
    }

    fn reset(
        &mut self,
        seed: Option<u64>,
        _options: &Options,
    ) -> Result<AgentMap<(Vec<f32>, Info)>, EnvError> {
        if let Some(seed) = seed {
            self.rng = Rng::new(seed);
        }
        for body in &mut self.bodies {
            let position = [0, 1].map(|_| self.rng.uniform(-1.0, 1.0));
            *body = Body {
                position,
                velocity: [0.0; 2],
            };
        }
        for landmark in &mut self.landmarks {
            *landmark = [0, 1].map(|_| self.rng.uniform(-1.0, 1.0));
        }
        self.agents = (0..self.bodies.len()).map(AgentId).collect();
        self.elapsed = 0;
        let first = |agent: &AgentId| (*agent, (self.observation(*agent), Info::new()));
        Ok(self.agents.iter().map(first).collect())
    }

    fn step(&mut self, actions: &AgentMap<i64>) -> Result<AgentMap<Step<Vec<f32>>>, EnvError> {
        let chosen = actions_of(&self.agents, &self.names, actions)?;
        let push = |action: &&i64| {
            let found = usize::try_from(**action).ok().and_then(|at| PUSHES.get(at));
            found.copied().ok_or_else(|| {
                EnvError::invalid_action(action, format_args!("Discrete({})", PUSHES.len()))
            })
        };
        let pushes = chosen.iter().map(push).collect::<Result<Vec<_>, _>>()?;
        self.advance(&pushes);
        self.elapsed += 1;
        let truncated = self.elapsed >= self.max_cycles;
        let shared = self.shared_reward() * (1.0 - self.local_ratio);
        let steps = self.agents.iter().map(|agent| {
            let step = Step {
                observation: self.observation(*agent),
                reward: shared + self.own_reward(*agent) * self.local_ratio,
                terminated: false,
                truncated,
                info: Info::new(),
            };
            (*agent, step)
        });
        let steps = steps.collect();
        if truncated {
            self.agents.clear();
        }
        Ok(steps)
    }

    fn state(&self) -> State {
        let bodies = self.bodies.iter();
        let bodies = bodies.flat_map(|body| body.position.into_iter().chain(body.velocity));
        State {
            values: bodies
                .chain(self.landmarks.iter().flatten().copied())
                .collect(),
            elapsed: u64::from(self.elapsed),
            rng: self.rng.save(),
            ..State::default()
        }
    }

    fn set_state(&mut self, state: &State) -> Result<(), EnvError> {
        let count = self.bodies.len();
        if state.values.len() != 6 * count {
            return Err(EnvError::InvalidState(format!(
                "it has {} values and not {}",
                state.values.len(),
                6 * count
            )));
        }
        let elapsed = u32::try_from(state.elapsed)
            .map_err(|error| EnvError::InvalidState(error.to_string()))?;
        let (bodies, landmarks) = state.values.split_at(4 * count);
        for (body, numbers) in self.bodies.iter_mut().zip(bodies.chunks_exact(4)) {
            body.position = [numbers[0], numbers[1]];
            body.velocity = [numbers[2], numbers[3]];
        }
        for (landmark, numbers) in self.landmarks.iter_mut().zip(landmarks.chunks_exact(2)) {
            *landmark = [numbers[0], numbers[1]];
        }
        state.restore_rng(&mut self.rng);
        self.elapsed = elapsed;
        let is_over = elapsed >= self.max_cycles;
        let alive = if is_over { 0 } else { count };
        self.agents = (0..alive).map(AgentId).collect();
        Ok(())
    }

    fn render(&mut self, mode: RenderMode) -> Result<Frame, EnvError> {
        if mode != RenderMode::RgbArray {
            return Err(EnvError::not_drawn("simple spread", mode));
        }
        let mut canvas = Canvas::new(500, 500, Color::WHITE);
        let farthest = |largest: f64, position: &[f64; 2]| {
            position.iter().fold(largest, |a, b| a.max(b.abs()))
        };
        let positions = self.bodies.iter().map(|body| &body.position);
        let range = positions.chain(&self.landmarks).fold(1.0, farthest) + 0.2;
        let scale = 250.0 / range;
        let at = |[x, y]: [f64; 2]| (250.0 + x * scale, 250.0 - y * scale);
        for body in &self.bodies {
            canvas.circle(at(body.position), RADIUS * scale, Color(120, 120, 220));
        }
        for landmark in &self.landmarks {
            canvas.circle(at(*landmark), 0.05 * scale, Color(60, 60, 60));
        }
        Ok(canvas.into_frame())
    }

    fn metadata(&self) -> Metadata {
        Metadata::new(&[RenderMode::RgbArray], 10)
    }
}

/// Returns the force on the first of two discs, from how far they intrude: a soft maximum of 0 and the overlap.
fn repulsion(a: [f64; 2], b: [f64; 2]) -> [f64; 2] {
    let away = minus(a, b);
    let distance = length(away);
    if distance == 0.0 {
        // Discs in the same place have no direction to part in.
        return [0.0; 2];
    }
    let overlap = -(distance - 2.0 * RADIUS) / CONTACT_MARGIN;
    let intrusion = if overlap > 0.0 {
        overlap + (-overlap).exp().ln_1p()
    } else {
        overlap.exp().ln_1p()
    };
    away.map(|part| CONTACT_FORCE * part / distance * (intrusion * CONTACT_MARGIN))
}

fn minus(a: [f64; 2], b: [f64; 2]) -> [f64; 2] {
    [a[0] - b[0], a[1] - b[1]]
}

fn length([x, y]: [f64; 2]) -> f64 {
    (x * x + y * y).sqrt()
}

/// The force of each action.
const PUSHES: [[f64; 2]; 5] = [[0.0, 0.0], [-5.0, 0.0], [5.0, 0.0], [0.0, -5.0], [0.0, 5.0]];
const RADIUS: f64 = 0.15;
const DT: f64 = 0.1;
const DAMPING: f64 = 0.25;
const CONTACT_FORCE: f64 = 100.0;
const CONTACT_MARGIN: f64 = 0.001;
