//! An actor that answers which action to take, many clients' questions at once.

use std::{cell::RefCell, time::Duration};

use environments::rng::Rng;
use ray_core::prelude::*;

use super::learner::model_of;
use crate::{
    algo::ppo::PpoConfig,
    policy::{ActMode, ActorCritic, Workspace},
};

/// How requests are gathered.
#[derive(Data, Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// The most requests of one forward pass.
    pub max_batch: u32,
    /// The longest that a request waits for others; microseconds.
    pub max_wait_us: u64,
}

impl Default for ServerConfig {
    fn default() -> Self {
        ServerConfig {
            max_batch: 64,
            max_wait_us: 200,
        }
    }
}

/// Serves a policy: takes the likeliest action for each observation.
#[actor]
pub struct PolicyServer {
    model: ActorCritic,
    weights: Vec<f32>,
    config: ServerConfig,
    pending: RefCell<Pending>,
}

#[derive(Default)]
struct Pending {
    observations: Vec<f32>,
    askers: Vec<tokio::sync::oneshot::Sender<Vec<f32>>>,
    batches: u64,
}

#[remote]
impl PolicyServer {
    /// Serves these weights of the networks that fit the environment.
    pub fn new(config: PpoConfig, server: ServerConfig, weights: Vec<f32>) -> Result<Self, String> {
        let model = model_of(&config).map_err(|error| error.to_string())?;
        if weights.len() != model.parameter_count() {
            return Err(format!(
                "{} weights came for a model of {}",
                weights.len(),
                model.parameter_count()
            ));
        }
        Ok(PolicyServer {
            model,
            weights,
            config: server,
            pending: RefCell::default(),
        })
    }

    /// Takes newer weights.
    pub fn set_weights(&mut self, weights: Vec<f32>) -> Result<(), String> {
        if weights.len() != self.model.parameter_count() {
            return Err(format!(
                "{} weights came for a model of {}",
                weights.len(),
                self.model.parameter_count()
            ));
        }
        self.weights = weights;
        Ok(())
    }

    /// Returns the action for one observation; waits a moment for others to share the forward pass.
    pub async fn act(&self, observation: Vec<f32>) -> Result<Vec<f32>, String> {
        if observation.len() != self.model.observation_len() {
            return Err(format!(
                "an observation has {} numbers and needs {}",
                observation.len(),
                self.model.observation_len()
            ));
        }
        let (sender, mut receiver) = tokio::sync::oneshot::channel();
        let position = {
            let mut pending = self.pending.borrow_mut();
            pending.observations.extend_from_slice(&observation);
            pending.askers.push(sender);
            pending.askers.len()
        };
        if position >= self.config.max_batch as usize {
            self.serve();
        } else if position == 1 {
            // The first of a batch waits for the others, unless they fill it before.
            let wait = tokio::time::sleep(Duration::from_micros(self.config.max_wait_us));
            tokio::select! {
                answer = &mut receiver => return answer.map_err(|_| "the server dropped the request".to_owned()),
                () = wait => self.serve(),
            }
        }
        receiver
            .await
            .map_err(|_| "the server dropped the request".to_owned())
    }

    /// Returns how many forward passes were made.
    pub fn batches(&self) -> u64 {
        self.pending.borrow().batches
    }

    fn serve(&self) {
        let mut pending = self.pending.borrow_mut();
        let askers = std::mem::take(&mut pending.askers);
        let observations = std::mem::take(&mut pending.observations);
        if askers.is_empty() {
            return;
        }
        pending.batches += 1;
        drop(pending);
        let len = self.model.distribution().action_len();
        let mut actions = vec![0.0; askers.len() * len];
        let mut log_probs = vec![0.0; askers.len()];
        let (mut work, mut unused) = (Workspace::default(), Rng::new(0));
        let mode = ActMode::Deterministic;
        self.model.act(
            &self.weights,
            &observations,
            mode,
            &mut unused,
            &mut work,
            &mut actions,
            &mut log_probs,
        );
        for (asker, action) in askers.into_iter().zip(actions.chunks_exact(len)) {
            // A client that is gone needs no answer.
            let _gone = asker.send(action.to_vec());
        }
    }
}
