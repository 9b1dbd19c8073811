//! What generated code names. Not part of the public contract.

mod args;
mod call;
mod hosting;
mod methods;
mod options;
mod outcome;
pub mod test;

pub use linkme;
pub use ray_macros::discard;
pub use rkyv;

pub use crate::data::{Encoded, EncodedValue, LAYOUTS, SegmentSource, TypeLayout};
pub(crate) use args::{ArgSlot, Arguments};
pub use args::{Args, IntoArg};
pub use call::{
    ArgData, Call, CallError, Constructor, Create, LocalFuture, MethodBody, MethodForms, Receiver,
    Results, ThreadedConstructor, ThreadedConstructorDefault, ThreadedMethod,
    ThreadedMethodDefault, block_on, next_of, task_of,
};
pub use hosting::{
    Constructed, HostedOn, OneThread, SharedByThreads, assert_constructed, assert_threaded,
};
pub use methods::{
    ActorClass, ActorDefaults, ActorMode, Invoke, METHODS, Method, RetryExceptions, Table,
    TaskDefaults, assert_group, cause_layout, method_id, ready_method, table,
};
pub use options::{ActorOptions, TaskOptions};
pub(crate) use options::{Settled, check_backpressure, check_tries};

pub use crate::actor::CallOptions;
pub use outcome::{
    Cause, CauseData, CauseDisplay, ErrorText, Outcome, OutcomeOf, Probe, ProbeDefault, Submitted,
    TupleRefs, assert_returns,
};

pub use crate::actor::{ActorHandle, ActorRef};
pub use crate::object_ref::ObjectRef;
pub use crate::object_stream::ObjectRefStream;
pub use crate::worker::calls::{create_actor, submit_call, submit_task};
