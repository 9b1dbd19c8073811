//! Environments divided among threads that stay.
//!
//! Each thread owns its share and its buffers. A step hands every share its actions, steps the first share on the
//! calling thread meanwhile, and gathers what the others wrote: no lock is waited for but for the others' work,
//! and nothing is allocated.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
};

use super::{Actions, AutoresetMode, StepBuffers, VectorEnv, check_len};
use crate::{EnvError, Frame, MakeError, Metadata, Options, RenderMode, Space, State};

/// A vector of environments that is stepped by several threads.
///
/// A panic of an environment becomes an error of the step, and of every later one: its share is not to be
/// trusted.
pub struct ThreadVectorEnv {
    /// The first is the calling thread's.
    shares: Vec<Arc<Shared>>,
    threads: Vec<JoinHandle<()>>,
    num_envs: usize,
    /// How many environments each share has, but for the last ones.
    sizes: Vec<usize>,
    observation_len: usize,
    action_len: usize,
    observation_space: Space,
    action_space: Space,
    mode: AutoresetMode,
}

/// What the calling thread and a share's own thread both reach.
struct Shared {
    share: Mutex<Share>,
    /// Tells the thread that there is work, and the caller that it is done.
    turn: Condvar,
}

/// Some of the environments.
struct Share {
    envs: Box<dyn VectorEnv>,
    out: StepBuffers,
    choices: Vec<i64>,
    values: Vec<f32>,
    work: Work,
    result: Result<(), EnvError>,
    is_broken: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Work {
    None,
    Discrete,
    Continuous,
    Quit,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Share> {
        self.share.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share {
    /// Does the step that was handed over.
    fn step(&mut self) {
        let actions = match self.work {
            Work::Discrete => Actions::Discrete(&self.choices),
            _ => Actions::Continuous(&self.values),
        };
        let (envs, out) = (&mut self.envs, &mut self.out);
        self.result = match catch_unwind(AssertUnwindSafe(|| envs.step(actions, out))) {
            Ok(result) => result,
            Err(panic) => {
                self.is_broken = true;
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
                let text = text.unwrap_or("no message");
                Err(EnvError::Broken(format!("it panicked: {text}")))
            }
        };
        self.work = Work::None;
    }
}

impl ThreadVectorEnv {
    /// Divides `count` environments among at most `threads` threads, the calling one included.
    ///
    /// There are never more threads than environments or processors. `make` gets how many environments a share
    /// has and the index of its first.
    ///
    /// # Errors
    /// What `make` returns, a count or threads of 0, or a thread that cannot be started.
    pub fn new(
        count: usize,
        threads: usize,
        mut make: impl FnMut(usize, usize) -> Result<Box<dyn VectorEnv>, MakeError>,
    ) -> Result<ThreadVectorEnv, MakeError> {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let parts = threads.min(count).min(processors);
        if parts == 0 {
            let reason = "there is one environment and one thread or more";
            return Err(EnvError::NotSupported(reason.into()).into());
        }
        let sizes = (0..parts).map(|at| count / parts + usize::from(at < count % parts));
        let sizes = sizes.collect::<Vec<_>>();
        let (mut shares, mut first) = (Vec::new(), 0);
        for size in &sizes {
            let envs = make(*size, first)?;
            check_len("share", envs.num_envs(), *size)?;
            first += size;
            let share = Share {
                out: StepBuffers::for_env(&*envs),
                envs,
                choices: Vec::new(),
                values: Vec::new(),
                work: Work::None,
                result: Ok(()),
                is_broken: false,
            };
            shares.push(Arc::new(Shared {
                share: Mutex::new(share),
                turn: Condvar::new(),
            }));
        }
        let own = shares[0].lock();
        let (observation_space, action_space) = (
            own.envs.single_observation_space(),
            own.envs.single_action_space(),
        );
        let (observation_len, mode) = (own.envs.observation_len(), own.envs.autoreset_mode());
        drop(own);
        let mut envs = ThreadVectorEnv {
            threads: Vec::new(),
            num_envs: count,
            sizes,
            observation_len,
            action_len: action_space.flat_len(),
            observation_space,
            action_space,
            mode,
            shares,
        };
        for shared in &envs.shares[1..] {
            let shared = shared.clone();
            let thread = std::thread::Builder::new()
                .name("environments".into())
                .spawn(move || serve(&shared))
                .map_err(|error| EnvError::NotSupported(error.to_string()))?;
            envs.threads.push(thread);
        }
        Ok(envs)
    }

    /// Returns each share with the index of its first environment.
    fn shares(&self) -> impl Iterator<Item = (usize, &Arc<Shared>)> {
        let firsts = self.sizes.iter().scan(0, |next, size| {
            let first = *next;
            *next += size;
            Some(first)
        });
        firsts.zip(&self.shares)
    }

    /// Copies what a share wrote to where it belongs.
    fn gather(share: &mut Share, first: usize, out: &mut StepBuffers) {
        fn put<T: Copy>(whole: &mut [T], first: usize, part: &[T]) {
            whole[first..first + part.len()].copy_from_slice(part);
        }
        let (n, from) = (share.envs.num_envs(), &mut share.out);
        let d = from.obs.len() / n;
        put(&mut out.obs, first * d, &from.obs);
        put(&mut out.final_obs, first * d, &from.final_obs);
        put(&mut out.rewards, first, &from.rewards);
        put(&mut out.terminated, first, &from.terminated);
        put(&mut out.truncated, first, &from.truncated);
        put(&mut out.has_final, first, &from.has_final);
        put(&mut out.episode_return, first, &from.episode_return);
        put(&mut out.episode_length, first, &from.episode_length);
        out.infos[first..first + n].swap_with_slice(&mut from.infos);
        out.final_infos[first..first + n].swap_with_slice(&mut from.final_infos);
    }
}

/// Steps a share whenever it is asked to.
fn serve(shared: &Shared) {
    let mut share = shared.lock();
    loop {
        match share.work {
            Work::None => {
                share = shared
                    .turn
                    .wait(share)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            Work::Quit => return,
            Work::Discrete | Work::Continuous => {
                share.step();
                shared.turn.notify_all();
            }
        }
    }
}

/// Says which environment of all an error of a share means.
fn shifted(error: EnvError, first: usize) -> EnvError {
    match error {
        EnvError::EpisodeEnded { env } => EnvError::EpisodeEnded { env: env + first },
        other => other,
    }
}

impl VectorEnv for ThreadVectorEnv {
    fn num_envs(&self) -> usize {
        self.num_envs
    }

    fn single_observation_space(&self) -> Space {
        self.observation_space.clone()
    }

    fn single_action_space(&self) -> Space {
        self.action_space.clone()
    }

    fn observation_len(&self) -> usize {
        self.observation_len
    }

    fn autoreset_mode(&self) -> AutoresetMode {
        self.mode
    }

    fn reset(&mut self, seed: Option<u64>, obs: &mut [f32]) -> Result<(), EnvError> {
        let d = self.observation_len;
        check_len("obs", obs.len(), self.num_envs * d)?;
        for ((first, shared), size) in self.shares().zip(&self.sizes) {
            let seed = seed.map(|seed| seed.wrapping_add(first as u64));
            let rows = &mut obs[first * d..(first + size) * d];
            shared.lock().envs.reset(seed, rows)?;
        }
        Ok(())
    }

    fn reset_with(
        &mut self,
        seeds: &[Option<u64>],
        options: &Options,
        obs: &mut [f32],
    ) -> Result<(), EnvError> {
        let d = self.observation_len;
        check_len("seeds", seeds.len(), self.num_envs)?;
        check_len("obs", obs.len(), self.num_envs * d)?;
        for ((first, shared), size) in self.shares().zip(&self.sizes) {
            let rows = &mut obs[first * d..(first + size) * d];
            let seeds = &seeds[first..first + size];
            shared.lock().envs.reset_with(seeds, options, rows)?;
        }
        Ok(())
    }

    fn reset_where(&mut self, mask: &[bool], obs: &mut [f32]) -> Result<(), EnvError> {
        let d = self.observation_len;
        check_len("mask", mask.len(), self.num_envs)?;
        check_len("obs", obs.len(), self.num_envs * d)?;
        for ((first, shared), size) in self.shares().zip(&self.sizes) {
            let rows = &mut obs[first * d..(first + size) * d];
            let mask = &mask[first..first + size];
            shared.lock().envs.reset_where(mask, rows)?;
        }
        Ok(())
    }

    fn step(&mut self, actions: Actions<'_>, out: &mut StepBuffers) -> Result<(), EnvError> {
        out.check(self.num_envs, self.observation_len)?;
        let found = match actions {
            Actions::Discrete(choices) => choices.len(),
            Actions::Continuous(values) => values.len(),
        };
        check_len("actions", found, self.num_envs * self.action_len)?;
        if self.shares.iter().any(|shared| shared.lock().is_broken) {
            return Err(EnvError::Broken("it has panicked before".into()));
        }
        let len = self.action_len;
        for ((first, shared), size) in self.shares().zip(&self.sizes) {
            let range = first * len..(first + size) * len;
            let mut share = shared.lock();
            match actions {
                Actions::Discrete(choices) => {
                    share.choices.clear();
                    share.choices.extend_from_slice(&choices[range]);
                    share.work = Work::Discrete;
                }
                Actions::Continuous(values) => {
                    share.values.clear();
                    share.values.extend_from_slice(&values[range]);
                    share.work = Work::Continuous;
                }
            }
            shared.turn.notify_all();
        }
        self.shares[0].lock().step();
        let mut result = Ok(());
        for (first, shared) in self.shares() {
            let mut share = shared.lock();
            while share.work != Work::None {
                share = shared
                    .turn
                    .wait(share)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            let step = std::mem::replace(&mut share.result, Ok(()));
            result = result.and(step.map_err(|error| shifted(error, first)));
            Self::gather(&mut share, first, out);
        }
        result
    }

    fn action_masks(&self, masks: &mut [bool]) -> bool {
        let width = masks.len() / self.num_envs;
        self.shares()
            .zip(&self.sizes)
            .all(|((first, shared), size)| {
                let rows = &mut masks[first * width..(first + size) * width];
                shared.lock().envs.action_masks(rows)
            })
    }

    fn render(&mut self, mode: RenderMode) -> Result<Vec<Frame>, EnvError> {
        let mut frames = Vec::with_capacity(self.num_envs);
        for shared in &self.shares {
            frames.extend(shared.lock().envs.render(mode)?);
        }
        Ok(frames)
    }

    fn metadata(&self) -> Metadata {
        self.shares[0].lock().envs.metadata()
    }

    fn states(&self) -> Vec<State> {
        let shares = self.shares.iter();
        shares
            .flat_map(|shared| shared.lock().envs.states())
            .collect()
    }

    fn set_states(&mut self, states: &[State]) -> Result<(), EnvError> {
        check_len("states", states.len(), self.num_envs)?;
        for ((first, shared), size) in self.shares().zip(&self.sizes) {
            shared
                .lock()
                .envs
                .set_states(&states[first..first + size])?;
        }
        Ok(())
    }
}

impl Drop for ThreadVectorEnv {
    fn drop(&mut self) {
        for shared in &self.shares {
            shared.lock().work = Work::Quit;
            shared.turn.notify_all();
        }
        for thread in self.threads.drain(..) {
            // A share's panics are caught, so the thread has ended well.
            let _ = thread.join();
        }
    }
}
