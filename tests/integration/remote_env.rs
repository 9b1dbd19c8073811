//! Environments in worker processes: the numbers of this process's own, the first that are ready, and deaths.

use environments::{
    Discrete, Env, EnvBuilder, EnvError, EnvSpec, Info, Options, RenderMode, Space, State, Step,
    envs::CartPole,
    make_vec, register,
    rng::Rng,
    vector::{Actions, AutoresetMode, StepBuffers, SyncVectorEnv, VectorEnv},
};
use ray_core::init;
use ray_rl::{actors::RemoteVectorEnv, algo::ppo::Ppo, rollout::Sampler};
use ray_tests::{Tokens, add_token, eventually, is_alive, kill9, take_token};

const MODES: [AutoresetMode; 3] = [
    AutoresetMode::NextStep,
    AutoresetMode::SameStep,
    AutoresetMode::Disabled,
];

fn check_equal(a: &StepBuffers, b: &StepBuffers, at: usize) {
    let bits = |row: &[f32]| row.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&a.obs), bits(&b.obs), "obs, step {at}");
    assert_eq!(a.rewards, b.rewards, "step {at}");
    assert_eq!(a.terminated, b.terminated, "step {at}");
    assert_eq!(a.truncated, b.truncated, "step {at}");
    assert_eq!(a.has_final, b.has_final, "step {at}");
    assert_eq!(a.infos, b.infos, "step {at}");
    let d = a.obs.len() / a.rewards.len();
    for env in 0..a.rewards.len() {
        if a.has_final[env] {
            let row = env * d..(env + 1) * d;
            assert_eq!(a.final_obs[row.clone()], b.final_obs[row], "step {at}");
            assert_eq!(a.final_infos[env], b.final_infos[env], "step {at}");
        }
        if a.terminated[env] || a.truncated[env] {
            let ends = |out: &StepBuffers| (out.episode_return[env], out.episode_length[env]);
            assert_eq!(ends(a), ends(b), "step {at}");
        }
    }
}

/// Steps both with the same actions, and resets what has ended where nothing resets by itself.
fn compare(here: &mut dyn VectorEnv, there: &mut dyn VectorEnv, seed: u64, steps: usize) -> usize {
    let (mut a, mut b) = (StepBuffers::for_env(here), StepBuffers::for_env(there));
    here.reset(Some(seed), &mut a.obs).expect("a reset");
    there.reset(Some(seed), &mut b.obs).expect("a reset");
    check_equal(&a, &b, 0);
    let mut rng = Rng::new(seed);
    let (n, space) = (here.num_envs(), here.single_action_space());
    let mut ends = 0;
    for at in 1..=steps {
        let (choices, values): (Vec<i64>, Vec<f32>) = (0..n)
            .map(|_| (rng.below(2) as i64, rng.below(2) as f32 - 0.5))
            .unzip();
        let actions = match space.as_discrete() {
            Some(_) => Actions::Discrete(&choices),
            None => Actions::Continuous(&values),
        };
        here.step(actions, &mut a).expect("a step");
        there.step(actions, &mut b).expect("a step");
        check_equal(&a, &b, at);
        let mask = (0..n).map(|env| a.terminated[env] || a.truncated[env]);
        let mask = mask.collect::<Vec<_>>();
        ends += mask.iter().filter(|ended| **ended).count();
        if here.autoreset_mode() == AutoresetMode::Disabled {
            here.reset_where(&mask, &mut a.obs).expect("a reset");
            there.reset_where(&mask, &mut b.obs).expect("a reset");
        }
    }
    ends
}

#[ray_core::test]
fn remote_environments_give_the_numbers_of_local_ones_in_each_mode() -> ray_core::Result<()> {
    let _ray = init()?;
    for mode in MODES {
        let mut here = make_vec("CartPole-v1", 5, mode).expect("environments");
        let builder = RemoteVectorEnv::builder("CartPole-v1", 5).autoreset_mode(mode);
        let mut there = builder.workers(2).build().expect("environments");
        let ends = compare(&mut *here, &mut there, 7, 200);
        assert!(ends > 10, "{ends} episodes ended");
        // One at a time, as a pool does it, gives the same.
        let mut typed = SyncVectorEnv::new(5, mode, |_| CartPole::unlimited());
        let mut apart = builder_of_pool(mode).build().expect("environments");
        compare(&mut typed, &mut apart, 8, 100);
    }
    Ok(())
}

fn builder_of_pool(mode: AutoresetMode) -> ray_rl::actors::RemoteVectorEnvBuilder {
    let builder = RemoteVectorEnv::builder("CartPole-v1", 5).autoreset_mode(mode);
    builder.workers(2).batch_size(2).max_episode_steps(None)
}

#[ray_core::test]
fn continuous_actions_arguments_and_infos_travel() -> ray_core::Result<()> {
    let _ray = init()?;
    let local = |id| environments::EnvBuilder::new(id).infos(true);
    let remote = |id| RemoteVectorEnv::builder(id, 3).workers(2).infos(true);
    let mode = AutoresetMode::SameStep;
    let mut here = local("Pendulum-v1")
        .kwarg("g", 9.0)
        .max_episode_steps(Some(20))
        .build_vec(3, mode)
        .expect("three");
    let mut there = remote("Pendulum-v1")
        .kwarg("g", 9.0)
        .max_episode_steps(Some(20))
        .build()
        .expect("three");
    assert_eq!(compare(&mut *here, &mut there, 1, 50), 6, "two of each");
    let mut here = local("FrozenLake-v1").build_vec(3, mode).expect("three");
    let mut there = remote("FrozenLake-v1").build().expect("three");
    assert!(compare(&mut *here, &mut there, 2, 100) > 0);
    Ok(())
}

#[ray_core::test]
fn large_observations_come_through_shared_memory() -> ray_core::Result<()> {
    let _ray = init()?;
    // 80 boards of 400 numbers a worker are over what goes in a message.
    let mut here = make_vec("MinAtar/Breakout-v1", 160, AutoresetMode::SameStep).expect("boards");
    let there = RemoteVectorEnv::builder("MinAtar/Breakout-v1", 160).workers(2);
    let mut there = there.build().expect("boards");
    assert!(80 * there.observation_len() * 4 > ray_core::config::INLINE_RESULT_BYTES_MAX);
    assert!(compare(&mut *here, &mut there, 4, 60) > 0);
    Ok(())
}

#[ray_core::test]
fn states_go_out_and_come_back() -> ray_core::Result<()> {
    let _ray = init()?;
    let mode = AutoresetMode::SameStep;
    let mut first = RemoteVectorEnv::builder("CartPole-v1", 4)
        .workers(2)
        .build()
        .expect("four");
    let mut a = StepBuffers::for_env(&first);
    first.reset(Some(3), &mut a.obs).expect("a reset");
    for _ in 0..15 {
        first
            .step(Actions::Discrete(&[1, 0, 1, 0]), &mut a)
            .expect("a step");
    }
    let mut second = make_vec("CartPole-v1", 4, mode).expect("four");
    second.set_states(&first.states()).expect("the same kind");
    let mut b = a.clone();
    for at in 0..15 {
        first
            .step(Actions::Discrete(&[1, 1, 0, 0]), &mut a)
            .expect("a step");
        second
            .step(Actions::Discrete(&[1, 1, 0, 0]), &mut b)
            .expect("a step");
        check_equal(&a, &b, at);
    }
    let states = vec![State::default(); 4];
    let error = first.set_states(&states).expect_err("no states of these");
    assert!(matches!(error, EnvError::InvalidState(_)), "{error}");
    Ok(())
}

/// Counts its steps; waits, fails, panics or ends its process when the action says so.
struct Moody {
    gate: String,
    started: String,
    count: i64,
}

impl Env for Moody {
    type Observation = [f32; 1];
    type Action = i64;

    fn observation_space(&self) -> Space {
        environments::BoxSpace::of_dtype(&[1], environments::Dtype::F32).into()
    }

    fn action_space(&self) -> Space {
        Discrete::new(5).into()
    }

    fn reset(&mut self, seed: Option<u64>, _: &Options) -> Result<([f32; 1], Info), EnvError> {
        self.count = 100 * seed.unwrap_or(0) as i64;
        Ok(([self.count as f32], Info::new()))
    }

    fn step(&mut self, action: &i64) -> Result<Step<[f32; 1]>, EnvError> {
        match action {
            1 => {
                add_token(&self.started);
                take_token(&self.gate);
            }
            2 => return Err(EnvError::NotSupported("not in the mood".into())),
            3 => panic!("it had enough"),
            4 => std::process::abort(),
            _ => {}
        }
        self.count += 1;
        Ok(Step {
            observation: [self.count as f32],
            reward: 1.0,
            terminated: false,
            truncated: false,
            info: Info::new(),
        })
    }

    fn state(&self) -> State {
        State {
            values: vec![self.count as f64],
            ..State::default()
        }
    }

    fn set_state(&mut self, state: &State) -> Result<(), EnvError> {
        self.count = state.values[0] as i64;
        Ok(())
    }
}

fn moody(id: &str) -> EnvSpec {
    EnvSpec::new(id, |kwargs| {
        Ok(Moody {
            gate: kwargs.take_text("gate")?.unwrap_or_default(),
            started: kwargs.take_text("started")?.unwrap_or_default(),
            count: 0,
        })
    })
}

fn compiled_moody() -> EnvSpec {
    moody("test/Moody-v0")
}

ray_rl::register_env!(compiled_moody);

#[ray_core::test]
fn recv_returns_the_first_that_are_ready() -> ray_core::Result<()> {
    let _ray = init()?;
    let (gate, started) = (Tokens::new(), Tokens::new());
    let builder = RemoteVectorEnv::builder("test/Moody-v0", 4).kwarg("gate", gate.path());
    let builder = builder.kwarg("started", started.path());
    let mut envs = builder.workers(2).batch_size(2).build().expect("four");
    let (mut out, mut ids) = (envs.batch_buffers(), Vec::new());
    envs.reset(Some(0), &mut [0.0; 4]).expect("a reset");
    // The first two, in one process, wait; the others do not.
    envs.send(Actions::Discrete(&[1, 0, 0, 0]), &[0, 1, 2, 3])
        .expect("sent");
    started.take();
    envs.recv(&mut out, &mut ids).expect("two");
    assert_eq!(ids, [2, 3]);
    assert_eq!(out.obs, [201.0, 301.0]);
    let error = envs
        .send(Actions::Discrete(&[0, 0]), &[3, 0])
        .expect_err("0 is in flight");
    assert!(error.to_string().contains("environment 0"), "{error}");
    // Those that came back go on meanwhile: a refused send sent nothing.
    envs.send(Actions::Discrete(&[0, 0]), &[3, 2])
        .expect("sent");
    envs.recv(&mut out, &mut ids).expect("two");
    assert_eq!((&ids[..], &out.obs[..]), (&[3, 2][..], &[302.0, 202.0][..]));
    gate.add(1);
    envs.recv(&mut out, &mut ids).expect("the first two");
    assert_eq!((&ids[..], &out.obs[..]), (&[0, 1][..], &[1.0, 101.0][..]));
    let error = envs
        .recv(&mut out, &mut ids)
        .expect_err("nothing is in flight");
    assert!(error.to_string().contains("0 environments"), "{error}");
    Ok(())
}

#[ray_core::test]
fn an_error_names_its_environment_and_the_others_go_on() -> ray_core::Result<()> {
    let _ray = init()?;
    let mut envs = RemoteVectorEnv::builder("test/Moody-v0", 4)
        .workers(2)
        .build()
        .expect("four");
    let mut out = StepBuffers::for_env(&envs);
    let error = envs
        .step(Actions::Discrete(&[0; 4]), &mut out)
        .expect_err("no reset");
    assert_eq!(error, EnvError::ResetNeeded);
    envs.reset(Some(0), &mut out.obs).expect("a reset");
    let error = envs
        .step(Actions::Discrete(&[0, 0, 2, 0]), &mut out)
        .expect_err("2 fails");
    assert_eq!(error.to_string(), "environment 2: not in the mood");
    assert_eq!((out.obs[1], out.obs[3]), (101.0, 301.0));
    let error = envs
        .step(Actions::Discrete(&[0, 3, 0, 0]), &mut out)
        .expect_err("1 panics");
    assert!(error.to_string().starts_with("environment 1:"), "{error}");
    assert!(error.to_string().contains("it had enough"), "{error}");
    let mut poles = RemoteVectorEnv::builder("CartPole-v1", 4)
        .workers(2)
        .build()
        .expect("four");
    let mut out = StepBuffers::for_env(&poles);
    poles.reset(Some(0), &mut out.obs).expect("a reset");
    let error = poles
        .step(Actions::Discrete(&[0, 1, 0, 2]), &mut out)
        .expect_err("no choice");
    assert!(
        error.to_string().starts_with("environment 3: action"),
        "{error}"
    );
    assert_eq!((envs.deaths(), poles.deaths()), (0, 0));
    Ok(())
}

#[ray_core::test]
fn a_killed_worker_is_replaced_and_its_episodes_are_marked_lost() -> ray_core::Result<()> {
    let _ray = init()?;
    for mode in MODES {
        let builder = RemoteVectorEnv::builder("test/Moody-v0", 4).autoreset_mode(mode);
        let mut envs = builder.workers(2).build().expect("four");
        let mut out = StepBuffers::for_env(&envs);
        envs.reset(Some(0), &mut out.obs).expect("a reset");
        envs.step(Actions::Discrete(&[0; 4]), &mut out)
            .expect("a step");
        let pids = envs.pids()?;
        kill9(pids[1]);
        assert!(eventually(|| !is_alive(pids[1])));
        envs.step(Actions::Discrete(&[0; 4]), &mut out)
            .expect("a step");
        assert_eq!(envs.lost(), Some(&[false, false, true, true][..]));
        assert_eq!(out.truncated, [false, false, true, true]);
        assert_eq!(out.terminated, [false; 4]);
        assert_eq!(out.rewards, [1.0, 1.0, 0.0, 0.0]);
        assert_eq!(out.episode_return[2..], [1.0, 1.0]);
        assert_eq!(out.episode_length[2..], [1, 1]);
        assert_eq!(envs.deaths(), 1);
        // Seeds of the new episodes: 2 + 4 and 3 + 4.
        let mask = [false, false, true, true];
        match mode {
            AutoresetMode::SameStep => {
                assert_eq!(out.obs, [2.0, 102.0, 600.0, 700.0]);
                assert_eq!(out.final_obs[2..], [201.0, 301.0]);
                assert_eq!(out.has_final, mask);
            }
            AutoresetMode::NextStep => {
                assert_eq!(out.obs, [2.0, 102.0, 201.0, 301.0]);
                envs.step(Actions::Discrete(&[0; 4]), &mut out)
                    .expect("the step that resets");
                assert_eq!(out.rewards, [1.0, 1.0, 0.0, 0.0]);
            }
            AutoresetMode::Disabled => {
                let error = envs
                    .step(Actions::Discrete(&[0; 4]), &mut out)
                    .expect_err("ended");
                assert!(
                    matches!(error, EnvError::EpisodeEnded { env: 2 }),
                    "{error}"
                );
                envs.reset_where(&mask, &mut out.obs).expect("a reset");
            }
        }
        envs.step(Actions::Discrete(&[0; 4]), &mut out)
            .expect("a step");
        assert_eq!(envs.lost(), Some(&[false; 4][..]));
        assert_eq!(out.rewards, [1.0; 4]);
        assert_ne!(envs.pids()?[1], pids[1]);
    }
    Ok(())
}

#[ray_core::test]
fn a_pool_goes_on_when_a_worker_dies() -> ray_core::Result<()> {
    let _ray = init()?;
    let builder = RemoteVectorEnv::builder("test/Moody-v0", 4).workers(2);
    let mut envs = builder.batch_size(1).build().expect("four");
    let (mut out, mut ids) = (envs.batch_buffers(), Vec::new());
    envs.reset(Some(0), &mut [0.0; 4]).expect("a reset");
    // The second of a process ends it; the first is not in flight then.
    envs.send(Actions::Discrete(&[4]), &[1]).expect("sent");
    envs.recv(&mut out, &mut ids).expect("a lost one");
    assert_eq!(
        (&ids[..], envs.lost(), out.truncated[0]),
        (&[1][..], Some(&[true][..]), true)
    );
    assert_eq!((out.obs[0], out.final_obs[0]), (500.0, 100.0));
    envs.send(Actions::Discrete(&[0]), &[0]).expect("sent");
    envs.recv(&mut out, &mut ids).expect("another lost one");
    assert_eq!((&ids[..], envs.lost()), (&[0][..], Some(&[true][..])));
    for env in [0, 1, 2] {
        envs.send(Actions::Discrete(&[0]), &[env]).expect("sent");
        envs.recv(&mut out, &mut ids).expect("one");
        assert_eq!(
            (&ids[..], envs.lost(), out.rewards[0]),
            (&[env][..], Some(&[false][..]), 1.0)
        );
    }
    assert_eq!(envs.deaths(), 1);
    Ok(())
}

#[ray_core::test]
fn dropping_the_environments_ends_their_processes() -> ray_core::Result<()> {
    let _ray = init()?;
    let (gate, started) = (Tokens::new(), Tokens::new());
    let builder = RemoteVectorEnv::builder("test/Moody-v0", 2).kwarg("gate", gate.path());
    let builder = builder.kwarg("started", started.path());
    let mut envs = builder.workers(2).batch_size(1).build().expect("two");
    envs.reset(Some(0), &mut [0.0; 2]).expect("a reset");
    let pids = envs.pids()?;
    // One is in the middle of a step that nobody ends.
    envs.send(Actions::Discrete(&[1]), &[1]).expect("sent");
    started.take();
    drop(envs);
    assert!(eventually(|| pids.iter().all(|pid| !is_alive(*pid))));
    Ok(())
}

#[ray_core::test]
fn what_is_wrong_is_said_when_it_is_built() -> ray_core::Result<()> {
    let _ray = init()?;
    let error = |builder: ray_rl::actors::RemoteVectorEnvBuilder| {
        builder.build().err().expect("it is wrong").to_string()
    };
    let text = error(RemoteVectorEnv::builder("CartPoll-v1", 2));
    assert!(text.contains("did you mean `CartPole-v1`"), "{text}");
    let text = error(RemoteVectorEnv::builder("CartPole-v1", 2).kwarg("wheels", 3));
    assert!(text.contains("wheels"), "{text}");
    assert!(error(RemoteVectorEnv::builder("CartPole-v1", 0)).contains("count"));
    assert!(error(RemoteVectorEnv::builder("CartPole-v1", 2).workers(0)).contains("workers"));
    assert!(error(RemoteVectorEnv::builder("CartPole-v1", 2).batch_size(3)).contains("batch_size"));
    // This process knows it, and the workers do not.
    register(moody("here/Moody-v0")).expect("a new id");
    let text = error(RemoteVectorEnv::builder("here/Moody-v0", 2));
    assert!(text.contains("register_env!"), "{text}");
    Ok(())
}

#[ray_core::test]
fn ppo_learns_the_same_weights_from_remote_environments() -> ray_core::Result<()> {
    let _ray = init()?;
    let config = Ppo::config("CartPole-v1").envs(4).seed(5);
    let envs = RemoteVectorEnv::builder("CartPole-v1", 4).workers(2);
    let envs = Box::new(envs.build().expect("four"));
    let mut there = config.clone().build_with(envs).expect("a trainer");
    let mut here = config.build().expect("a trainer");
    for _ in 0..3 {
        there.train().expect("a report");
        here.train().expect("a report");
    }
    let bits = |ppo: &Ppo| {
        let weights = ppo.learner().parameters().iter();
        weights.map(|weight| weight.to_bits()).collect::<Vec<_>>()
    };
    assert_eq!(bits(&here), bits(&there));
    Ok(())
}

#[ray_core::test]
fn a_rollout_says_which_steps_were_lost() -> ray_core::Result<()> {
    let _ray = init()?;
    let envs = RemoteVectorEnv::builder("CartPole-v1", 4).workers(2);
    let envs = envs.build().expect("four");
    let pids = envs.pids()?;
    let mut sampler = Sampler::from_envs(Box::new(envs), &[8], 1, 0).expect("a sampler");
    let parameters = sampler.model().init(1);
    let rollout = sampler.sample(&parameters, 5).expect("samples");
    assert_eq!(rollout.lost, [0; 20]);
    kill9(pids[0]);
    let rollout = sampler.sample(&parameters, 5).expect("samples");
    let (first, later) = rollout.lost.split_at(4);
    assert_eq!((first, later), (&[1, 1, 0, 0][..], &[0; 16][..]));
    Ok(())
}

#[ray_core::test]
fn a_reset_forgets_what_is_in_flight() -> ray_core::Result<()> {
    let _ray = init()?;
    let builder = RemoteVectorEnv::builder("test/Moody-v0", 2).workers(1);
    let mut envs = builder.batch_size(2).build().expect("two");
    let (mut out, mut ids, mut obs) = (envs.batch_buffers(), Vec::new(), [0.0; 2]);
    envs.reset(Some(0), &mut obs).expect("a reset");
    envs.send(Actions::Discrete(&[0]), &[1]).expect("sent");
    assert!(envs.step(Actions::Discrete(&[0, 0]), &mut out).is_err());
    envs.reset(Some(3), &mut obs).expect("a reset");
    assert_eq!(obs, [300.0, 400.0]);
    envs.send(Actions::Discrete(&[0, 0]), &[1, 0])
        .expect("sent");
    envs.recv(&mut out, &mut ids).expect("two");
    assert_eq!((&ids[..], &out.obs[..]), (&[1, 0][..], &[401.0, 301.0][..]));
    Ok(())
}

#[ray_core::test]
fn a_reset_takes_a_seed_for_each_and_options_for_all() -> ray_core::Result<()> {
    let _ray = init()?;
    let mode = AutoresetMode::SameStep;
    let mut here = make_vec("CartPole-v1", 3, mode).expect("environments");
    let builder = RemoteVectorEnv::builder("CartPole-v1", 3).autoreset_mode(mode);
    let mut there = builder.workers(2).build().expect("environments");
    let options = Options::from([
        ("low".to_owned(), environments::Value::from(0.01)),
        ("high".to_owned(), environments::Value::from(0.02)),
    ]);
    let seeds = [Some(5), Some(1), Some(9)];
    let (mut a, mut b) = (vec![0.0; 12], vec![0.0; 12]);
    here.reset_with(&seeds, &options, &mut a).expect("a reset");
    there.reset_with(&seeds, &options, &mut b).expect("a reset");
    assert_eq!(a, b);
    assert!(a.iter().all(|value| (0.01..=0.02).contains(value)), "{a:?}");
    assert!(there.reset_with(&seeds[..2], &options, &mut b).is_err());
    Ok(())
}

#[ray_core::test]
fn workers_draw_their_environments() -> ray_core::Result<()> {
    let _ray = init()?;
    let envs = RemoteVectorEnv::builder("CartPole-v1", 3).workers(2);
    let mut plain = envs.clone().build().expect("three");
    let error = plain
        .render(RenderMode::RgbArray)
        .expect_err("nobody asked for it");
    assert!(error.to_string().contains("render_mode"), "{error}");
    let mut there = envs
        .render_mode(RenderMode::RgbArray)
        .build()
        .expect("three");
    let here = EnvBuilder::new("CartPole-v1").render_mode(RenderMode::RgbArray);
    let mut here = here.build_vec(3, AutoresetMode::SameStep).expect("three");
    let mut obs = vec![0.0; 12];
    here.reset(Some(2), &mut obs).expect("a reset");
    there.reset(Some(2), &mut obs).expect("a reset");
    let frames = there.render(RenderMode::RgbArray).expect("pictures");
    assert!(here.render(RenderMode::RgbArray) == Ok(frames));
    assert_eq!(there.metadata().render_fps, 50);
    Ok(())
}
