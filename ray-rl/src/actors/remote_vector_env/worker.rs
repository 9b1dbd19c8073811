//! The actor that has some of the environments.

use std::panic::{AssertUnwindSafe, catch_unwind};

use environments::{
    EnvBuilder, EnvError, Kwargs, MakeError, RenderMode, Value,
    registry::spec,
    vector::{Actions, AutoresetMode, StepBuffers, VectorEnv},
};
use ray_core::prelude::*;

use super::{
    compiled::register_compiled,
    packed::{Node, PackedState, pack_map, unpack_map},
    wire::{
        About, Drawn, EnvReply, FAILED, FINAL, Failure, StepRequest, TERMINATED, TRUNCATED,
        WorkerConfig,
    },
};

/// Steps the environments of one process; it is not restarted but replaced, see the module.
#[actor]
pub struct EnvWorker {
    units: Vec<Unit>,
    config: WorkerConfig,
    observation_len: usize,
    choices: Vec<i64>,
    values: Vec<f32>,
}

/// Environments that are stepped by one call.
struct Unit {
    envs: Box<dyn VectorEnv>,
    out: StepBuffers,
    is_broken: bool,
}

#[remote]
impl EnvWorker {
    /// Makes the environments.
    pub fn new(config: WorkerConfig) -> Result<Self, String> {
        let made = register_compiled().and_then(|()| make_units(&config));
        made.map_err(|error| match error {
            MakeError::NameNotFound { .. } | MakeError::NamespaceNotFound { .. } => {
                format!("{error}; `ray_rl::register_env!` makes one known to every process")
            }
            other => other.to_string(),
        })
    }

    /// Begins an episode everywhere.
    pub fn reset(&mut self, seed: Option<u64>) -> EnvReply {
        let mut reply = EnvReply::default();
        let mut first = 0;
        for at in 0..self.units.len() {
            let seed = seed.map(|seed| seed.wrapping_add(first as u64));
            let unit = &mut self.units[at];
            let n = unit.envs.num_envs();
            let result = guarded(&mut unit.is_broken, || {
                unit.envs.reset(seed, &mut unit.out.obs)
            });
            unit.forget_last_step();
            self.answer(at, first, result, &mut reply);
            first += n;
        }
        reply
    }

    /// Begins an episode everywhere, with a seed each and the same options for all.
    pub fn reset_with(&mut self, seeds: Vec<Option<u64>>, options: Vec<Node>) -> EnvReply {
        let options = unpack_map(options);
        let mut reply = EnvReply::default();
        let mut first = 0;
        for at in 0..self.units.len() {
            let unit = &mut self.units[at];
            let n = unit.envs.num_envs();
            let seeds = seeds.get(first..first + n).unwrap_or_default();
            let options = options.clone();
            let result = guarded(&mut unit.is_broken, || {
                unit.envs.reset_with(seeds, &options?, &mut unit.out.obs)
            });
            unit.forget_last_step();
            self.answer(at, first, result, &mut reply);
            first += n;
        }
        reply
    }

    /// Begins an episode where the mask says so; the rows of the others are not to be read.
    pub fn reset_where(&mut self, mask: Vec<bool>) -> EnvReply {
        let mut reply = EnvReply::default();
        let mut first = 0;
        for at in 0..self.units.len() {
            let unit = &mut self.units[at];
            let n = unit.envs.num_envs();
            let mask = mask.get(first..first + n).unwrap_or_default();
            let result = guarded(&mut unit.is_broken, || {
                unit.envs.reset_where(mask, &mut unit.out.obs)
            });
            unit.forget_last_step();
            self.answer(at, first, result, &mut reply);
            first += n;
        }
        reply
    }

    /// Begins anew in the place of a worker that died: where steps do not reset, the episodes count as ended.
    pub fn begin_again(&mut self, seed: Option<u64>) -> EnvReply {
        let reply = self.reset(seed);
        if AutoresetMode::from(self.config.mode) != AutoresetMode::SameStep {
            for unit in &mut self.units {
                let mut states = unit.envs.states();
                for state in &mut states {
                    state.extra.insert(HAS_ENDED.into(), Value::Bool(true));
                }
                // States that were just taken can be set; one that cannot only starts a step earlier.
                let _kept = unit.envs.set_states(&states);
            }
        }
        reply
    }

    /// Does one action each.
    pub fn step(&mut self, request: &Archived<StepRequest>) -> EnvReply {
        self.choices.clear();
        let choices = request.choices.iter();
        self.choices
            .extend(choices.map(|choice| choice.to_native()));
        self.values.clear();
        let values = request.values.iter();
        self.values.extend(values.map(|value| value.to_native()));
        let mut reply = EnvReply::default();
        let (mut row, mut done) = (0, 0);
        let named = request.units.len();
        let count = if named == 0 { self.units.len() } else { named };
        let rows = count * self.config.unit as usize;
        let width = self.choices.len().max(self.values.len()) / rows.max(1);
        reply.obs.reserve_exact(rows * self.observation_len);
        reply.rewards.reserve_exact(rows);
        reply.flags.reserve_exact(rows);
        while done < count {
            let at = match named {
                0 => done,
                _ => request.units[done].to_native() as usize,
            };
            let unit = &mut self.units[at];
            let n = unit.envs.num_envs();
            let range = row * width..(row + n) * width;
            let actions = match self.values.is_empty() {
                true => Actions::Discrete(&self.choices[range]),
                false => Actions::Continuous(&self.values[range]),
            };
            let result = guarded(&mut unit.is_broken, || {
                unit.envs.step(actions, &mut unit.out)
            });
            let result = result.map_err(|error| (unit.culprit(actions, &error), error));
            self.answer_step(at, row, result, &mut reply);
            row += n;
            done += 1;
        }
        reply
    }

    /// Returns which choices make sense now, a row of `width` each; nothing where nobody knows.
    pub fn action_masks(&self, width: u64) -> Option<Vec<bool>> {
        let mut masks = vec![false; self.config.count as usize * width as usize];
        let mut rest = &mut masks[..];
        for unit in &self.units {
            let (rows, after) = rest.split_at_mut(unit.envs.num_envs() * width as usize);
            if !unit.envs.action_masks(rows) {
                return None;
            }
            rest = after;
        }
        Some(masks)
    }

    /// Returns what the environments are like.
    pub fn about(&self) -> Option<About> {
        let envs = &self.units.first()?.envs;
        Some(About {
            observation_space: envs.single_observation_space().to_json(),
            action_space: envs.single_action_space().to_json(),
            render_fps: envs.metadata().render_fps,
        })
    }

    /// Draws each, in the mode that they were made for.
    pub fn render(&mut self) -> Result<Vec<Drawn>, String> {
        let name = self.config.render_mode.as_deref().unwrap_or_default();
        let mode = RenderMode::from_name(name);
        let mode = mode.ok_or("the environments were not made to be drawn")?;
        let mut frames = Vec::new();
        for unit in &mut self.units {
            let drawn = unit.envs.render(mode).map_err(|error| error.to_string())?;
            frames.extend(drawn.into_iter().map(Drawn::new));
        }
        let frames = frames.into_iter().collect::<Option<Vec<_>>>();
        frames.ok_or_else(|| "a frame is neither a text nor a picture".into())
    }

    /// Returns the state of each.
    pub fn states(&self) -> Result<Vec<PackedState>, String> {
        let states = self.units.iter().flat_map(|unit| unit.envs.states());
        let packed = states.map(|state| PackedState::new(&state));
        packed
            .collect::<Result<_, _>>()
            .map_err(|error| error.to_string())
    }

    /// Goes on from states.
    pub fn set_states(&mut self, states: Vec<PackedState>) -> Result<(), String> {
        let states = states.into_iter().map(PackedState::unpack);
        let states = states.collect::<Result<Vec<_>, _>>();
        let states = states.map_err(|error| error.to_string())?;
        let mut rest = &states[..];
        for unit in &mut self.units {
            let of_unit = rest.split_at_checked(unit.envs.num_envs());
            let (own, after) = of_unit.ok_or("there are too few states")?;
            unit.envs
                .set_states(own)
                .map_err(|error| error.to_string())?;
            rest = after;
        }
        Ok(())
    }

    /// Returns the id of the process.
    pub fn pid(&self) -> u32 {
        std::process::id()
    }
}

impl EnvWorker {
    /// Adds what a reset of a unit led to.
    fn answer(&self, at: usize, row: usize, result: Result<(), EnvError>, reply: &mut EnvReply) {
        let result = result.map_err(|error| {
            let culprit = (self.config.unit == 1).then_some(0);
            (culprit, error)
        });
        self.answer_step(at, row, result, reply);
    }

    /// Adds what a call of a unit led to; an error comes with the environment of the unit, if it is known.
    fn answer_step(
        &self,
        at: usize,
        row: usize,
        result: Result<(), (Option<usize>, EnvError)>,
        reply: &mut EnvReply,
    ) {
        let (unit, d) = (&self.units[at], self.observation_len);
        let out = &unit.out;
        reply.obs.extend_from_slice(&out.obs);
        reply.rewards.extend_from_slice(&out.rewards);
        if let Err((culprit, error)) = result {
            let env = self.config.first as usize + at * self.config.unit as usize;
            let env = culprit.map(|culprit| env + culprit);
            reply.failures.push(Failure::new(row, env, &error));
            let flags = std::iter::repeat_n(FAILED, unit.envs.num_envs());
            reply.flags.extend(flags);
            return;
        }
        for env in 0..unit.envs.num_envs() {
            let mut flags = 0;
            if out.terminated[env] {
                flags |= TERMINATED;
            }
            if out.truncated[env] {
                flags |= TRUNCATED;
            }
            if flags != 0 {
                reply.returns.push(out.episode_return[env]);
                reply.lengths.push(out.episode_length[env]);
            }
            if out.has_final[env] {
                flags |= FINAL;
                let last = &out.final_obs[env * d..][..d];
                reply.final_obs.extend_from_slice(last);
            }
            reply.flags.push(flags);
            if self.config.infos {
                // An info that cannot be sent is left out rather than the step.
                let pack = |info| pack_map(info).unwrap_or_default();
                reply.infos.push(pack(&out.infos[env]));
                if out.has_final[env] {
                    reply.final_infos.push(pack(&out.final_infos[env]));
                }
            }
        }
    }
}

impl Unit {
    /// Forgets flags and rewards, which a reset does not write.
    fn forget_last_step(&mut self) {
        self.out.rewards.fill(0.0);
        self.out.terminated.fill(false);
        self.out.truncated.fill(false);
        self.out.has_final.fill(false);
    }

    /// Finds out whose error it was: the only one's, the one it names, or the one whose action is no member.
    fn culprit(&self, actions: Actions<'_>, error: &EnvError) -> Option<usize> {
        match error {
            EnvError::EpisodeEnded { env } => Some(*env),
            _ if self.envs.num_envs() == 1 => Some(0),
            _ => {
                let choice = self.envs.single_action_space().as_discrete()?;
                let mut given = actions.discrete()?.iter();
                given.position(|action| !choice.contains(*action))
            }
        }
    }
}

fn make_units(config: &WorkerConfig) -> Result<EnvWorker, MakeError> {
    let mut left = config.count as usize;
    let mut units = Vec::new();
    let builder = builder(config)?;
    while left > 0 {
        let n = left.min(config.unit as usize);
        let envs = builder.build_vec(n, config.mode.into())?;
        units.push(Unit {
            out: StepBuffers::for_env(&*envs),
            envs,
            is_broken: false,
        });
        left -= n;
    }
    let observation_len = units.first().map_or(0, |unit| unit.envs.observation_len());
    Ok(EnvWorker {
        units,
        config: config.clone(),
        observation_len,
        choices: Vec::new(),
        values: Vec::new(),
    })
}

/// Returns what makes the environments that the configuration means.
pub fn builder(config: &WorkerConfig) -> Result<EnvBuilder, MakeError> {
    let kwargs = unpack_map(config.kwargs.clone())?;
    let kwargs = kwargs.into_iter().collect::<Kwargs>();
    let builder = EnvBuilder::new(&config.id)
        .kwargs(kwargs)
        .infos(config.infos);
    let mode = config
        .render_mode
        .as_deref()
        .and_then(RenderMode::from_name);
    let builder = match mode {
        Some(mode) => builder.render_mode(mode),
        None => builder,
    };
    Ok(match config.max_episode_steps {
        Some(limit) => builder.max_episode_steps(limit),
        None => builder,
    })
}

/// Returns whether many environments of an id at once are faster than one after the other.
pub fn has_vector_form(id: &str) -> bool {
    spec(id).is_ok_and(|spec| spec.has_vector_entry_point())
}

/// Does something with a unit unless it has panicked before; a panic is an error.
fn guarded(
    is_broken: &mut bool,
    call: impl FnOnce() -> Result<(), EnvError>,
) -> Result<(), EnvError> {
    if *is_broken {
        return Err(EnvError::Broken("it has panicked before".into()));
    }
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        *is_broken = true;
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        let text = text.unwrap_or("no message");
        Err(EnvError::Broken(format!("it panicked: {text}")))
    })
}

/// The name under which a vector environment's state says that the episode has ended.
const HAS_ENDED: &str = "vector.has_ended";
