//! Environments of Python's Gymnasium in worker processes, with the feature `python`.

use ray_core::init;
use ray_rl::actors::RemoteVectorEnv;

#[cfg(not(feature = "python"))]
#[ray_core::test]
fn without_the_feature_the_error_names_it() -> ray_core::Result<()> {
    let _ray = init()?;
    let error = RemoteVectorEnv::builder("gym:CartPole-v1", 2).build().err();
    let error = error.expect("it needs Python");
    assert!(
        matches!(
            &error,
            ray_rl::RlError::UnknownEnv(environments::MakeError::FeatureNeeded {
                feature: "python",
                ..
            })
        ),
        "{error:?}"
    );
    assert!(error.to_string().contains("`ray-rl`"), "{error}");
    Ok(())
}

#[cfg(feature = "python")]
mod with_python {
    use environments::{
        EnvError, Frame, RenderMode,
        rng::Rng,
        vector::{Actions, AutoresetMode, StepBuffers, VectorEnv},
    };
    use ray_tests::{eventually, is_alive, kill9};

    use super::*;

    /// Returns whether a process has NumPy's code in its memory, as each that runs Gymnasium has.
    fn has_numpy(pid: u32) -> bool {
        let maps = std::fs::read_to_string(format!("/proc/{pid}/maps"));
        maps.expect("the process lives")
            .contains("_multiarray_umath")
    }

    #[ray_core::test]
    fn each_worker_has_an_interpreter_and_this_process_has_none() -> ray_core::Result<()> {
        let _ray = init()?;
        let envs = RemoteVectorEnv::builder("gym:CartPole-v1", 3).workers(2);
        let mut envs = envs.build().expect("Gymnasium is installed");
        let mut out = StepBuffers::for_env(&envs);
        envs.reset(Some(1), &mut out.obs).expect("a reset");
        envs.step(Actions::Discrete(&[0, 1, 0]), &mut out)
            .expect("a step");
        let pids = envs.pids()?;
        assert_ne!(pids[0], pids[1]);
        assert!(pids.iter().all(|pid| has_numpy(*pid)));
        assert!(
            !has_numpy(std::process::id()),
            "the spaces came from a worker"
        );
        Ok(())
    }

    #[ray_core::test]
    fn workers_write_the_rows_that_this_process_writes() -> ray_core::Result<()> {
        let _ray = init()?;
        for (id, steps) in [("gym:CartPole-v1", 60), ("gym:ALE/Pong-v5", 4)] {
            let mode = AutoresetMode::SameStep;
            let mut here = environments::make_vec(id, 3, mode).expect("Gymnasium is installed");
            let mut there = RemoteVectorEnv::builder(id, 3)
                .workers(2)
                .build()
                .expect(id);
            assert_eq!(
                there.single_observation_space(),
                here.single_observation_space()
            );
            assert_eq!(there.single_action_space(), here.single_action_space());
            let (mut a, mut b) = (StepBuffers::for_env(&*here), StepBuffers::for_env(&there));
            here.reset(Some(4), &mut a.obs).expect("a reset");
            there.reset(Some(4), &mut b.obs).expect("a reset");
            let mut rng = Rng::new(1);
            for at in 0..steps {
                let choices = [(); 3].map(|()| rng.below(2) as i64);
                here.step(Actions::Discrete(&choices), &mut a)
                    .expect("a step");
                there
                    .step(Actions::Discrete(&choices), &mut b)
                    .expect("a step");
                assert!(a.obs == b.obs, "{id}, step {at}");
                assert_eq!((&a.rewards, &a.terminated), (&b.rewards, &b.terminated));
                assert_eq!(a.has_final, b.has_final, "{id}, step {at}");
            }
        }
        Ok(())
    }

    #[ray_core::test]
    fn what_is_wrong_is_said_in_the_words_of_gymnasium() -> ray_core::Result<()> {
        let _ray = init()?;
        let error = RemoteVectorEnv::builder("gym:CartPol-v1", 2).build().err();
        let error = error.expect("there is none").to_string();
        assert!(error.contains("Did you mean: `CartPole`?"), "{error}");
        let envs = RemoteVectorEnv::builder("gym:CartPole-v1", 2).kwarg("gravy", 1);
        let error = envs.build().err().expect("it takes none").to_string();
        assert!(error.contains("gravy"), "{error}");
        Ok(())
    }

    #[ray_core::test]
    fn an_exception_arrives_with_its_environment_and_its_traceback() -> ray_core::Result<()> {
        let _ray = init()?;
        let envs = RemoteVectorEnv::builder("gym:CartPole-v1", 2).workers(2);
        let mut envs = envs.build().expect("Gymnasium is installed");
        let mut obs = vec![0.0; 8];
        let options = [
            ("low".to_owned(), 2.0.into()),
            ("high".to_owned(), 1.0.into()),
        ];
        let error = envs.reset_with(&[None, None], &options.into(), &mut obs);
        let Err(EnvError::InVector { env: 0, error }) = error else {
            panic!("{error:?}");
        };
        let EnvError::Python {
            exception,
            traceback,
        } = *error
        else {
            panic!("{error:?}");
        };
        assert!(exception.contains("ValueError"), "{exception}");
        assert!(traceback.contains("Traceback"), "{traceback}");
        Ok(())
    }

    #[ray_core::test]
    fn a_killed_worker_is_replaced_by_one_with_an_interpreter_of_its_own() -> ray_core::Result<()> {
        let _ray = init()?;
        let envs = RemoteVectorEnv::builder("gym:CartPole-v1", 2).workers(2);
        let mut envs = envs.build().expect("Gymnasium is installed");
        let mut out = StepBuffers::for_env(&envs);
        envs.reset(Some(1), &mut out.obs).expect("a reset");
        let pids = envs.pids()?;
        kill9(pids[1]);
        assert!(eventually(|| !is_alive(pids[1])));
        envs.step(Actions::Discrete(&[1, 1]), &mut out)
            .expect("a step");
        assert_eq!(envs.lost(), Some(&[false, true][..]));
        envs.step(Actions::Discrete(&[1, 1]), &mut out)
            .expect("a step");
        assert_eq!(out.rewards, [1.0, 1.0]);
        assert_eq!(envs.deaths(), 1);
        Ok(())
    }

    #[ray_core::test]
    fn workers_draw_what_they_were_made_to_draw() -> ray_core::Result<()> {
        let _ray = init()?;
        let envs = RemoteVectorEnv::builder("gym:CartPole-v1", 2).workers(2);
        let mut envs = envs
            .render_mode(RenderMode::RgbArray)
            .build()
            .expect("made");
        let mut out = StepBuffers::for_env(&envs);
        envs.reset(Some(1), &mut out.obs).expect("a reset");
        let frames = envs.render(RenderMode::RgbArray).expect("pictures");
        assert!(matches!(
            frames[..],
            [Frame::Rgb { width: 600, .. }, Frame::Rgb { .. }]
        ));
        assert!(envs.render(RenderMode::Ansi).is_err());
        Ok(())
    }
}
