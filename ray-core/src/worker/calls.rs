//! Submitting tasks, actors and method calls: what the generated stubs end in.

use std::{sync::Arc, time::Duration};

use ray_engine::{
    failure::{Failure, RetryOn},
    ids::{ActorId, ObjectId, TaskId},
    owner::{CallSubmit, TaskSubmit},
    resources::{Amount, Resources},
};
use ray_net::Peer;
use smallvec::SmallVec;

use super::{
    context::{self, Running},
    submit::{Core, Creation, Payload, Shape},
};
use crate::{
    __private::{
        ActorClass, ActorMode, ActorOptions, ArgSlot, Args, Arguments, CallOptions, Invoke, Method,
        RetryExceptions, Settled, Submitted, TaskOptions,
    },
    ActorRef,
    actor::CallLimits,
    config::PEER_QUEUE_BYTES_MAX,
    object_ref::AnyRef,
    placement_group::Inside,
    runtime::{self, Runtime},
    store::{AlignedBytes, Value},
    wire::{ActorCreation, Message},
};

/// The tries of a task after its worker or node died.
const DEFAULT_MAX_RETRIES: i32 = 3;
/// How long a creation under a name waits for the directory.
const DIRECTORY_TIMEOUT: Duration = Duration::from_secs(30);

/// Splits references of arguments into those to wait for and those that travel inside values.
fn references(args: &Arguments) -> (Vec<ObjectId>, SmallVec<[ObjectId; 1]>) {
    let mut dependencies = Vec::new();
    let mut nested = SmallVec::new();
    for slot in &args.slots {
        match slot {
            ArgSlot::Object(reference) => dependencies.push(reference.id()),
            ArgSlot::Inline { contained, .. } => nested.extend(contained.iter().map(AnyRef::id)),
        }
    }
    (dependencies, nested)
}

fn shape_of(
    cpus: f64,
    gpus: Option<f64>,
    memory: Option<u64>,
    resources: &[(String, f64)],
) -> Result<Resources, Failure> {
    let amount = |option: &str, value: f64| {
        Amount::from_f64(value).ok_or_else(|| Failure::InvalidOption {
            option: option.to_owned(),
            reason: format!("{value} is not an amount from 0 up"),
        })
    };
    let mut shape = Resources::new();
    shape.set(Resources::CPU, amount("num_cpus", cpus)?);
    shape.set(Resources::GPU, amount("num_gpus", gpus.unwrap_or(0.0))?);
    shape.set(
        Resources::MEMORY,
        amount("memory", memory.unwrap_or(0) as f64)?,
    );
    for (name, value) in resources {
        shape.set(name, amount(name, *value)?);
    }
    Ok(shape)
}

fn task_shape(method: &Method, options: &TaskOptions) -> Result<Resources, Failure> {
    let defaults = &method.defaults;
    let mut resources: Vec<(String, f64)> = defaults
        .resources
        .iter()
        .map(|(name, amount)| ((*name).to_owned(), *amount))
        .collect();
    resources.extend(options.resources.iter().cloned());
    shape_of(
        options.num_cpus.or(defaults.num_cpus).unwrap_or(1.0),
        options.num_gpus.or(defaults.num_gpus),
        options.memory.or(defaults.memory),
        &resources,
    )
}

/// Returns which failures of user code are tried again.
fn retry_on(method: &Method, chosen: Option<RetryOn>) -> RetryOn {
    chosen.unwrap_or_else(|| {
        let default = method.defaults.retry_exceptions;
        default.map_or(RetryOn::Nothing, RetryExceptions::to_retry_on)
    })
}

/// Returns how many items may wait for the consumer of a call, 0 for any number.
fn backpressure(method: &Method, chosen: Option<u32>) -> Result<u32, Failure> {
    if chosen.is_some() && !method.streams {
        return Err(Failure::InvalidOption {
            option: "backpressure".into(),
            reason: format!("`{}` does not stream; it returns at once", method.name),
        });
    }
    Ok(chosen.or(method.defaults.backpressure).unwrap_or(0))
}

/// Returns the concurrency group of a method call, and how many of its items may wait.
fn call_choice(method: &Method, options: &CallOptions) -> Result<(u16, u32), Failure> {
    let backpressure = backpressure(method, options.backpressure)?;
    let Invoke::Method(forms, class) = &method.invoke else {
        // Every actor answers that it runs, whatever its groups.
        return Ok((0, backpressure));
    };
    if backpressure != 0 && !forms.is_async() && class.mode(None) == ActorMode::Async {
        return Err(Failure::InvalidOption {
            option: "backpressure".into(),
            reason: format!(
                "`{}` would stop every method of its async actor while it pauses; make it `async` \
                 or return a `Stream`",
                method.name
            ),
        });
    }
    let group = match (
        &options.concurrency_group,
        method.defaults.concurrency_group,
    ) {
        (Some(chosen), _) => class.group(chosen).ok_or_else(|| Failure::InvalidOption {
            option: "concurrency_group".into(),
            reason: format!("`{}` has no group `{chosen}`", class.name),
        })?,
        // An actor without groups runs everything in its default one.
        (None, Some(declared)) => class.group(declared).unwrap_or(0),
        (None, None) => 0,
    };
    Ok((group, backpressure))
}

fn open_stream(
    core: &mut Core,
    method: &Method,
    task: TaskId,
    backpressure: u32,
) -> Option<ObjectId> {
    method
        .streams
        .then(|| core.owner.open_stream(task, u64::from(backpressure)))
}

impl Runtime {
    /// Returns the placement group that a call of this process draws from.
    fn inside(&self, running: Option<&Running>) -> Option<Arc<Inside>> {
        self.executor.as_ref()?.inside_of(running?)
    }

    /// Waits while too much output is queued, so that a fast caller cannot fill the memory.
    fn hold_back(&self, fullest: Option<Peer>) {
        if let Some(peer) = fullest {
            self.net().wait_below(&peer, PEER_QUEUE_BYTES_MAX, None);
        }
    }

    fn failed(&self, method: &Method, failure: Failure) -> Submitted {
        if method.streams {
            let (completed, token) = self.failed_stream(failure);
            return Submitted(SmallVec::from_iter([completed, token]));
        }
        let refs = (0..method.returns)
            .map(|_| {
                let failure = failure.clone();
                AnyRef::counted(self.with_core(|core, _| core.owner.put_failed(failure)))
            })
            .collect();
        Submitted(refs)
    }

    fn submitted(task: TaskId, returns: u16, token: Option<ObjectId>) -> Submitted {
        let results = (0..u64::from(returns)).map(|position| task.result(position));
        Submitted(results.chain(token).map(AnyRef::counted).collect())
    }
}

/// Submits a task; never blocks on resources.
pub fn submit_task(method: &'static Method, options: TaskOptions, args: Args) -> Submitted {
    let Ok(runtime) = runtime::current() else {
        return not_running(method);
    };
    let returns = method.returns;
    let args = match options.error.clone() {
        Some(failure) => Err(failure),
        None => args.finish(),
    };
    let checked = args.and_then(|args| Ok((args, backpressure(method, options.backpressure)?)));
    let (args, backpressure) = match checked {
        Ok(checked) => checked,
        Err(failure) => return runtime.failed(method, failure),
    };
    let running = context::current();
    let caller = runtime.inside(running.as_ref());
    let max_retries = options
        .max_retries
        .or(method.defaults.max_retries)
        .unwrap_or(DEFAULT_MAX_RETRIES);
    let runs_once = max_retries == 0;
    let plain = options.is_plain() && method.defaults.is_one_cpu() && caller.is_none();
    let settled = if plain {
        None
    } else {
        let settled = task_shape(method, &options).and_then(|resources| {
            options
                .terms
                .settle(resources, caller.as_ref(), &runtime.env, runs_once)
        });
        match settled {
            Ok(settled) => Some(settled),
            Err(failure) => return runtime.failed(method, failure),
        }
    };
    let (shape, inside) = settled
        .map(|settled| (settled.shape, settled.inside))
        .unzip();
    let (dependencies, nested) = references(&args);
    let parent = running.as_ref().map(|running| running.task);
    let chain = running.map_or_else(context::no_chain, |running| running.chain);
    let mut payload = Payload::new(method, args, chain);
    payload.backpressure = backpressure;
    payload.set_special(options.name, inside.flatten());
    let retry_failures = retry_on(method, options.retry_exceptions);
    let (task, token, fullest) = runtime.with_core(|core, now| {
        let fullest = core.fullest_peer(PEER_QUEUE_BYTES_MAX);
        let shape = match &shape {
            None => core.one_cpu(runs_once),
            Some(shape) => core.shape_id(shape),
        };
        let task = core.owner.submit_task(
            TaskSubmit {
                shape,
                returns,
                dependencies: &dependencies,
                nested: &nested,
                max_retries,
                retry_failures,
                parent,
                payload: Arc::new(payload),
            },
            now,
        );
        (task, open_stream(core, method, task, backpressure), fullest)
    });
    runtime.hold_back(fullest);
    Runtime::submitted(task, returns, token)
}

/// Submits a method call; calls of one handle holder reach the actor in this order.
pub fn submit_call(actor: &ActorRef, method: &'static Method, args: Args) -> Submitted {
    let Ok(runtime) = runtime::current() else {
        return not_running(method);
    };
    let returns = method.returns;
    let plain = CallOptions::default();
    let options = actor.options().unwrap_or(&plain);
    let args = match options.error.clone() {
        Some(failure) => Err(failure),
        None => args.finish(),
    };
    let checked = args.and_then(|args| Ok((args, call_choice(method, options)?)));
    let (args, (group, backpressure)) = match checked {
        Ok(checked) => checked,
        Err(failure) => return runtime.failed(method, failure),
    };
    let running = context::current();
    let (dependencies, mut nested) = references(&args);
    // A pending call keeps the actor alive, whatever becomes of the handle.
    nested.extend(actor.hold().map(AnyRef::id));
    let parent = running.as_ref().map(|running| running.task);
    let chain = match &running {
        Some(running) => {
            let mut chain = running.chain.to_vec();
            chain.extend(running.actor);
            chain.into()
        }
        None => context::no_chain(),
    };
    let mut payload = Payload::new(method, args, chain);
    payload.backpressure = backpressure;
    payload.group = group;
    let max_task_retries = options
        .max_retries
        .or(method.defaults.max_retries)
        .unwrap_or(actor.max_task_retries());
    let (task, token, fullest) = runtime.with_core(|core, now| {
        let fullest = core.fullest_peer(PEER_QUEUE_BYTES_MAX);
        let task = core.owner.submit_call(
            CallSubmit {
                actor: actor.id(),
                returns,
                dependencies: &dependencies,
                nested: &nested,
                max_task_retries,
                retry_failures: retry_on(method, options.retry_exceptions.clone()),
                is_ordered: actor.is_ordered(),
                max_pending: actor.max_pending_calls(),
                parent,
                payload: Arc::new(payload),
            },
            now,
        );
        (task, open_stream(core, method, task, backpressure), fullest)
    });
    runtime.hold_back(fullest);
    Runtime::submitted(task, returns, token)
}

/// Creates an actor; returns at once, what goes wrong arrives with the first call.
pub fn create_actor(
    class: &'static ActorClass,
    constructor: &'static Method,
    options: ActorOptions,
    args: Args,
) -> ActorRef {
    let Ok(runtime) = runtime::current() else {
        return ActorRef::of_nobody();
    };
    match try_create(&runtime, class, constructor, &options, args) {
        Ok(actor) => actor,
        Err(failure) => {
            // A handle of an actor that is dead from the start carries the reason to every call.
            let actor = runtime.with_core(|core, now| {
                let actor = core.fresh_actor();
                // Others may get the handle and ask the directory.
                let told = Message::ConstructFailed {
                    actor,
                    failure: failure.clone(),
                };
                core.send_to_node(told);
                core.on_actor_status(actor, crate::wire::ActorStatus::Dead { failure }, now);
                actor
            });
            ActorRef::new(actor, None, class.call_limits(&options))
        }
    }
}

fn try_create(
    runtime: &Arc<Runtime>,
    class: &'static ActorClass,
    constructor: &'static Method,
    options: &ActorOptions,
    args: Args,
) -> Result<ActorRef, Failure> {
    if let Some(failure) = options.error.clone() {
        return Err(failure);
    }
    let args = args.finish()?;
    if options.get_if_exists && options.name.is_none() {
        return Err(Failure::InvalidOption {
            option: "get_if_exists".into(),
            reason: "there is nothing to get without a `name`".into(),
        });
    }
    let defaults = &class.defaults;
    let limits = class.call_limits(options);
    let num_cpus = options.num_cpus.or(defaults.num_cpus);
    let mut resources: Vec<(String, f64)> = defaults
        .resources
        .iter()
        .map(|(name, amount)| ((*name).to_owned(), *amount))
        .collect();
    resources.extend(options.resources.iter().cloned());
    let gpus = options.num_gpus.or(defaults.num_gpus);
    let memory = options.memory.or(defaults.memory);
    // Without explicit CPUs an actor is placed like a task and then runs beside others.
    let shape = shape_of(num_cpus.unwrap_or(1.0), gpus, memory, &resources)?;
    let max_restarts = options.max_restarts.or(defaults.max_restarts).unwrap_or(0);
    let running = context::current();
    let caller = runtime.inside(running.as_ref());
    let Settled { shape, inside } =
        options
            .terms
            .settle(shape, caller.as_ref(), &runtime.env, max_restarts == 0)?;
    let Shape {
        resources: shape,
        placement,
    } = shape;
    let running_shape = shape_of(num_cpus.unwrap_or(0.0), gpus, memory, &resources)?;
    let namespace = options
        .namespace
        .clone()
        .unwrap_or_else(|| runtime.namespace.clone());
    let name = options.name.clone().map(|name| (namespace, name));
    let is_named = name.is_some();
    let asked = options.max_concurrency.or(defaults.max_concurrency);
    let mode = class.mode(asked);
    if let (ActorMode::Threaded, Invoke::Create(create)) = (mode, &constructor.invoke)
        && create.threaded.is_none()
    {
        return Err(Failure::InvalidOption {
            option: "max_concurrency".into(),
            reason: format!(
                "`{}` is not `Send + Sync`, so its methods cannot run on several threads",
                class.name
            ),
        });
    }
    let max_concurrency = asked.unwrap_or(if mode == ActorMode::Async { 1000 } else { 1 });
    let (dependencies, _) = references(&args);
    let chain = running.map_or_else(context::no_chain, |running| running.chain);
    let creation = Creation {
        class: class.id,
        constructor,
        args: Arc::new(args),
        max_concurrency,
        chain,
        inside,
        running: running_shape.clone(),
        in_use: Vec::new(),
        settled: None,
        has_no_handles: false,
    };
    let actor = runtime.with_core(|core, _| {
        let actor = core.fresh_actor();
        core.creations.insert(actor, creation);
        actor
    });
    let mut creation = ActorCreation {
        actor,
        class_name: class.name.to_owned(),
        name,
        shape,
        running: running_shape,
        placement,
        job: runtime.job(),
        max_restarts,
        get_if_exists: options.get_if_exists,
        detached: options.detached,
        recipe: None,
        limits,
    };
    if is_named {
        // The name is settled before anything else; its owner must be able to construct at once.
        runtime
            .get_values(&dependencies, None)
            .map_err(|error| Failure::System(error.to_string()))?;
        runtime.with_core(|core, _| core.add_recipe(&mut creation));
        let reply = runtime.request(DIRECTORY_TIMEOUT, |request| Message::CreateActor {
            request,
            creation: creation.clone(),
        });
        match reply {
            Ok(Message::CreateActorReply {
                outcome: Ok(found), ..
            }) if found != actor => {
                runtime.with_core(|core, _| core.creations.remove(&actor));
                return Ok(ActorRef::new(found, None, limits));
            }
            Ok(Message::CreateActorReply { outcome: Ok(_), .. }) => {
                runtime.with_core(|core, _| core.note_settled(&creation));
            }
            Ok(Message::CreateActorReply {
                outcome: Err(failure),
                ..
            }) => {
                runtime.with_core(|core, _| core.creations.remove(&actor));
                return Err(failure);
            }
            Ok(other) => {
                return Err(Failure::System(format!(
                    "asked for an actor and got {other:?}"
                )));
            }
            Err(error) => return Err(Failure::System(error.to_string())),
        }
    } else {
        // Placement waits for the arguments, so that an actor never holds what they need to be made.
        runtime.with_core(|core, _| core.create_when_ready(creation, dependencies));
    }
    let hold = runtime.with_core(|core, _| {
        let hold = core.owner.put(Value::heap(AlignedBytes::new(), 0), &[]);
        core.actor_holds.insert(hold, actor);
        hold
    });
    Ok(ActorRef::new(actor, Some(AnyRef::counted(hold)), limits))
}

/// Returns references that say that no runtime runs here.
fn not_running(method: &Method) -> Submitted {
    Submitted(
        (0..method.returns + u16::from(method.streams))
            .map(|_| AnyRef::counted(ObjectId::default()))
            .collect(),
    )
}

/// Looks an actor up by its name.
pub(crate) fn lookup_actor(name: &str) -> crate::Result<(ActorId, String, CallLimits)> {
    let runtime = runtime::current()?;
    let namespace = runtime.namespace.clone();
    let reply = runtime.request(DIRECTORY_TIMEOUT, |request| Message::LookupActor {
        request,
        namespace,
        name: name.to_owned(),
    })?;
    match reply {
        Message::LookupActorReply { outcome, .. } => Ok(outcome?),
        other => Err(crate::Error::System(format!(
            "asked for an actor and got {other:?}"
        ))),
    }
}
