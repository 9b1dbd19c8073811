//! Watches a policy in an environment: plays episodes and writes them into a video.
//!
//! Shows `make` by id, environments over `Value`s, sampling of spaces, and what writes frames into files.
//! cargo run --release --example watch -- CartPole-v1 --policy heuristic --out episode.gif

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, ValueEnum};
use environments::{
    DynEnv, Env as _, EnvBuilder, Frame, Options, RenderMode, Space, Value,
    render::{Terminal, VideoWriter},
    rng::Rng,
};

/// Plays an environment and writes what it looks like into a GIF or MP4 file.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// The environment's id, for example CartPole-v1 or MiniGrid-DoorKey-8x8-v0.
    #[arg(default_value = "CartPole-v1")]
    id: String,
    /// Who acts.
    #[arg(long, value_enum, default_value_t = Policy::Random)]
    policy: Policy,
    /// The file; its ending says the format, .gif or .mp4 (which needs ffmpeg).
    #[arg(long, default_value = "episode.gif")]
    out: PathBuf,
    /// Everything random follows from it.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// How many steps to play; episodes follow each other.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    steps: u32,
    /// Shows the frames on the terminal too, while they are played.
    #[arg(long)]
    show: bool,
    /// Frames a second; the environment's own speed unless given.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    fps: Option<u32>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Policy {
    /// Draws each action, among the sensible ones where the environment tells them.
    Random,
    /// A few lines by hand, for the classic control problems.
    Heuristic,
}

fn main() -> ExitCode {
    let args = Args::try_parse().unwrap_or_else(|error| {
        if error.use_stderr() {
            // One line says what is wrong, and what would be right.
            let text = error.to_string();
            let lines = text.lines().map(str::trim);
            let lines = lines.take_while(|line| !line.is_empty());
            eprintln!("{}", lines.collect::<Vec<_>>().join(" "));
            std::process::exit(2);
        }
        print!("{error}");
        std::process::exit(0);
    });
    match watch(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn watch(args: &Args) -> Result<(), Box<dyn std::error::Error>> {
    let mut env = EnvBuilder::new(&args.id)
        .render_mode(RenderMode::RgbArray)
        .build()?;
    let id = env
        .spec()
        .map_or(args.id.clone(), |spec| spec.id().to_string());
    let rule = match args.policy {
        Policy::Random => None,
        Policy::Heuristic => Some(heuristic(&id).ok_or_else(|| {
            format!(
                "`{id}` has no heuristic; use --policy random (there are some for {HEURISTICS})"
            )
        })?),
    };
    let fps = args.fps.unwrap_or(match env.metadata().render_fps {
        0 => 30,
        fps => fps,
    });
    let mut video = VideoWriter::new(&args.out, fps)?;
    let mut terminal = args.show.then(|| Terminal::stdout().fps(fps));
    let mut take = |frame: Frame| -> Result<(), Box<dyn std::error::Error>> {
        if let Some(terminal) = &mut terminal {
            terminal.show(&frame)?;
        }
        Ok(video.add(&frame)?)
    };
    let mut rng = Rng::stream(args.seed, 0, 0);
    let (mut observation, _) = env.reset(Some(args.seed), &Options::new())?;
    take(env.render(RenderMode::RgbArray)?)?;
    let (mut episode, mut total, mut length) = (0, 0.0, 0);
    for step in 1..=args.steps {
        let action = match rule {
            Some(rule) => rule(&numbers(&observation)),
            None => random(&env, &mut rng)?,
        };
        let outcome = env.step(&action)?;
        take(env.render(RenderMode::RgbArray)?)?;
        observation = outcome.observation;
        total += outcome.reward;
        length += 1;
        if outcome.terminated || outcome.truncated {
            println!("episode {episode}: return {total:.2} in {length} steps");
            (episode, total, length) = (episode + 1, 0.0, 0);
            if step < args.steps {
                (observation, _) = env.reset(None, &Options::new())?;
                take(env.render(RenderMode::RgbArray)?)?;
            }
        }
    }
    if length > 0 {
        println!("episode {episode}: return {total:.2} in {length} steps so far");
    }
    let path = video.path().display().to_string();
    println!("{} frames of {id} in {path}", video.finish()?);
    Ok(())
}

/// Draws an action, among the sensible ones where the environment tells them.
fn random(env: &dyn DynEnv, rng: &mut Rng) -> Result<Value, Box<dyn std::error::Error>> {
    let space = env.action_space();
    if let Space::Discrete(choices) = &space {
        let mut mask = vec![true; usize::try_from(choices.n)?];
        if env.action_mask(&mut mask) {
            return Ok(Value::Int(choices.sample_masked(&mask, rng)));
        }
    }
    Ok(space.sample(rng))
}

type Rule = fn(&[f64]) -> Value;

/// Returns the rule for an environment, if there is one.
fn heuristic(id: &str) -> Option<Rule> {
    let (name, _) = id.rsplit_once("-v")?;
    Some(match name {
        // Push to where the pole will fall.
        "CartPole" => |seen| {
            let [x, x_dot, theta, theta_dot] = seen[..] else {
                return Value::Int(0);
            };
            let lean = theta + 0.3 * theta_dot + 0.02 * x + 0.05 * x_dot;
            Value::Int(i64::from(lean > 0.0))
        },
        // Pump energy in until it suffices, then hold it up.
        "Pendulum" => |seen| {
            let [cos, sin, velocity] = seen[..] else {
                return torque(0.0);
            };
            let angle = sin.atan2(cos);
            if cos > 0.9 {
                return torque(-12.0 * angle - 3.0 * velocity);
            }
            // Kinetic and potential energy against those at rest on top, per moment of inertia.
            let missing = 15.0 * (1.0 - cos) - 0.5 * velocity * velocity;
            torque(missing.signum() * 2.0 * if velocity < 0.0 { -1.0 } else { 1.0 })
        },
        // Push the way it rolls.
        "MountainCar" => |seen| Value::Int(if seen.get(1) < Some(&0.0) { 0 } else { 2 }),
        "MountainCarContinuous" => |seen| torque(if seen.get(1) < Some(&0.0) { -1.0 } else { 1.0 }),
        // Push the second link the way it turns.
        "Acrobot" => |seen| Value::Int(if seen.get(4) < Some(&0.0) { 0 } else { 2 }),
        _ => return None,
    })
}

const HEURISTICS: &str = "CartPole, Pendulum, MountainCar, MountainCarContinuous, Acrobot";

fn torque(value: f64) -> Value {
    Value::Array(vec![value.clamp(-2.0, 2.0) as f32].into())
}

/// Returns the numbers of an observation that is an array; none of another.
fn numbers(observation: &Value) -> Vec<f64> {
    observation
        .as_array()
        .map(environments::Array::to_f64)
        .unwrap_or_default()
}
