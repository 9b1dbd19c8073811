//! The macros of ray-core: `#[remote]`, `#[actor]`, `#[derive(Data)]`, `#[test]`.
//!
//! Each reads its item into a model, checks the model and collects all errors, and expands. After an
//! error the item and well-typed stubs are still emitted, so that nothing else turns red. Generated
//! code is thin: it names things in `::ray_core::__private` and calls them.

mod attr;
mod check;
mod expand;
mod model;
mod options;
mod types;

use proc_macro::TokenStream;
use syn::parse_macro_input;

/// Makes a function a task, or the public methods of an `impl` callable from anywhere.
///
/// On a function it leaves the function as it is and adds a type of the same name:
///
/// ```text
/// #[remote(num_cpus = 2)]
/// fn square(x: i64) -> i64 { x * x }
///
/// // becomes
/// fn square(x: i64) -> i64 { x * x }
/// struct square {}
/// impl square {
///     pub fn remote(x: impl IntoArg<i64>) -> ObjectRef<i64>; // returns at once
///     pub fn options() -> __squareOptions;                   // overrides for one call, then `.remote(x)`
/// }
/// static __METHOD: Method = ..;                              // its entry in the table of functions
/// ```
///
/// On `impl Counter`, whose struct stands under `#[actor]`, it adds:
///
/// ```text
/// impl Counter {
///     pub fn remote(start: impl IntoArg<i64>) -> CounterHandle; // for `pub fn new(start: i64) -> Self`
///     pub fn options() -> __CounterOptions;
/// }
/// impl CounterHandle {
///     pub fn add(&self, by: impl IntoArg<i64>) -> ObjectRef<i64>; // for `pub fn add(&mut self, by: i64) -> i64`
/// }
/// ```
///
/// A parameter may be given as the value, a borrow of it, or an `ObjectRef` to it. `&Archived<T>` in the
/// function borrows a `T` from shared memory. `Result<T, E>` gives `ObjectRef<T>`.
///
/// A function that returns `impl Iterator<Item = T>` (or a `Stream`) gives `ObjectRefStream<T>`: each item is
/// sent as soon as it was made. Items may be `Result`s; the first `Err` ends the stream.
///
/// Options of a task: `num_cpus`, `num_gpus`, `memory` (bytes), `resources("name" = 1)`, `max_retries`,
/// `retry_exceptions` (`true`, `false`, or the error types that are tried again, `[Timeout, Lost]`), `max_calls`
/// (runs after which a worker process leaves; 1 for what asks for GPUs, else it stays), `num_returns`,
/// `backpressure` (items of a stream that may wait for the consumer), `name` (in logs), `stub` (another name for the added type). A method takes `#[method(concurrency_group = "..",
/// max_retries = .., retry_exceptions = true, num_returns = .., backpressure = ..)]`.
#[proc_macro_attribute]
pub fn remote(attr: TokenStream, item: TokenStream) -> TokenStream {
    expand::remote(attr.into(), parse_macro_input!(item as syn::Item)).into()
}

/// Makes a struct an actor and declares its handle.
///
/// ```text
/// #[actor(max_restarts = 3)]
/// pub struct Counter { value: i64 }
///
/// // becomes
/// pub struct Counter { value: i64 }
/// #[derive(Clone, Debug, Data)]
/// pub struct CounterHandle { .. } // with `kill`, `ready`, `id` and `named` from the trait `ActorHandle`
/// ```
///
/// A `#[remote] impl Counter` gives it a constructor, `pub fn new`, and methods.
///
/// Options: `num_cpus`, `num_gpus`, `memory` (bytes), `resources("name" = 1)`, `max_restarts`,
/// `max_task_retries`, `max_concurrency`, `concurrency_groups(io = 2, compute = 4)`, `max_pending_calls`,
/// `on_panic = "restart"`.
///
/// `max_concurrency` over 1 and groups run methods on several threads, so the struct must be `Send` and
/// `Sync`; an actor with an `async` method in the block of its constructor stays on one thread and may be
/// anything. Each group runs so many of the methods that name it at once and holds up no other; all other
/// methods, and those of an actor without groups, are in the default group, which `max_concurrency` bounds.
/// A method with `&mut self` still has the actor to itself.
#[proc_macro_attribute]
pub fn actor(attr: TokenStream, item: TokenStream) -> TokenStream {
    expand::actor(attr.into(), &parse_macro_input!(item as syn::Item)).into()
}

/// Lets values of the type be sent: arguments, results, objects of the store.
///
/// It stands for rkyv's three derives and takes rkyv's attributes. A type may hold itself, as in
/// `enum Tree { Leaf(i64), Node(Vec<Tree>) }`. Where two types hold each other, write
/// `#[rkyv(omit_bounds)]` on the fields that close the circle.
#[proc_macro_derive(Data, attributes(rkyv))]
pub fn derive_data(item: TokenStream) -> TokenStream {
    expand::data::expand(&parse_macro_input!(item as syn::DeriveInput)).into()
}

/// Runs a test as a driver in a process of its own, with worker processes of its own.
///
/// With `RAY_TEST_LEAKS=1` in the environment the test fails as well when its values are still in the store when
/// the runtime is dropped, ten seconds later at the latest; `Ray::shutdown` does not look.
#[proc_macro_attribute]
pub fn test(attr: TokenStream, item: TokenStream) -> TokenStream {
    expand::test(attr.into(), &parse_macro_input!(item as syn::Item)).into()
}

/// Discards the item it stands on, after the derives before it have read it.
#[doc(hidden)]
#[proc_macro_attribute]
pub fn discard(_attr: TokenStream, _item: TokenStream) -> TokenStream {
    TokenStream::new()
}
