//! Writes an environment in under sixty lines: a drone that must land softly, under gravity and gusts.
//!
//! Shows the types that say what is seen and done, a name, the checks, many at once, and a recording.
//! cargo run --release --example custom_env -- [folder of the recording]

use environments::{
    Action, Env, EnvError, EnvSpec, Frame, Info, Metadata, Observation, Options, RenderMode, State,
    Step, check_env, make, make_vec, register,
    render::{Canvas, Color},
    rng::Rng,
    vector::{Actions, AutoresetMode, StepBuffers},
    wrappers::RecordVideo,
};

#[derive(Clone, Debug, Observation)]
struct Seen {
    #[space(low = 0.0, high = 20.0)]
    height: f64,
    #[space(low = -10.0, high = 10.0)]
    velocity: f64,
}

#[derive(Clone, Copy, Debug, Action)]
enum Motor {
    Off,
    On,
}

struct Drone {
    seen: Seen,
    rng: Rng,
}

impl Env for Drone {
    type Observation = Seen;
    type Action = Motor;

    fn reset(&mut self, seed: Option<u64>, _: &Options) -> Result<(Seen, Info), EnvError> {
        self.rng = seed.map_or_else(|| self.rng.clone(), Rng::new);
        (self.seen.height, self.seen.velocity) = (self.rng.uniform(10.0, 15.0), 0.0);
        Ok((self.seen.clone(), Info::new()))
    }

    fn step(&mut self, action: &Motor) -> Result<Step<Seen>, EnvError> {
        let lift = f64::from(*action as u8) * 2.0 + self.rng.uniform(-0.2, 0.2);
        let velocity = (self.seen.velocity + 0.981 * (lift - 1.0)).clamp(-10.0, 10.0);
        let height = (self.seen.height + 0.1 * velocity).clamp(0.0, 20.0);
        self.seen = Seen { height, velocity };
        let landed = height == 0.0;
        let reward = if landed { 10.0 + velocity } else { -0.05 };
        Ok(Step::new(self.seen.clone(), reward).terminated(landed))
    }

    fn state(&self) -> State {
        State::new([self.seen.height, self.seen.velocity], &self.rng)
    }

    fn set_state(&mut self, state: &State) -> Result<(), EnvError> {
        [self.seen.height, self.seen.velocity] = state.numbers()?;
        state.restore_rng(&mut self.rng);
        Ok(())
    }

    fn render(&mut self, _: RenderMode) -> Result<Frame, EnvError> {
        let mut canvas = Canvas::new(120, 210, Color::WHITE);
        canvas.circle((60.0, 200.0 - 10.0 * self.seen.height), 6.0, Color::BLUE);
        Ok(canvas.into_frame())
    }

    fn metadata(&self) -> Metadata {
        Metadata::new(&[RenderMode::RgbArray], 10)
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let spec = EnvSpec::new("demo/Drone-v0", |_| {
        let (height, velocity) = (0.0, 0.0);
        Ok(Drone {
            seen: Seen { height, velocity },
            rng: Rng::from_entropy(),
        })
    });
    register(spec.max_episode_steps(100))?;

    let findings = check_env(|| make("demo/Drone-v0").expect("it is registered"));
    println!("check_env: {} findings", findings.len());
    for finding in &findings {
        println!("  {finding}");
    }

    let mut envs = make_vec("demo/Drone-v0", 64, AutoresetMode::SameStep)?;
    let mut out = StepBuffers::for_env(&*envs);
    envs.reset(Some(0), &mut out.obs)?;
    let mut landings = 0;
    for _ in 0..1_000 {
        // Brake when it falls faster than it should from this height.
        let choice = |seen: &[f32]| i64::from(seen[1] < -1.0 - 0.3 * seen[0]);
        let choices = out.obs.chunks_exact(2).map(choice).collect::<Vec<_>>();
        envs.step(Actions::Discrete(&choices), &mut out)?;
        landings += out.terminated.iter().filter(|landed| **landed).count();
    }
    println!("64 drones landed {landings} times in 64,000 steps");

    let folder = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "drone".to_owned());
    let mut env = RecordVideo::new(make("demo/Drone-v0")?, folder)?;
    env.reset(Some(1), &Options::new())?;
    while !env.step(&0.into())?.terminated {}
    for video in env.finish()? {
        println!("recorded {}", video.display());
    }
    Ok(())
}
