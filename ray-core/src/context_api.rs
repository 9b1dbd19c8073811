//! What running code may ask about itself.

use ray_engine::{
    env::RuntimeEnv,
    ids::{ActorId, JobId, NodeId, ProcessId, TaskId},
    resources::Resources,
};

use crate::{
    PlacementGroup, runtime,
    worker::{context, execute::ExitActor},
};

/// Who and where the current code is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RuntimeContext {
    /// The job.
    pub job: JobId,
    /// The node.
    pub node: NodeId,
    /// This process.
    pub process: ProcessId,
    /// The running call; `None` in a driver.
    pub task: Option<TaskId>,
    /// The name of the running function.
    pub function: Option<&'static str>,
    /// Which try of the call this is, from 0.
    pub attempt: u32,
    /// The actor whose method runs.
    pub actor: Option<ActorId>,
    /// The namespace of actor names.
    pub namespace: String,
    /// The placement group that the running call, or its actor, draws from.
    pub placement_group: Option<PlacementGroup>,
    /// What processes are started with that run what is submitted here, unless that says more.
    pub runtime_env: RuntimeEnv,
    resources: Resources,
    gpu_ids: Vec<u32>,
    is_worker: bool,
    running: Option<context::Running>,
}

impl RuntimeContext {
    /// Returns the GPUs that are the running call's or its actor's, by their number on the node, from 0.
    ///
    /// A part of a GPU counts as that GPU. The process sees just these: `CUDA_VISIBLE_DEVICES` names them, so for
    /// libraries that read it the first of them is device 0.
    pub fn gpu_ids(&self) -> &[u32] {
        &self.gpu_ids
    }

    /// Returns the worker process that this is: in a worker the same as `process`, in a driver nothing.
    pub fn worker(&self) -> Option<ProcessId> {
        self.is_worker.then_some(self.process)
    }

    /// Returns what the running call, or its actor, holds of its node; nothing in a driver.
    ///
    /// An actor that asked for nothing takes one CPU to be placed and holds none while it runs.
    pub fn assigned_resources(&self) -> &Resources {
        &self.resources
    }

    /// Returns whether the actor whose method or constructor runs has been restarted.
    pub fn was_restarted(&self) -> bool {
        let running = self.running.as_ref();
        running.is_some_and(|running| running.incarnation > 0)
    }

    /// Returns whether somebody cancelled the running call; long bodies ask now and then.
    pub fn is_cancelled(&self) -> bool {
        self.running
            .as_ref()
            .is_some_and(context::Running::is_cancelled)
    }
}

/// Describes the current code's surroundings; ids are zero when no runtime is running.
pub fn runtime_context() -> RuntimeContext {
    let running = context::current();
    let runtime = runtime::current().ok();
    let executor = runtime
        .as_ref()
        .and_then(|runtime| runtime.executor.as_ref());
    let is_worker = executor.is_some();
    let gpu_ids = executor
        .zip(running.as_ref())
        .map_or_else(Vec::new, |(executor, running)| executor.gpus_of(running));
    let resources = executor
        .zip(running.as_ref())
        .map_or_else(Resources::new, |(executor, running)| {
            executor.resources_of(running)
        });
    let inside = executor
        .zip(running.as_ref())
        .and_then(|(executor, running)| executor.inside_of(running));
    RuntimeContext {
        job: runtime.as_ref().map_or(JobId(0), |runtime| runtime.job()),
        node: runtime.as_ref().map_or(NodeId(0), |runtime| runtime.node()),
        process: runtime
            .as_ref()
            .map_or(ProcessId(0), |runtime| runtime.process()),
        task: running.as_ref().map(|running| running.task),
        function: running.as_ref().map(|running| running.function),
        attempt: running.as_ref().map_or(0, |running| running.attempt),
        actor: running.as_ref().and_then(|running| running.actor),
        namespace: runtime
            .as_ref()
            .map_or_else(String::new, |runtime| runtime.namespace.clone()),
        runtime_env: runtime.map_or_else(RuntimeEnv::new, |runtime| runtime.env.clone()),
        placement_group: inside.map(|inside| inside.group.clone()),
        resources,
        gpu_ids,
        is_worker,
        running,
    }
}

/// Ends the actor whose method calls it; it is not restarted.
///
/// The running call and the queued ones fail with `Error::ActorDied`.
///
/// # Panics
/// Outside a method of an actor; the panic arrives as the call's error.
pub fn exit_actor() -> ! {
    if context::current().is_none_or(|running| running.actor.is_none()) {
        panic!("exit_actor was called outside a method of an actor");
    }
    std::panic::resume_unwind(Box::new(ExitActor))
}
