//! Every registered environment holds two promises for as long as one likes: no step allocates, and equal seeds
//! give equal runs.
//!
//! `ENV_SOAK_STEPS` sets how many steps each is played (20,000 unless given), `ENV_SOAK_FILTER` which ids are.
//! `make soak` plays a million of each and prints the table.

use std::{alloc::System, fmt, time::Instant};

use environments::{
    EnvBuilder, EnvSpec, Space, Vectorization,
    registry::specs,
    rng::Rng,
    vector::{Actions, AutoresetMode, StepBuffers, VectorEnv},
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static GLOBAL: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What a run came to.
struct Run {
    /// Of all that was seen, infos included where they are collected.
    digest: u64,
    /// Of all that was seen but infos.
    numbers: u64,
    /// How often memory was asked for or given back in steps, after the warm-up.
    allocations: usize,
    /// The first step after the warm-up that did.
    first: Option<usize>,
    episodes: u64,
    seconds: f64,
}

#[test]
fn no_environment_allocates_or_strays_from_its_seed_however_long_it_is_played() {
    let steps = setting("ENV_SOAK_STEPS", "20000");
    let steps: usize = steps.parse().expect("ENV_SOAK_STEPS is a number");
    let filter = setting("ENV_SOAK_FILTER", "");
    let specs = specs().into_iter();
    let specs = specs.filter(|spec| spec.id().to_string().contains(&filter));
    let mut faults = Vec::new();
    println!(
        "{:<40} {:>8} {:>10} {:>9} {:>11} {:>12} {:>16}  equal",
        "environment", "form", "steps", "episodes", "allocations", "steps/s", "digest"
    );
    for spec in specs {
        let mut forms = vec![Vectorization::Sync];
        if spec.has_vector_entry_point() {
            forms.push(Vectorization::Fastest);
        }
        for form in forms {
            faults.extend(soak(&spec, form, steps));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn setting(name: &str, default: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| default.to_owned())
}

/// Plays one form of an environment once without infos and twice with them; returns what is wrong.
fn soak(spec: &EnvSpec, form: Vectorization, steps: usize) -> Vec<String> {
    let id = spec.id().to_string();
    let play = |infos| play(spec, form, infos, steps);
    let (mut run, with_infos, again) = (play(false), play(true), play(true));
    if run.allocations > 0 {
        // The test's harness prints from another thread that it takes long, once; a step that allocates does again.
        let other = play(false);
        if other.allocations < run.allocations {
            run = other;
        }
    }
    let is_equal = with_infos.digest == again.digest && run.numbers == with_infos.numbers;
    println!(
        "{id:<40} {:>8} {steps:>10} {:>9} {:>11} {:>12.0} {:>16x}  {}",
        format!("{form:?}"),
        run.episodes,
        run.allocations,
        steps as f64 / run.seconds,
        with_infos.digest,
        if is_equal { "yes" } else { "NO" },
    );
    let mut faults = Vec::new();
    if let Some(first) = run.first {
        faults.push(format!(
            "{id}, {form:?}: {} allocations after the warm-up, the first in step {first}",
            run.allocations
        ));
    }
    if !is_equal && !spec.nondeterministic {
        faults.push(format!("{id}, {form:?}: runs of one seed differ"));
    }
    faults
}

/// Steps a few environments with drawn actions, `steps` in all.
fn play(spec: &EnvSpec, form: Vectorization, infos: bool, steps: usize) -> Run {
    let builder = EnvBuilder::from_spec(spec.clone());
    let builder = builder.vectorization(form).infos(infos);
    let mut envs = builder
        .build_vec(ENVS, AutoresetMode::SameStep)
        .expect("every id has a vector form");
    let mut drawn = Drawn::new(&*envs);
    let mut out = StepBuffers::for_env(&*envs);
    let (mut numbers, mut texts) = (Digest(0), Digest(0));
    envs.reset(Some(7), &mut out.obs).expect("a reset");
    numbers.see(&out);
    let (mut allocations, mut first, mut episodes, mut seconds) = (0, None, 0, 0.0);
    for at in 0..steps.div_ceil(ENVS) {
        let actions = drawn.next();
        let (region, start) = (Region::new(GLOBAL), Instant::now());
        let result = envs.step(actions, &mut out);
        seconds += start.elapsed().as_secs_f64();
        let change = region.change();
        result.expect("a step");
        let count = change.allocations + change.reallocations + change.deallocations;
        if at >= WARM_UP && count > 0 {
            allocations += count;
            first.get_or_insert(at);
        }
        episodes += out.has_final.iter().filter(|has_final| **has_final).count() as u64;
        numbers.see(&out);
        if infos {
            let all = (&out.infos, &out.final_infos);
            let written = fmt::write(&mut texts, format_args!("{all:?}"));
            written.expect("a digest takes everything");
        }
    }
    texts.word(numbers.0);
    Run {
        digest: texts.0,
        numbers: numbers.0,
        allocations,
        first,
        episodes,
        seconds,
    }
}

/// Actions from a generator of their own.
struct Drawn {
    space: Space,
    rng: Rng,
    choices: Vec<i64>,
    values: Vec<f32>,
    envs: usize,
}

impl Drawn {
    fn new(envs: &dyn VectorEnv) -> Drawn {
        Drawn {
            space: envs.single_action_space(),
            rng: Rng::new(11),
            choices: Vec::new(),
            values: Vec::new(),
            envs: envs.num_envs(),
        }
    }

    fn next(&mut self) -> Actions<'_> {
        self.choices.clear();
        self.values.clear();
        for _ in 0..self.envs {
            match &self.space {
                Space::Discrete(choice) => self.choices.push(choice.sample(&mut self.rng)),
                Space::Box(bounds) => self.values.extend(bounds.sample(&mut self.rng)),
                other => panic!("no actions are drawn of {other}"),
            }
        }
        match self.values.is_empty() {
            true => Actions::Discrete(&self.choices),
            false => Actions::Continuous(&self.values),
        }
    }
}

/// A running digest; what is written is mixed in, text too.
struct Digest(u64);

impl Digest {
    fn word(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    fn see(&mut self, out: &StepBuffers) {
        let d = out.obs.len() / out.rewards.len();
        for number in &out.obs {
            self.word(u64::from(number.to_bits()));
        }
        for at in 0..out.rewards.len() {
            self.word(out.rewards[at].to_bits());
            self.word(u64::from(out.terminated[at]) << 1 | u64::from(out.truncated[at]));
            if out.has_final[at] {
                self.word(out.episode_return[at].to_bits());
                self.word(u64::from(out.episode_length[at]));
                for number in &out.final_obs[at * d..][..d] {
                    self.word(u64::from(number.to_bits()));
                }
            }
        }
    }
}

impl fmt::Write for Digest {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.word(u64::from(byte));
        }
        Ok(())
    }
}

/// How many environments are stepped together.
const ENVS: usize = 8;
/// After how many steps of all of them nothing more may be allocated.
const WARM_UP: usize = 1_000;
