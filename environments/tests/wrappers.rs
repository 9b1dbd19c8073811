//! Every wrapper keeps what an environment promises, around typed environments and made ones, alone and in vectors.

use environments::{
    Discrete, Dtype, DynEnv, Env, EnvBuilder, EnvSpec, RenderMode,
    check::{EnvCheck, passes},
    envs::{Blackjack, CartPole, MountainCar, Pendulum},
    make, make_vec, register,
    vector::{Actions, AutoresetMode, StepBuffers},
    wrappers::*,
};

fn holds<E: Env>(name: &str, make: impl FnMut() -> E) {
    holds_for(150, name, make);
}

fn holds_for<E: Env>(steps: usize, name: &str, make: impl FnMut() -> E) {
    let findings = EnvCheck::default().steps(steps).run(make);
    let told = findings.iter().map(ToString::to_string);
    let told = told.collect::<Vec<_>>().join("\n");
    assert!(passes(&findings), "{name}:\n{told}");
}

#[test]
fn wrappers_of_observations_keep_the_promises() {
    let cart = CartPole::new;
    let car = MountainCar::new;
    holds("clip", || {
        ClipObservation::new(cart(), -0.02, 0.02).unwrap()
    });
    holds("dtype", || {
        DtypeObservation::new(cart(), Dtype::F64).unwrap()
    });
    holds("reshape", || {
        ReshapeObservation::new(cart(), &[2, 2]).unwrap()
    });
    holds("rescale", || {
        RescaleObservation::new(car(), -1.0, 1.0).unwrap()
    });
    holds("discretize", || {
        DiscretizeObservation::new(car(), &[7, 9]).unwrap()
    });
    holds("flatten", || FlattenObservation::new(Blackjack::new()));
    holds("filter", || {
        FilterObservation::indices(Blackjack::new(), &[2, 0]).unwrap()
    });
    holds("stack", || FrameStackObservation::new(cart(), 4).unwrap());
    holds("delay", || DelayObservation::new(cart(), 3).unwrap());
    holds("time", || TimeAwareObservation::new(cart()).unwrap());
    holds("skip", || MaxAndSkipObservation::new(cart(), 3).unwrap());
    holds_for(30, "pictures", || {
        let small = AddRenderObservation::alone(cart()).unwrap();
        let small = ResizeObservation::new(small, 20, 30).unwrap();
        GrayscaleObservation::new(small).unwrap()
    });
    holds("normalize", || {
        let mut env = NormalizeObservation::new(cart()).unwrap();
        env.map.is_learning = false;
        env
    });
}

#[test]
fn wrappers_of_actions_and_rewards_keep_the_promises() {
    let cart = CartPole::new;
    let pendulum = Pendulum::new;
    holds("clip", || ClipAction::new(pendulum()).unwrap());
    holds("rescale", || {
        RescaleAction::new(pendulum(), -1.0, 1.0).unwrap()
    });
    holds("discretize", || {
        DiscretizeAction::new(pendulum(), &[5]).unwrap()
    });
    holds("repeat", || RepeatAction::new(cart(), 2).unwrap());
    holds("sticky", || {
        StickyAction::new(cart(), 0.4)
            .unwrap()
            .duration(1..=3)
            .unwrap()
    });
    holds("mask", || {
        let env = ActionMasker::new(cart(), |env, mask| {
            mask[0] = env.state().values[2] < 0.0;
        });
        env.unwrap().refusing()
    });
    holds("clip reward", || {
        ClipReward::new(pendulum(), -1.0, 1.0).unwrap()
    });
    holds("normalize reward", || {
        let mut env = NormalizeReward::new(pendulum(), 0.99).unwrap();
        env.map.is_learning = false;
        env
    });
}

#[test]
fn the_other_wrappers_keep_the_promises() {
    let cart = CartPole::new;
    holds("autoreset", || Autoreset::new(cart()));
    holds("limit", || TimeLimit::new(CartPole::unlimited(), 7));
    holds("order", || OrderEnforcing::new(cart()));
    holds("checker", || PassiveEnvChecker::new(cart()).every_step());
    holds("noise", || AddWhiteNoise::new(cart(), 0.1).unwrap());
    holds("obstruct", || ObstructView::new(cart(), 0.1, 8).unwrap());
    holds_for(30, "collection", || {
        RenderCollection::new(cart(), RenderMode::RgbArray).unwrap()
    });
}

#[test]
fn a_spec_wraps_what_it_makes_alone_and_in_vectors() {
    let spec = EnvSpec::new("wrapped/CartPole-v0", |_| Ok(CartPole::unlimited()));
    let spec = spec
        .max_episode_steps(30)
        .wrapper("stack", |env: Box<dyn DynEnv>| {
            Box::new(FrameStackObservation::new(env, 3).expect("three")) as Box<dyn DynEnv>
        })
        .wrapper("sticky", |env: Box<dyn DynEnv>| {
            Box::new(StickyAction::new(env, 0.25).expect("a share")) as Box<dyn DynEnv>
        });
    register(spec).expect("a new id");
    holds("made", || {
        make("wrapped/CartPole-v0").expect("it is registered")
    });
    let mut envs = make_vec("wrapped/CartPole-v0", 2, AutoresetMode::SameStep).expect("rows");
    assert_eq!(envs.observation_len(), 12);
    assert_eq!(envs.single_action_space(), Discrete::new(2).into());
    let mut out = StepBuffers::for_env(&*envs);
    envs.reset(Some(0), &mut out.obs).expect("a reset");
    let first = out.obs[..4].to_vec();
    assert_eq!(first, out.obs[8..12], "the first frame three times");
    envs.step(Actions::Discrete(&[0, 1]), &mut out)
        .expect("a step");
    assert_eq!(first, out.obs[..4]);
    assert_ne!(first, out.obs[8..12]);
    let env = EnvBuilder::new("wrapped/CartPole-v0").build();
    assert_eq!(env.expect("it is registered").max_episode_steps(), Some(30));
}
