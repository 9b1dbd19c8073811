//! Spaces of every kind, and values of every kind, there and back.

use environments::{
    Array, ArrayData, Dtype, EnvBuilder, EnvError, Frame, Info, MakeError, Observation as _,
    Options, RenderMode, Value, make_vec,
    rng::Rng,
    vector::{Actions, AutoresetMode, StepBuffers, VectorEnv as _},
};

use crate::{builder, fixture, register_fixtures};

/// Every kind of space, as Gymnasium prints the counterpart.
const KINDS: [(&str, &str); 12] = [
    ("box", "Box(-1.0, 1.0, (2, 3), float32)"),
    ("bytes", "Box(0, 255, (4,), uint8)"),
    ("wide", "Box(-inf, inf, (), float64)"),
    ("discrete", "Discrete(4, start=-2)"),
    ("multi_discrete", "MultiDiscrete([[2 3]\n [4 5]])"),
    ("multi_binary", "MultiBinary((2, 2))"),
    (
        "text",
        "Text(1, 5, charset=0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz)",
    ),
    (
        "dict",
        "Dict('a': Box(0.0, 1.0, (2,), float32), 'b': Discrete(3))",
    ),
    ("tuple", "Tuple(Discrete(3), Tuple(MultiBinary(2)))"),
    ("sequence", "Sequence(Discrete(3), stack=False)"),
    ("graph", "Graph(Box(0.0, 1.0, (2,), float32), Discrete(3))"),
    ("one_of", "OneOf(Discrete(3), Box(0.0, 1.0, (2,), float32))"),
];

#[test]
fn a_member_of_every_space_comes_back_as_it_went() {
    let mut rng = Rng::new(5);
    for (kind, printed) in KINDS {
        let mut env = fixture("Echo", [("kind", kind.into())]).expect(kind);
        let space = env.action_space();
        assert_eq!(space.to_string(), printed);
        let (first, _) = env.reset(Some(3), &Options::new()).expect(kind);
        assert!(space.contains(&first), "{kind}: {first:?}");
        for _ in 0..20 {
            let sent = space.sample(&mut rng);
            let step = env.step(&sent);
            let step = step.unwrap_or_else(|error| panic!("{kind}: {sent:?}: {error}"));
            assert_eq!(step.observation, sent, "{kind}");
            assert_eq!((step.reward, step.terminated), (0.25, false), "{kind}");
        }
    }
}

#[test]
fn a_member_of_a_fixed_length_makes_the_same_row_there_and_back() {
    register_fixtures();
    let mut rng = Rng::new(6);
    for (kind, _) in &KINDS[..9] {
        let builder = builder("gym:fixture/Echo-v0").kwarg("kind", *kind);
        let mut envs = builder.build_vec(2, AutoresetMode::SameStep).expect(kind);
        let mut out = StepBuffers::for_env(&*envs);
        let (space, d) = (envs.single_action_space(), envs.observation_len());
        envs.reset(Some(1), &mut out.obs).expect(kind);
        for _ in 0..10 {
            let mut sent = vec![0.0; 2 * d];
            for row in sent.chunks_exact_mut(d) {
                space.sample(&mut rng).write(row);
            }
            let choices = sent.iter().map(|number| *number as i64).collect::<Vec<_>>();
            let actions = match *kind {
                "discrete" | "multi_discrete" => Actions::Discrete(&choices),
                _ => Actions::Continuous(&sent),
            };
            envs.step(actions, &mut out)
                .unwrap_or_else(|error| panic!("{kind}: {error}"));
            assert_eq!(out.obs, sent, "{kind}");
        }
    }
}

#[test]
fn a_space_without_a_counterpart_is_refused_by_name() {
    for (kind, name) in [
        ("stacked", "Sequence(Discrete(3), stack=True)"),
        ("uint64", "uint64"),
        ("own", "Own"),
    ] {
        let Err(error) = fixture("Echo", [("kind", kind.into())]) else {
            panic!("{kind} was taken");
        };
        assert!(
            matches!(error, MakeError::Env(EnvError::NotSupported(_))),
            "{error:?}"
        );
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn an_array_in_another_order_of_memory_is_read_in_row_major_order() {
    register_fixtures();
    let mut envs = make_vec("gym:fixture/Fortran-v0", 1, AutoresetMode::SameStep).expect("made");
    let mut out = StepBuffers::for_env(&*envs);
    envs.reset(None, &mut out.obs).expect("a reset");
    envs.step(Actions::Continuous(&[0.0; 6]), &mut out)
        .expect("a step");
    assert_eq!(out.obs, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    let mut env = fixture("Fortran", []).expect("made");
    env.reset(None, &Options::new()).expect("a reset");
    let step = env
        .step(&Array::from(vec![0.0_f32; 6]).into())
        .expect("a step");
    let seen = step.observation.as_array().expect("an array").to_f64();
    assert_eq!(seen, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
}

#[test]
fn options_and_infos_of_every_kind_arrive() {
    let mut env = fixture("Echo", [("kind", "discrete".into())]).expect("made");
    let array = Array::new([2, 1], ArrayData::I32(vec![1, 2])).expect("it fits");
    let given = Options::from([
        ("array".to_owned(), array.into()),
        (
            "list".to_owned(),
            vec![Value::Int(1), Value::Float(0.5), "x".into()].into(),
        ),
        (
            "map".to_owned(),
            Info::from([("inner".to_owned(), Value::Bool(true))]).into(),
        ),
    ]);
    let (_, info) = env
        .reset(Some(u64::from(u32::MAX)), &given)
        .expect("a reset");
    assert_eq!(info["options"], Value::Map(given));
    assert_eq!(info["seed"], Value::Int(i64::from(u32::MAX)));
    assert_eq!(info["scalar"], Value::Float(0.5));
    assert!(
        info["type"]
            .as_text()
            .is_some_and(|text| text.contains("Echo"))
    );
    let (_, info) = env.reset(None, &Options::new()).expect("a reset");
    assert!(
        !info.contains_key("options") && !info.contains_key("seed"),
        "{info:?}"
    );
    let info = env.step(&Value::Int(-1)).expect("a step").info;
    assert_eq!(
        info["words"],
        vec![Value::from("a"), Value::Bool(true)].into()
    );
    let counts = info["counts"].as_array().expect("an array");
    assert_eq!(
        (counts.dtype(), counts.to_f64()),
        (Dtype::I32, vec![0.0, 1.0, 2.0])
    );
}

#[test]
fn a_drawing_is_a_frame_in_the_mode_that_was_asked_for() {
    register_fixtures();
    let make = |mode| {
        let builder = builder("gym:fixture/Echo-v0").kwarg("kind", "box");
        let mut env = builder.render_mode(mode).build().expect("made");
        env.reset(None, &Options::new()).expect("a reset");
        env
    };
    let mut env = make(RenderMode::Ansi);
    assert_eq!(env.metadata().render_fps, 7);
    assert_eq!(
        env.render(RenderMode::Ansi),
        Ok(Frame::Ansi("drawn".into()))
    );
    assert!(matches!(
        env.render(RenderMode::RgbArray),
        Err(EnvError::NotSupported(_))
    ));
    let mut env = make(RenderMode::RgbArray);
    let Ok(Frame::Rgb {
        width,
        height,
        pixels,
        ..
    }) = env.render(RenderMode::RgbArray)
    else {
        panic!("an image was asked for");
    };
    assert_eq!((width, height, pixels), (3, 2, (0..18).collect()));
    let mut env = builder("gym:CartPole-v1")
        .render_mode(RenderMode::RgbArray)
        .build()
        .expect("made");
    env.reset(Some(1), &Options::new()).expect("a reset");
    let frame = env.render(RenderMode::RgbArray).expect("an image");
    assert!(matches!(
        frame,
        Frame::Rgb {
            width: 600,
            height: 400,
            ..
        }
    ));
    let spec = environments::registry::spec("gym:CartPole-v1").expect("it is there");
    let env = EnvBuilder::from_spec((*spec).clone())
        .render_mode(RenderMode::RgbArray)
        .build();
    assert_eq!(env.expect("made").render_mode(), Some(RenderMode::RgbArray));
    let refused = builder("gym:CartPole-v1")
        .render_mode(RenderMode::Ansi)
        .build()
        .err();
    assert!(
        matches!(refused, Some(MakeError::InvalidArgument { .. })),
        "{refused:?}"
    );
}
