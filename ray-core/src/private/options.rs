//! What `.options()` collects; wrong values are kept and make the returned reference fail at once.

use std::sync::Arc;

use ray_engine::{
    env::RuntimeEnv,
    failure::{Failure, RetryOn},
    resources::Resources,
    spec::{BundleRef, Placement, Strategy},
};

use crate::{Data, PlacementGroup, placement_group::Inside, worker::submit::Shape, working_dir};

/// Overrides for one submission of a task.
#[derive(Clone, Debug, Default)]
pub struct TaskOptions {
    pub(crate) num_cpus: Option<f64>,
    pub(crate) num_gpus: Option<f64>,
    pub(crate) memory: Option<u64>,
    pub(crate) resources: Vec<(String, f64)>,
    pub(crate) name: Option<String>,
    pub(crate) max_retries: Option<i32>,
    pub(crate) retry_exceptions: Option<RetryOn>,
    pub(crate) backpressure: Option<u32>,
    pub(crate) terms: Terms,
    pub(crate) error: Option<Failure>,
}

/// Overrides for the creation of an actor.
#[derive(Clone, Debug, Default)]
pub struct ActorOptions {
    pub(crate) num_cpus: Option<f64>,
    pub(crate) num_gpus: Option<f64>,
    pub(crate) memory: Option<u64>,
    pub(crate) resources: Vec<(String, f64)>,
    pub(crate) name: Option<String>,
    pub(crate) namespace: Option<String>,
    pub(crate) max_restarts: Option<i32>,
    pub(crate) max_task_retries: Option<i32>,
    pub(crate) max_concurrency: Option<u32>,
    pub(crate) max_pending_calls: Option<u64>,
    pub(crate) get_if_exists: bool,
    pub(crate) detached: bool,
    pub(crate) terms: Terms,
    pub(crate) error: Option<Failure>,
}

/// Where work is to run, as its options say.
#[derive(Clone, Debug, Default)]
pub(crate) struct Terms {
    /// How the node is chosen, when that was said.
    strategy: Option<Strategy>,
    /// The group that was named, and which of its bundles; `None` for any.
    group: Option<(PlacementGroup, Option<u32>)>,
    /// Whether children run in the group too, when that was said.
    captures: Option<bool>,
    /// What it says of its environment.
    env: Option<RuntimeEnv>,
}

/// What work is asked as, and the group that it runs in.
pub(crate) struct Settled {
    pub(crate) shape: Shape,
    pub(crate) inside: Option<Arc<Inside>>,
}

impl Terms {
    /// Takes a bundle; returns what is wrong with it.
    fn set_bundle(&mut self, group: &PlacementGroup, bundle: i32) -> Option<Failure> {
        let index = u32::try_from(bundle).ok();
        let is_there = index.map_or(bundle == -1, |index| {
            group.bundles().get(index as usize).is_some()
        });
        if !is_there {
            let count = group.bundles().len();
            let reason = format!("there are {count} bundles and no number {bundle}; -1 is any");
            return wrong("placement_group", reason);
        }
        self.group = Some((group.clone(), index));
        None
    }

    /// Returns whether nothing is said.
    fn is_silent(&self) -> bool {
        self.strategy.is_none()
            && self.group.is_none()
            && self.captures.is_none()
            && self.env.is_none()
    }

    /// Returns what work of this size is asked as by a call that runs inside `caller` and in the environment `env`.
    pub(crate) fn settle(
        &self,
        resources: Resources,
        caller: Option<&Arc<Inside>>,
        env: &RuntimeEnv,
        runs_once: bool,
    ) -> Result<Settled, Failure> {
        let refuse = |option: &str, reason: String| {
            Err(Failure::InvalidOption {
                option: option.to_owned(),
                reason,
            })
        };
        let (inside, index) = match (&self.group, caller) {
            (Some(_), _) if self.strategy.is_some() => {
                let reason = "`placement_group` says already where it runs".to_owned();
                return refuse("scheduling", reason);
            }
            (Some((group, index)), _) => {
                let inside = Inside {
                    group: group.clone(),
                    captures: self.captures.unwrap_or(false),
                };
                (Some(Arc::new(inside)), *index)
            }
            (None, Some(caller)) if caller.captures && self.strategy.is_none() => {
                let is_last = self.captures == Some(false);
                let alone = || {
                    Arc::new(Inside {
                        captures: false,
                        ..(**caller).clone()
                    })
                };
                (Some(if is_last { alone() } else { caller.clone() }), None)
            }
            (None, _) if self.captures == Some(true) => {
                let reason = "it runs in no placement group that could take its children; name one with \
                              `placement_group`";
                return refuse("capture_child_tasks", reason.to_owned());
            }
            (None, _) => (None, None),
        };
        if let Some(inside) = &inside {
            let bundles = inside.group.bundles();
            let does_fit = match index {
                Some(index) => bundles[index as usize].covers(&resources),
                None => bundles.iter().any(|bundle| bundle.covers(&resources)),
            };
            if !does_fit {
                let asked = match index {
                    Some(index) => format!("{resources} is more than bundle {index} reserves"),
                    None => format!("{resources} is more than any bundle reserves"),
                };
                let reason = if self.group.is_some() {
                    asked
                } else {
                    format!(
                        "{asked} of the group that its caller runs in, which captures what it \
                         submits; say `scheduling` to run it outside"
                    )
                };
                return refuse("placement_group", reason);
            }
        }
        let bundle = inside.as_ref().map(|inside| BundleRef {
            group: inside.group.id(),
            index,
        });
        let env = match &self.env {
            None => env.clone(),
            Some(own) => own.clone().over(env),
        };
        // Each part may be small enough, and all of them too much.
        env.check()?;
        let placement = Placement {
            strategy: self.strategy.clone().unwrap_or_default(),
            bundle,
            env,
            runs_once,
        };
        Ok(Settled {
            shape: Shape {
                resources,
                placement,
            },
            inside,
        })
    }
}

pub(crate) fn wrong(option: &str, reason: String) -> Option<Failure> {
    Some(Failure::InvalidOption {
        option: option.to_owned(),
        reason,
    })
}

fn check_amount(error: &mut Option<Failure>, option: &str, value: f64) {
    if ray_engine::resources::Amount::from_f64(value).is_none() {
        *error = error
            .take()
            .or_else(|| wrong(option, format!("{value} is not an amount from 0 up")));
    }
}

fn check_unit(error: &mut Option<Failure>, option: &str, value: f64) {
    check_amount(error, option, value);
    if value > 1.0 && value.fract() != 0.0 {
        *error = error
            .take()
            .or_else(|| wrong(option, format!("{value} is over 1 and not whole")));
    }
}

pub(crate) fn check_tries(error: &mut Option<Failure>, option: &str, value: i32) {
    if value < -1 {
        let reason = format!("{value} is less than -1, which stands for no limit");
        *error = error.take().or_else(|| wrong(option, reason));
    }
}

pub(crate) fn check_backpressure(error: &mut Option<Failure>, value: u32) {
    if value == 0 {
        *error = error
            .take()
            .or_else(|| wrong("backpressure", "with 0 no item could ever be made".into()));
    }
}

macro_rules! resource_setters {
    () => {
        /// Sets the CPUs.
        pub fn num_cpus(&mut self, value: f64) {
            check_amount(&mut self.error, "num_cpus", value);
            self.num_cpus = Some(value);
        }

        /// Sets the GPUs.
        pub fn num_gpus(&mut self, value: f64) {
            check_unit(&mut self.error, "num_gpus", value);
            self.num_gpus = Some(value);
        }

        /// Sets the memory; bytes.
        pub fn memory(&mut self, value: u64) {
            self.memory = Some(value);
        }

        /// Adds a resource of the user's own.
        pub fn resource(&mut self, name: &str, value: f64) {
            check_amount(&mut self.error, name, value);
            self.resources.push((name.to_owned(), value));
        }

        /// Sets how the node is chosen.
        pub fn scheduling(&mut self, value: Strategy) {
            self.terms.strategy = Some(value);
        }

        /// Sets the bundle that it draws from; -1 for any.
        pub fn placement_group(&mut self, group: &PlacementGroup, bundle: i32) {
            let error = self.terms.set_bundle(group, bundle);
            self.error = self.error.take().or(error);
        }

        /// Sets whether what it submits runs in its placement group too.
        pub fn capture_child_tasks(&mut self, value: bool) {
            self.terms.captures = Some(value);
        }

        /// Sets what its process is started with.
        pub fn runtime_env(&mut self, value: RuntimeEnv) {
            match working_dir::of_work(value) {
                Ok(env) => self.terms.env = Some(env),
                Err(failure) => self.error = self.error.take().or(Some(failure)),
            }
        }

        /// Sets the name.
        pub fn name(&mut self, value: &str) {
            if value.is_empty() {
                self.error = self
                    .error
                    .take()
                    .or_else(|| wrong("name", "it is empty".into()));
            }
            self.name = Some(value.to_owned());
        }
    };
}

impl TaskOptions {
    resource_setters!();

    /// Sets the tries after a crash.
    pub fn max_retries(&mut self, value: i32) {
        check_tries(&mut self.error, "max_retries", value);
        self.max_retries = Some(value);
    }

    /// Sets whether failures of user code are tried again.
    pub fn retry_exceptions(&mut self, value: bool) {
        self.retry_exceptions = Some(value.into());
    }

    /// Adds a type of returned errors that are tried again, and no others but those added before.
    pub fn retry_exceptions_of<E: Data>(&mut self) {
        let before = self.retry_exceptions.take().unwrap_or_default();
        self.retry_exceptions = Some(before.with_cause(super::cause_layout::<E>()));
    }

    /// Sets how many items of a stream may wait for its consumer.
    pub fn backpressure(&mut self, value: u32) {
        check_backpressure(&mut self.error, value);
        self.backpressure = Some(value);
    }

    /// Returns whether nothing is said about resources and places.
    pub(crate) fn is_plain(&self) -> bool {
        self.num_cpus.is_none()
            && self.num_gpus.is_none()
            && self.memory.is_none()
            && self.resources.is_empty()
            && self.terms.is_silent()
    }
}

impl ActorOptions {
    resource_setters!();

    /// Sets the namespace of the name.
    pub fn namespace(&mut self, value: &str) {
        self.namespace = Some(value.to_owned());
    }

    /// Sets the restarts.
    pub fn max_restarts(&mut self, value: i32) {
        check_tries(&mut self.error, "max_restarts", value);
        self.max_restarts = Some(value);
    }

    /// Sets the tries of a call after a crash.
    pub fn max_task_retries(&mut self, value: i32) {
        check_tries(&mut self.error, "max_task_retries", value);
        self.max_task_retries = Some(value);
    }

    /// Sets how many calls run at once.
    pub fn max_concurrency(&mut self, value: u32) {
        if value == 0 {
            self.error = self
                .error
                .take()
                .or_else(|| wrong("max_concurrency", "0 calls can never run".into()));
        }
        self.max_concurrency = Some(value);
    }

    /// Sets how many calls of one handle holder may be pending.
    pub fn max_pending_calls(&mut self, value: u64) {
        self.max_pending_calls = Some(value);
    }

    /// Takes an actor of the same name instead of making one.
    pub fn get_if_exists(&mut self, value: bool) {
        self.get_if_exists = value;
    }

    /// Lets the actor outlive its creator.
    pub fn lifetime(&mut self, value: crate::Lifetime) {
        self.detached = value == crate::Lifetime::Detached;
    }
}

/// Declares the options type of one task.
#[doc(hidden)]
#[macro_export]
macro_rules! __ray_task_options {
    ($vis:vis $name:ident) => {
        #[doc(hidden)]
        #[derive(Clone, Debug, Default)]
        #[must_use = "nothing runs before `remote`"]
        $vis struct $name($crate::__private::TaskOptions);

        #[allow(dead_code)]
        impl $name {
            /// Sets the CPUs.
            pub fn num_cpus(mut self, value: f64) -> Self { self.0.num_cpus(value); self }
            /// Sets the GPUs.
            pub fn num_gpus(mut self, value: f64) -> Self { self.0.num_gpus(value); self }
            /// Sets the memory; bytes.
            pub fn memory(mut self, value: u64) -> Self { self.0.memory(value); self }
            /// Adds a resource of your own.
            pub fn resource(mut self, name: &str, value: f64) -> Self { self.0.resource(name, value); self }
            /// Sets how the node is chosen.
            pub fn scheduling(mut self, value: $crate::Strategy) -> Self { self.0.scheduling(value); self }
            /// Draws from a bundle of a placement group; -1 for any that has room.
            pub fn placement_group(mut self, group: &$crate::PlacementGroup, bundle: i32) -> Self { self.0.placement_group(group, bundle); self }
            /// Sets whether what it submits runs in its placement group too, unless that says where it runs.
            pub fn capture_child_tasks(mut self, value: bool) -> Self { self.0.capture_child_tasks(value); self }
            /// Runs in a process with these variables and this folder, over those of the submitter.
            pub fn runtime_env(mut self, value: $crate::RuntimeEnv) -> Self { self.0.runtime_env(value); self }
            /// Sets the name in logs.
            pub fn name(mut self, value: &str) -> Self { self.0.name(value); self }
            /// Sets the tries after a crash; -1 for no limit.
            pub fn max_retries(mut self, value: i32) -> Self { self.0.max_retries(value); self }
            /// Sets whether failures of user code are tried again.
            pub fn retry_exceptions(mut self, value: bool) -> Self { self.0.retry_exceptions(value); self }
            /// Tries again when the function returns an error of this type, and after no other failure of user code; say it once a type.
            pub fn retry_exceptions_of<E: $crate::Data>(mut self) -> Self { self.0.retry_exceptions_of::<E>(); self }
            /// Sets how many items of its stream may wait for the consumer; by default any number.
            pub fn backpressure(mut self, value: u32) -> Self { self.0.backpressure(value); self }
        }
    };
}

/// Declares the options type of one actor.
#[doc(hidden)]
#[macro_export]
macro_rules! __ray_actor_options {
    ($vis:vis $name:ident) => {
        #[doc(hidden)]
        #[derive(Clone, Debug, Default)]
        #[must_use = "nothing is created before `remote`"]
        $vis struct $name($crate::__private::ActorOptions);

        #[allow(dead_code)]
        impl $name {
            /// Sets the CPUs, for placing and running.
            pub fn num_cpus(mut self, value: f64) -> Self { self.0.num_cpus(value); self }
            /// Sets the GPUs.
            pub fn num_gpus(mut self, value: f64) -> Self { self.0.num_gpus(value); self }
            /// Sets the memory; bytes.
            pub fn memory(mut self, value: u64) -> Self { self.0.memory(value); self }
            /// Adds a resource of your own.
            pub fn resource(mut self, name: &str, value: f64) -> Self { self.0.resource(name, value); self }
            /// Sets how the node is chosen.
            pub fn scheduling(mut self, value: $crate::Strategy) -> Self { self.0.scheduling(value); self }
            /// Draws from a bundle of a placement group; -1 for any that has room.
            pub fn placement_group(mut self, group: &$crate::PlacementGroup, bundle: i32) -> Self { self.0.placement_group(group, bundle); self }
            /// Sets whether what it submits runs in its placement group too, unless that says where it runs.
            pub fn capture_child_tasks(mut self, value: bool) -> Self { self.0.capture_child_tasks(value); self }
            /// Runs in a process with these variables and this folder, over those of the submitter.
            pub fn runtime_env(mut self, value: $crate::RuntimeEnv) -> Self { self.0.runtime_env(value); self }
            /// Sets the name under which others find it.
            pub fn name(mut self, value: &str) -> Self { self.0.name(value); self }
            /// Sets the namespace of the name.
            pub fn namespace(mut self, value: &str) -> Self { self.0.namespace(value); self }
            /// Sets the restarts over its life; -1 for no limit.
            pub fn max_restarts(mut self, value: i32) -> Self { self.0.max_restarts(value); self }
            /// Sets the tries of a call after a crash; -1 for no limit.
            pub fn max_task_retries(mut self, value: i32) -> Self { self.0.max_task_retries(value); self }
            /// Sets how many calls run at once.
            pub fn max_concurrency(mut self, value: u32) -> Self { self.0.max_concurrency(value); self }
            /// Sets how many calls of one handle holder may be pending; 0 for no limit.
            pub fn max_pending_calls(mut self, value: u64) -> Self { self.0.max_pending_calls(value); self }
            /// Takes an actor of the same name instead of making one.
            pub fn get_if_exists(mut self, value: bool) -> Self { self.0.get_if_exists(value); self }
            /// Sets how long it lives.
            pub fn lifetime(mut self, value: $crate::Lifetime) -> Self { self.0.lifetime(value); self }
        }
    };
}
