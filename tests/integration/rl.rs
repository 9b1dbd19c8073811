//! Training by actors: the numbers of the single-process loop, and runners that survive.

use ray_core::{init, prelude::*};
use ray_rl::{
    actors::{PolicyServer, ServerConfig},
    algo::ppo::{Ppo, PpoConfig},
    trainer::PpoTrainer,
};

fn small() -> PpoConfig {
    Ppo::config("CartPole-v1").envs_per_runner(4).seed(11)
}

#[ray_core::test]
fn one_runner_gives_the_numbers_of_the_single_process() -> ray_core::Result<()> {
    let _ray = init()?;
    let mut alone = small().build().expect("a learner");
    let mut apart = PpoTrainer::new(small().env_runners(1)).expect("a trainer");
    for iteration in 0..8 {
        let here = alone.train().expect("a report");
        let there = apart.train().expect("a report");
        assert_eq!(here.total_timesteps, there.total_timesteps);
        assert_eq!(
            here.ep_rew_mean.to_bits(),
            there.ep_rew_mean.to_bits(),
            "{iteration}"
        );
        let (own, far) = (
            alone.learner().parameters(),
            apart.weights().expect("weights"),
        );
        assert_eq!(own.len(), far.len());
        let same = own
            .iter()
            .zip(&far)
            .all(|(a, b)| a.to_bits() == b.to_bits());
        assert!(same, "the weights differ after iteration {iteration}");
    }
    Ok(())
}

#[ray_core::test]
fn several_runners_add_up_their_steps() -> ray_core::Result<()> {
    let _ray = init()?;
    let config = small().env_runners(2);
    let per_iteration = (2 * config.envs * config.steps) as u64;
    let mut trainer = PpoTrainer::new(config).expect("a trainer");
    for iteration in 1..=3 {
        assert_eq!(
            trainer.train().expect("a report").total_timesteps,
            iteration * per_iteration
        );
    }
    Ok(())
}

#[ray_core::test]
fn training_goes_on_when_a_runner_is_killed() -> ray_core::Result<()> {
    let _ray = init()?;
    let mut trainer = PpoTrainer::new(small().env_runners(2)).expect("a trainer");
    trainer.train().expect("a report");
    trainer.runners()[0].kill(KillMode::Restart)?;
    for _ in 0..3 {
        trainer.train().expect("a report after the restart");
    }
    Ok(())
}

#[ray_core::test]
fn a_wrong_setting_is_named() {
    let error = PpoTrainer::new(small().env_runners(0))
        .err()
        .expect("no runner");
    assert!(error.to_string().contains("env_runners"), "{error}");
    let error = Ppo::config("CartPoll-v1")
        .build()
        .err()
        .expect("no such environment");
    assert!(
        error.to_string().contains("did you mean `CartPole-v1`"),
        "{error}"
    );
}

#[ray_core::test]
fn a_policy_server_answers_many_clients_in_batches() -> ray_core::Result<()> {
    let _ray = init()?;
    let alone = small().build().expect("a learner");
    let weights = alone.learner().parameters().to_vec();
    let server = PolicyServer::remote(small(), ServerConfig::default(), weights);
    let asked: Vec<Vec<f32>> = (0..64).map(|i| vec![0.01 * i as f32; 4]).collect();
    let calls: Vec<_> = asked
        .iter()
        .map(|observation| server.act(observation))
        .collect();
    let together = ray_core::get_all(&calls)?;
    for (observation, action) in asked.iter().zip(&together) {
        assert_eq!(
            &server.act(observation).get()?,
            action,
            "a batch changes no answer"
        );
    }
    let batches = server.batches().get()?;
    assert!(batches < 128, "{batches} forward passes for 128 questions");
    let error = server
        .act(vec![0.0_f32; 3])
        .get()
        .expect_err("three numbers of four");
    assert!(error.to_string().contains('4'), "{error}");
    Ok(())
}
