//! What a named directory comes to: sent, because it is here, or a folder that every node has.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use ray_engine::{env::RuntimeEnv, failure::Failure, ids::JobId};

use super::{
    IN_PLACE, name_of, named,
    pack::{Entry, list, pack},
};
use crate::{
    Error, Result,
    runtime::{self, Runtime},
    wire::{Content, FolderMessage, Message},
};

/// What the directory of an environment is.
enum Place {
    /// Nobody names one, or every node has it.
    There(RuntimeEnv),
    /// It is here and goes to the nodes.
    Here(PathBuf),
}

/// Returns the environment that tasks and actors of this process get when `env` is said of them.
///
/// # Errors
/// `RuntimeEnv`, which names the field, for what no process could have and for a directory that cannot be sent.
pub(crate) fn of_work(env: RuntimeEnv) -> std::result::Result<RuntimeEnv, Failure> {
    // Without a runtime the call fails in any case, and says why.
    let runtime = runtime::current().ok();
    let ships = runtime.as_ref().and_then(|it| it.packs_into.as_deref());
    let directory = match place_of(env.clone(), ships.is_some())? {
        Place::There(env) => return Ok(env),
        Place::Here(directory) => directory,
    };
    let (Some(runtime), Some(cache)) = (&runtime, ships) else {
        return Ok(env);
    };
    let entries = list(&directory).map_err(Failure::RuntimeEnv)?;
    let key = (runtime.job(), directory.clone());
    let known = SENT.lock().get(&key).cloned();
    let archive = match known {
        Some((as_it_was, archive)) if as_it_was == entries => archive,
        _ => {
            let archive = keep(&directory, &entries, cache).map_err(Failure::RuntimeEnv)?;
            offer(runtime, &archive).map_err(|error| Failure::RuntimeEnv(error.to_string()))?;
            SENT.lock().insert(key, (entries, archive.clone()));
            archive
        }
    };
    checked(env.working_dir(name_of(&archive)))
}

/// Returns the environment of a job whose driver starts here, and the archive that it offers once it has started.
///
/// `cache` is where nodes of this process keep what they send; `None` when there are no other nodes.
///
/// # Errors
/// As [`of_work`].
pub(crate) fn of_job(
    env: RuntimeEnv,
    cache: Option<&Path>,
) -> Result<(RuntimeEnv, Option<Content>)> {
    let env = match (env.folder(), std::env::var(super::VARIABLE)) {
        // The program was submitted with one.
        (None, Ok(name)) if cache.is_some() => env.working_dir(name),
        _ => env,
    };
    let directory = match place_of(env.clone(), cache.is_some())? {
        Place::There(env) => return Ok((env, None)),
        Place::Here(directory) => directory,
    };
    let Some(cache) = cache else {
        return Ok((env, None));
    };
    let kept = list(&directory).and_then(|entries| keep(&directory, &entries, cache));
    let archive = kept.map_err(Error::RuntimeEnv)?;
    let env = checked(env.working_dir(name_of(&archive)))?;
    Ok((env, Some(archive)))
}

/// Has the cluster keep an archive of this process's job that lies in the cache of its node.
///
/// # Errors
/// `RuntimeEnv` when the head could not take it.
pub(crate) fn offer(runtime: &Arc<Runtime>, archive: &Content) -> Result<()> {
    let job = runtime.job();
    let archive = archive.clone();
    let offered = runtime.request(OFFER_TIMEOUT, |request| {
        Message::Folders(FolderMessage::Offer {
            request,
            job,
            archive,
        })
    })?;
    match offered {
        Message::Folders(FolderMessage::Offered { outcome, .. }) => outcome.map_err(|reason| {
            Error::RuntimeEnv(format!(
                "field `working_dir`: the cluster could not take it: {reason}"
            ))
        }),
        other => Err(Error::System(format!(
            "an answer to another question: {other:?}"
        ))),
    }
}

fn place_of(env: RuntimeEnv, ships: bool) -> std::result::Result<Place, Failure> {
    let Some(folder) = env.folder() else {
        return checked(env).map(Place::There);
    };
    if let Some(path) = folder.strip_prefix(IN_PLACE) {
        let path = path.to_owned();
        return checked(env.working_dir(path)).map(Place::There);
    }
    if named(folder).map_err(Failure::RuntimeEnv)?.is_some() {
        return checked(env).map(Place::There);
    }
    let path = PathBuf::from(folder);
    if !path.exists() && path.is_absolute() {
        // Perhaps the nodes have it.
        return checked(env).map(Place::There);
    }
    let whole = match fs::canonicalize(&path) {
        Err(_) if folder.contains('\0') => return checked(env).map(Place::There),
        Err(error) => {
            let here = std::env::current_dir().unwrap_or_default();
            return Err(Failure::RuntimeEnv(format!(
                "field `working_dir`: {folder:?} in {}: {error}",
                here.display()
            )));
        }
        Ok(whole) => whole,
    };
    match ships {
        true => Ok(Place::Here(whole)),
        // What was written stays as it is: links may lead there.
        false if path.is_absolute() => checked(env).map(Place::There),
        false => checked(env.working_dir(whole)).map(Place::There),
    }
}

fn checked(env: RuntimeEnv) -> std::result::Result<RuntimeEnv, Failure> {
    env.check().map(|()| env)
}

/// Packs a directory into the cache, under the archive's hash.
fn keep(directory: &Path, entries: &[Entry], cache: &Path) -> std::result::Result<Content, String> {
    let refused = |error: std::io::Error| format!("{} cannot be written: {error}", cache.display());
    fs::create_dir_all(cache).map_err(refused)?;
    let packed = pack(directory, entries, cache)?;
    let done = crate::node::jobs::cached(cache, packed.archive.hash);
    fs::rename(&packed.path, done).map_err(refused)?;
    Ok(packed.archive.clone())
}

/// The directories that jobs of this process have sent, as they were then.
static SENT: Mutex<BTreeMap<(JobId, PathBuf), (Vec<Entry>, Content)>> = Mutex::new(BTreeMap::new());
/// How long the head may take to fetch an archive.
const OFFER_TIMEOUT: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use super::*;

    fn place(folder: &str, ships: bool) -> std::result::Result<Option<String>, Failure> {
        let place = place_of(RuntimeEnv::new().working_dir(folder), ships)?;
        Ok(match place {
            Place::There(env) => env.folder().map(str::to_owned),
            Place::Here(_) => None,
        })
    }

    #[test]
    fn a_directory_that_is_here_is_sent_unless_it_is_said_to_be_there() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().to_str().expect("UTF-8");
        assert_eq!(place(path, true), Ok(None));
        assert_eq!(place(path, false), Ok(Some(path.into())));
        let there = format!("file://{path}");
        assert_eq!(place(&there, true), Ok(Some(path.into())));
        assert_eq!(place("/no/where", true), Ok(Some("/no/where".into())));
        assert_eq!(place(".", true), Ok(None));
        let here = std::env::current_dir().expect("a folder");
        let here = fs::canonicalize(here).expect("a folder");
        assert_eq!(
            place(".", false),
            Ok(Some(here.to_str().expect("UTF-8").into()))
        );
        for wrong in [
            "",
            "no-such-directory",
            "file://here",
            "a\0b",
            "/a\0b",
            "ray://x",
        ] {
            for ships in [false, true] {
                let refused = place(wrong, ships);
                assert!(
                    matches!(&refused, Err(Failure::RuntimeEnv(text)) if text.contains("`working_dir`")),
                    "{wrong:?}: {refused:?}"
                );
            }
        }
    }

    #[test]
    fn a_name_that_was_given_before_is_kept() {
        let name = format!("ray://{}-1024", "ab".repeat(32));
        assert_eq!(place(&name, true), Ok(Some(name.clone())));
    }
}
