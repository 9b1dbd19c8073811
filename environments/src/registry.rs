//! Environments by name.

use crate::{
    envs::{CartPole, Pendulum},
    vector::{AutoresetMode, SyncVectorEnv, VectorEnv},
};

/// No environment has this id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no environment is named `{id}`{}", .near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default())]
pub struct UnknownEnv {
    /// What was asked for.
    pub id: String,
    /// The id that looks most like it.
    pub near: Option<&'static str>,
}

/// The ids that [`make_vec`] knows.
pub const IDS: [&str; 3] = ["CartPole-v0", "CartPole-v1", "Pendulum-v1"];

/// Makes `count` environments of an id, stepped together on the calling thread.
///
/// # Errors
/// [`UnknownEnv`], with the nearest id.
pub fn make_vec(
    id: &str,
    count: usize,
    mode: AutoresetMode,
) -> Result<Box<dyn VectorEnv>, UnknownEnv> {
    Ok(match id {
        "CartPole-v0" => Box::new(SyncVectorEnv::new(count, mode, |_| CartPole::v0())),
        "CartPole-v1" => Box::new(SyncVectorEnv::new(count, mode, |_| CartPole::new())),
        "Pendulum-v1" => Box::new(SyncVectorEnv::new(count, mode, |_| Pendulum::new())),
        _ => {
            let common = |known: &&str| {
                known
                    .bytes()
                    .zip(id.bytes())
                    .take_while(|(a, b)| a.eq_ignore_ascii_case(b))
                    .count()
            };
            let near = IDS
                .into_iter()
                .max_by_key(common)
                .filter(|known| common(known) >= 3);
            return Err(UnknownEnv {
                id: id.to_owned(),
                near,
            });
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_makes_and_a_wrong_one_hints() {
        for id in IDS {
            assert_eq!(
                make_vec(id, 3, AutoresetMode::SameStep)
                    .map(|envs| envs.num_envs())
                    .ok(),
                Some(3)
            );
        }
        let error = make_vec("CartPol-v1", 1, AutoresetMode::SameStep)
            .err()
            .expect("unknown");
        assert!(
            error.to_string().contains("did you mean `CartPole-"),
            "{error}"
        );
        assert!(
            make_vec("Zork", 1, AutoresetMode::SameStep)
                .err()
                .is_some_and(|error| error.near.is_none())
        );
    }
}
