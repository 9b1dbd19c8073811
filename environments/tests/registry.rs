//! What `make` and its builder promise.

use environments::{
    Array, EnvBuilder, EnvSpec, MakeError, Options, RenderMode, Value, make, make_with,
    registry::{pprint_registry, spec},
    wrappers::TimeLimit,
};

#[test]
fn a_limit_can_be_dropped_or_replaced() {
    let push = Value::from(Array::from(vec![0.0_f32]));
    for (limit, expected) in [(None, None), (Some(7), Some(7))] {
        let builder = EnvBuilder::new("Pendulum-v1").max_episode_steps(limit);
        let mut env = builder.build().expect("it is registered");
        env.reset(Some(0), &Options::new()).expect("a reset");
        let cut = (1..=300).find(|_| env.step(&push).expect("a step").truncated);
        assert_eq!(cut, expected);
    }
    let zero = EnvBuilder::new("Pendulum-v1")
        .max_episode_steps(Some(0))
        .build();
    assert!(matches!(zero, Err(MakeError::InvalidArgument { .. })));
}

#[test]
fn arguments_are_read_by_type_and_unknown_ones_refused() {
    let reward = |kwargs: [(&str, Value); 1]| {
        let mut env = make_with("CartPole-v1", kwargs)?;
        env.reset(Some(0), &Options::new())?;
        Ok::<_, MakeError>(env.step(&1.into())?.reward)
    };
    assert_eq!(reward([("sutton_barto_reward", true.into())]), Ok(0.0));
    assert_eq!(reward([("sutton_barto_reward", false.into())]), Ok(1.0));
    for (name, value) in [
        ("sutton_barto_reward", Value::from("yes")),
        ("gravity", 1.0.into()),
    ] {
        let error = reward([(name, value)]).expect_err("a wrong argument");
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn a_mode_that_it_does_not_draw_in_is_refused_with_those_that_it_does() {
    let made = EnvBuilder::new("CartPole-v1")
        .render_mode(RenderMode::Ansi)
        .build();
    let error = made.err().expect("a cart is no text");
    assert!(
        error.to_string().contains("`ansi` is not among its modes"),
        "{error}"
    );
}

#[test]
fn an_environment_knows_its_spec_with_the_callers_changes() {
    let builder = EnvBuilder::new("CartPole-v1").kwarg("sutton_barto_reward", true);
    let env = builder
        .max_episode_steps(Some(9))
        .build()
        .expect("it is registered");
    let found = env.spec().expect("make gives it");
    assert_eq!(found.id().to_string(), "CartPole-v1");
    assert_eq!(found.max_episode_steps, Some(9));
    assert_eq!(found.kwargs.get("sutton_barto_reward"), Some(&true.into()));
    let registered = spec("CartPole-v1").expect("it is registered");
    assert_eq!(registered.max_episode_steps, Some(500));
    let again = EnvSpec::from_json(&found.to_json()).expect("its own JSON");
    let again = EnvBuilder::from_spec(again).build().expect("a spec");
    assert_eq!(again.max_episode_steps(), Some(9));
}

#[test]
fn draws_are_scripted_through_all_wrappers() {
    let mut env = make("CartPole-v1").expect("it is registered");
    let start = [0.01, -0.02, 0.03, -0.04];
    env.rng_mut().expect("it has chance").script(start);
    let (observation, _) = env.reset(None, &Options::new()).expect("a reset");
    let expected = Array::from(start.map(|number| number as f32).to_vec());
    assert_eq!(observation, expected.into());
    assert_eq!(env.state().values, start);
}

#[test]
fn what_make_returns_can_be_wrapped_again() {
    use environments::Env as _;
    let mut env = TimeLimit::new(make("CartPole-v1").expect("it is registered"), 2);
    env.reset(Some(0), &Options::new()).expect("a reset");
    assert!(!env.step(&0.into()).expect("a step").truncated);
    assert!(env.step(&0.into()).expect("a step").truncated);
}

#[test]
fn the_table_of_the_registry_names_every_id_under_its_namespace() {
    let table = pprint_registry();
    let groups = table.split("===== ").collect::<Vec<_>>();
    let own = groups
        .iter()
        .find(|group| group.starts_with("environments =====\n"));
    let own = own.expect("ids without a namespace");
    assert!(own.contains("CartPole-v1") && own.contains("Pendulum-v1"));
    assert!(!own.contains("MinAtar/"));
}
