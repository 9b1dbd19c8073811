//! Simulators, learners and policy servers as actors.

mod env_runner;
mod learner;
mod policy_server;
pub mod remote_vector_env;

pub use env_runner::{EnvRunner, EnvRunnerHandle};
pub use learner::{Learner, LearnerHandle};
pub use policy_server::{PolicyServer, PolicyServerHandle, ServerConfig};
pub use remote_vector_env::{ROWS_PER_WORKER, RemoteVectorEnv, RemoteVectorEnvBuilder};
