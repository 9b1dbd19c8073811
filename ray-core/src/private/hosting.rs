//! What `#[remote] impl` tells `#[actor]` at compile time: that there is a constructor, and how the actor is hosted.

/// Implemented for the handle of an actor by the `#[remote] impl` with its constructor.
#[diagnostic::on_unimplemented(
    message = "the actor of `{Self}` has no constructor",
    label = "no `#[remote] impl` of this actor has a `pub fn new`",
    note = "write `#[remote] impl .. {{ pub fn new(..) -> Self {{ .. }} }}`"
)]
pub trait Constructed {
    /// How its methods run, as far as the block of the constructor shows it.
    type Hosting;
}

/// Methods of one actor run on one thread; async ones interleave there.
pub struct OneThread;

/// `max_concurrency` runs methods on several threads.
pub struct SharedByThreads;

/// An actor that can be hosted so.
pub trait HostedOn<Hosting> {}

impl<A> HostedOn<OneThread> for A {}

impl<A: Send + Sync> HostedOn<SharedByThreads> for A {}

/// Fails to compile, naming the handle, unless the actor has a constructor.
pub const fn assert_constructed<H: Constructed>() {}

/// Fails to compile, naming the type, unless several threads can share the actor.
///
/// An actor with an async method beside its constructor stays on one thread and may be anything.
pub const fn assert_threaded<A: HostedOn<H::Hosting>, H: Constructed>() {}
