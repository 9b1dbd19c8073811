//! PPO learns CartPole: simulators and the learner are actors in worker processes.
//!
//! Shows a training loop over `ray_rl::trainer`, live progress, and what a run leaves behind.
//! cargo run --release --example ppo_cartpole -- --help

use std::{
    io::{IsTerminal as _, Write as _},
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use ray_rl::{
    RlError,
    algo::ppo::{EPISODES_AVERAGED, Ppo},
    report::RunFiles,
    trainer::PpoTrainer,
};

/// Trains PPO on CartPole-v1 until the mean return of 100 episodes reaches 475.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// Runner actors that sample in parallel.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=64))]
    runners: u16,
    /// Environments of each runner.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=4096))]
    envs: u16,
    /// Everything random follows from it.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The most environment steps.
    #[arg(long, default_value_t = 150_000, value_parser = clap::value_parser!(u64).range(1..))]
    steps: u64,
    /// Ends the output with one JSON object.
    #[arg(long)]
    json: bool,
}

/// Set by Ctrl-C; the loop ends after the iteration.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

const SOLVED: f64 = 475.0;

fn main() -> std::process::ExitCode {
    let args = Args::try_parse().unwrap_or_else(|error| {
        if error.use_stderr() {
            // One line says what is wrong.
            eprintln!("{}", error.to_string().lines().next().unwrap_or_default());
            std::process::exit(2);
        }
        print!("{error}");
        std::process::exit(0);
    });
    // In a worker process this runs the worker and does not return.
    let ray = match ray_core::init() {
        Ok(ray) => ray,
        Err(error) => return fail(&error),
    };
    if let Err(error) = ctrlc::set_handler(|| INTERRUPTED.store(true, Ordering::Release)) {
        return fail(&error);
    }
    let outcome = train(&args);
    if let Err(error) = ray.shutdown() {
        return fail(&error);
    }
    match outcome {
        Ok(true) => std::process::ExitCode::SUCCESS,
        Ok(false) if INTERRUPTED.load(Ordering::Acquire) => std::process::ExitCode::from(130),
        Ok(false) => std::process::ExitCode::FAILURE,
        Err(error) => fail(&error),
    }
}

fn fail(error: &dyn std::fmt::Display) -> std::process::ExitCode {
    eprintln!("error: {error}");
    std::process::ExitCode::FAILURE
}

fn train(args: &Args) -> Result<bool, RlError> {
    let started = Instant::now();
    let config = Ppo::config("CartPole-v1")
        .env_runners(usize::from(args.runners))
        .envs_per_runner(usize::from(args.envs))
        .total_steps(args.steps)
        .seed(args.seed);
    println!(
        "PPO on {}: {} runners x {} environments x {} steps, {} epochs, minibatch {}, lr {}, clip {}, gamma {}, \
         lambda {}, seed {}",
        config.env,
        args.runners,
        args.envs,
        config.steps,
        config.epochs,
        config.minibatch,
        config.lr,
        config.clip,
        config.gamma,
        config.lambda,
        config.seed,
    );
    let mut files = RunFiles::create(Path::new("runs"), "ppo_cartpole")?;
    let mut trainer = PpoTrainer::new(config)?;
    let bar = progress_bar(args.steps);
    let mut last;
    let mut shown = Instant::now();
    let solved = loop {
        let report = trainer.train()?;
        files.add(&report)?;
        bar.set_position(report.total_timesteps.min(args.steps));
        bar.set_message(format!(
            "mean return {:.1}, {:.0} steps/s",
            report.ep_rew_mean, report.fps
        ));
        let solved = report.averaged_episodes == EPISODES_AVERAGED && report.ep_rew_mean >= SOLVED;
        let over =
            solved || report.total_timesteps >= args.steps || INTERRUPTED.load(Ordering::Acquire);
        if over || shown.elapsed().as_millis() >= 1000 {
            shown = Instant::now();
            let table = report.to_string();
            if std::io::stderr().is_terminal() {
                bar.suspend(|| println!("{table}"))
            } else {
                println!("{table}")
            }
        }
        last = report;
        if over {
            break solved;
        }
    };
    bar.finish_and_clear();
    let picture = files.finish()?;
    let seconds = started.elapsed().as_secs_f64();
    let how = if solved {
        "solved"
    } else if INTERRUPTED.load(Ordering::Acquire) {
        "interrupted"
    } else {
        "not solved"
    };
    println!(
        "{how}: mean return {:.1} after {} steps in {seconds:.2} s; learning curve in {}",
        last.ep_rew_mean,
        last.total_timesteps,
        picture.display(),
    );
    if args.json {
        let line = serde_json::json!({
            "solved": solved,
            "seconds": seconds,
            "env_steps": last.total_timesteps,
            "env_steps_per_s": last.fps,
            "mean_return": last.ep_rew_mean,
        });
        println!("{line}");
    }
    // A pipe that closed early is the reader's choice.
    let _closed = std::io::stdout().flush();
    Ok(solved)
}

fn progress_bar(steps: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{elapsed_precise} [{bar:40}] {pos}/{len} {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(steps).with_style(style)
}
