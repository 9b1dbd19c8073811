//! How what `make` makes is drawn.

use environments::{
    Env as _, EnvBuilder, EnvError, Frame, MakeError, Options, RenderMode, Value, Vectorization,
    check::passes,
    check_env, make_vec,
    registry::specs,
    vector::{Actions, AutoresetMode, StepBuffers, VectorEnv as _},
    wrappers::{AtariPreprocessing, ClipReward, RecordVideo},
};

fn count(frame: Result<Frame, EnvError>) -> usize {
    match frame {
        Ok(Frame::List(frames)) => frames.len(),
        other => panic!("{other:?} is no list"),
    }
}

#[test]
fn every_environment_collects_frames_of_each_of_its_modes() {
    for spec in specs() {
        let id = spec.id().to_string();
        let env = EnvBuilder::from_spec((*spec).clone()).build().expect(&id);
        for mode in env.metadata().render_modes {
            let list = mode.list().expect("an environment's own modes have lists");
            let builder = EnvBuilder::from_spec((*spec).clone()).render_mode(list);
            let mut env = builder.build().expect(&id);
            env.reset(Some(1), &Options::new()).expect("a reset");
            let action = env
                .action_space()
                .sample(&mut environments::rng::Rng::new(1));
            env.step(&action).expect("a step");
            assert_eq!(count(env.render(list)), 2, "{id}, {mode:?}");
            assert_eq!(count(env.render(list)), 0, "{id}, {mode:?}");
            assert_eq!(env.render_mode(), Some(list));
            assert!(
                env.render(*mode).is_ok(),
                "{id}: one frame can be drawn too"
            );
        }
    }
}

#[test]
fn what_collects_frames_passes_the_checks() {
    let builder = EnvBuilder::new("FrozenLake-v1").render_mode(RenderMode::AnsiList);
    let findings = check_env(|| builder.build().expect("it is there"));
    assert!(passes(&findings), "{findings:?}");
}

#[test]
fn a_mode_that_an_environment_lacks_is_refused_with_those_that_it_has() {
    for mode in [RenderMode::Ansi, RenderMode::AnsiList] {
        let builder = EnvBuilder::new("CartPole-v1").render_mode(mode);
        let errors = [
            builder.build().err(),
            builder.build_vec(2, AutoresetMode::SameStep).err(),
        ];
        for error in errors {
            let error = error.expect("it draws no texts");
            assert!(
                matches!(error, MakeError::InvalidArgument { .. }),
                "{error}"
            );
            assert!(error.to_string().contains("render_mode"), "{error}");
        }
    }
    let text = EnvBuilder::new("CartPole-v1").render_mode(RenderMode::Ansi);
    let error = text.build().err().expect("it draws no texts").to_string();
    assert!(error.contains("[rgb_array]"), "{error}");
}

#[test]
fn a_vector_draws_each_in_whatever_form_it_is_built() {
    for form in [
        Vectorization::Fastest,
        Vectorization::Sync,
        Vectorization::Threads(2),
    ] {
        let builder = EnvBuilder::new("CartPole-v1").vectorization(form);
        let builder = builder.render_mode(RenderMode::RgbArray);
        let mut envs = builder.build_vec(3, AutoresetMode::SameStep).expect("made");
        let mut out = StepBuffers::for_env(&*envs);
        envs.reset(Some(5), &mut out.obs).expect("a reset");
        envs.step(Actions::Discrete(&[0, 1, 1]), &mut out)
            .expect("a step");
        let frames = envs.render(RenderMode::RgbArray).expect("pictures");
        assert_eq!(frames.len(), 3);
        for (at, (frame, action)) in frames.iter().zip([0, 1, 1]).enumerate() {
            let mut alone = environments::make("CartPole-v1").expect("it is there");
            alone
                .reset(Some(5 + at as u64), &Options::new())
                .expect("a reset");
            alone.step(&Value::Int(action)).expect("a step");
            assert_eq!(
                alone.render(RenderMode::RgbArray).as_ref(),
                Ok(frame),
                "{form:?}"
            );
        }
    }
    let mut fast = make_vec("CartPole-v1", 3, AutoresetMode::SameStep).expect("made");
    assert!(fast.render(RenderMode::RgbArray).is_err());
}

#[test]
fn a_builder_wraps_one_and_each_of_several_and_says_what_does_not_fit() {
    let builder = EnvBuilder::new("MountainCar-v0");
    let builder = builder.wrapper("ClipReward", |env| ClipReward::new(env, -0.25, 0.0));
    let mut env = builder.build().expect("made");
    env.reset(Some(1), &Options::new()).expect("a reset");
    assert_eq!(env.step(&Value::Int(1)).expect("a step").reward, -0.25);
    let spec = env.spec().expect("`make` says what it made");
    assert!(format!("{spec:?}").contains("ClipReward"));
    let mut envs = builder.build_vec(2, AutoresetMode::SameStep).expect("made");
    let mut out = StepBuffers::for_env(&*envs);
    envs.reset(Some(1), &mut out.obs).expect("a reset");
    envs.step(Actions::Discrete(&[0, 2]), &mut out)
        .expect("a step");
    assert_eq!(out.rewards, [-0.25, -0.25]);

    let wrong = EnvBuilder::new("MountainCar-v0").wrapper("Atari", AtariPreprocessing::new);
    for error in [
        wrong.build().err(),
        wrong.build_vec(2, AutoresetMode::SameStep).err(),
    ] {
        let error = error.expect("it shows no pictures").to_string();
        assert!(error.contains("AtariPreprocessing"), "{error}");
    }
}

#[test]
fn a_recorder_goes_around_what_make_collects_frames_of() {
    let folder = tempfile::tempdir().expect("a folder");
    let builder = EnvBuilder::new("CartPole-v1").render_mode(RenderMode::RgbArrayList);
    let mut env =
        RecordVideo::new(builder.build().expect("made"), folder.path()).expect("it draws");
    env.reset(Some(1), &Options::new()).expect("a reset");
    env.step(&Value::Int(1)).expect("a step");
    assert_eq!(count(env.render(RenderMode::RgbArrayList)), 2);
    assert_eq!(env.finish().expect("a file").len(), 1);
}
