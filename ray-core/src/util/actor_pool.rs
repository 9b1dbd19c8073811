//! A pool of actors that share work: each gets the next piece when it has finished its last.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    time::{Duration, Instant},
};

use crate::{ActorHandle, AnyRef, Data, Error, ObjectRef, Result, wait_any};

/// Work that waits for an idle actor.
type Waiting<A, R> = Box<dyn FnOnce(&A) -> ObjectRef<R> + Send>;

/// A fixed set of actors over which calls of one result type are spread, one at a time for each actor.
///
/// ```no_run
/// use ray_core::{prelude::*, util::ActorPool};
///
/// #[actor]
/// struct Doubler;
///
/// #[remote]
/// impl Doubler {
///     pub fn new() -> Self {
///         Doubler
///     }
///     pub fn double(&self, x: u64) -> u64 {
///         2 * x
///     }
/// }
///
/// # fn main() -> ray_core::Result<()> {
/// let ray = ray_core::init()?;
/// let mut pool = ActorPool::new((0..4).map(|_| Doubler::remote()));
/// for doubled in pool.map(|actor, x| actor.double(x), 0..100) {
///     println!("{}", doubled?);
/// }
/// # ray.shutdown()
/// # }
/// ```
pub struct ActorPool<A, R> {
    idle: VecDeque<A>,
    /// Calls that run or have ended and whose result nobody took, by the number of their submission.
    running: BTreeMap<u64, Running<A, R>>,
    waiting: VecDeque<(u64, Waiting<A, R>)>,
    submitted: u64,
    /// The submission whose result `get_next` returns next, unless it was taken out of order.
    next: u64,
}

struct Running<A, R> {
    result: ObjectRef<R>,
    /// The actor, until it went back to the pool.
    actor: Option<A>,
}

impl<A: ActorHandle, R: Data> ActorPool<A, R> {
    /// Makes a pool of these actors.
    pub fn new(actors: impl IntoIterator<Item = A>) -> ActorPool<A, R> {
        ActorPool {
            idle: actors.into_iter().collect(),
            running: BTreeMap::new(),
            waiting: VecDeque::new(),
            submitted: 0,
            next: 0,
        }
    }

    /// Submits a call: at once when an actor is idle, else as soon as one is.
    ///
    /// Whether an actor is idle is seen when a result is taken, so take results to keep the pool busy.
    pub fn submit<V: Send + 'static>(
        &mut self,
        call: impl FnOnce(&A, V) -> ObjectRef<R> + Send + 'static,
        value: V,
    ) {
        let number = self.submitted;
        self.submitted += 1;
        let waiting: Waiting<A, R> = Box::new(move |actor| call(actor, value));
        self.waiting.push_back((number, waiting));
        self.start_waiting();
    }

    /// Returns whether there is a result to get, now or later.
    pub fn has_next(&self) -> bool {
        !self.running.is_empty() || !self.waiting.is_empty()
    }

    /// Returns whether an actor is idle and nothing waits for one.
    pub fn has_free(&self) -> bool {
        !self.idle.is_empty() && self.waiting.is_empty()
    }

    /// Waits for the next result in the order of submission; `None` when there is none to come.
    ///
    /// A result that was taken out of order is passed over.
    pub fn get_next(&mut self) -> Option<Result<R>> {
        self.next_in_order(None)
    }

    /// Waits as [`ActorPool::get_next`] does, at most `limit`; `Error::GetTimeout` leaves the result where
    /// it is.
    pub fn get_next_timeout(&mut self, limit: Duration) -> Option<Result<R>> {
        self.next_in_order(Some(limit))
    }

    /// Waits for whichever result is there first; `None` when there is none to come.
    pub fn get_next_unordered(&mut self) -> Option<Result<R>> {
        self.next_of_all(None)
    }

    /// Waits as [`ActorPool::get_next_unordered`] does, at most `limit`.
    pub fn get_next_unordered_timeout(&mut self, limit: Duration) -> Option<Result<R>> {
        self.next_of_all(Some(limit))
    }

    /// Adds an actor.
    ///
    /// # Errors
    /// `InvalidOption` when the actor is in the pool already.
    pub fn push(&mut self, actor: A) -> Result<()> {
        let busy = self
            .running
            .values()
            .filter_map(|running| running.actor.as_ref());
        if busy.chain(&self.idle).any(|other| other.id() == actor.id()) {
            return Err(Error::InvalidOption {
                option: "actor".into(),
                reason: format!("{} is in the pool already", actor.id()),
            });
        }
        self.idle.push_back(actor);
        self.start_waiting();
        Ok(())
    }

    /// Takes an idle actor out of the pool; `None` when all are busy.
    pub fn pop_idle(&mut self) -> Option<A> {
        self.idle.pop_front()
    }

    /// Applies `call` to all values, and returns the results in the order of the values.
    ///
    /// Values are taken as actors become idle. Results of earlier submissions that nobody took are
    /// dropped.
    pub fn map<V, F, I>(&mut self, call: F, values: I) -> Map<'_, A, R, F, I::IntoIter>
    where
        F: FnMut(&A, V) -> ObjectRef<R>,
        I: IntoIterator<Item = V>,
    {
        Map(self.spread(call, values))
    }

    /// Applies `call` to all values as [`ActorPool::map`] does, and returns the results as they come.
    pub fn map_unordered<V, F, I>(
        &mut self,
        call: F,
        values: I,
    ) -> MapUnordered<'_, A, R, F, I::IntoIter>
    where
        F: FnMut(&A, V) -> ObjectRef<R>,
        I: IntoIterator<Item = V>,
    {
        MapUnordered(self.spread(call, values))
    }

    fn spread<V, F, I>(&mut self, call: F, values: I) -> Spread<'_, A, R, F, I::IntoIter>
    where
        F: FnMut(&A, V) -> ObjectRef<R>,
        I: IntoIterator<Item = V>,
    {
        self.waiting.clear();
        // An actor that still runs an earlier call takes the next one up after it.
        let earlier = std::mem::take(&mut self.running).into_values();
        self.idle
            .extend(earlier.filter_map(|running| running.actor));
        self.next = self.submitted;
        let mut spread = Spread {
            pool: self,
            call,
            values: values.into_iter(),
        };
        spread.fill();
        spread
    }

    fn start_waiting(&mut self) {
        while !self.idle.is_empty()
            && let Some((number, call)) = self.waiting.pop_front()
        {
            self.start(number, call);
        }
    }

    /// Starts a call on an idle actor; the caller has seen that there is one.
    fn start(&mut self, number: u64, call: impl FnOnce(&A) -> ObjectRef<R>) {
        let Some(actor) = self.idle.pop_front() else {
            return;
        };
        let result = call(&actor);
        let actor = Some(actor);
        self.running.insert(number, Running { result, actor });
    }

    fn next_in_order(&mut self, limit: Option<Duration>) -> Option<Result<R>> {
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
        loop {
            if !self.has_next() {
                return None;
            }
            if let Some(running) = self.running.get(&self.next) {
                let result = running.result.erase();
                if let Err(error) = self.wait_for(&[result], deadline, limit) {
                    return Some(Err(error));
                }
                self.next += 1;
                return Some(self.take(self.next - 1));
            }
            if self.waiting.iter().all(|(number, _)| *number != self.next) {
                // It was taken out of order, or dropped by a `map`.
                self.next += 1;
                continue;
            }
            // It waits for an actor: any call that ends gives one.
            if let Err(error) = self.wait_for_actor(deadline, limit) {
                return Some(Err(error));
            }
        }
    }

    fn next_of_all(&mut self, limit: Option<Duration>) -> Option<Result<R>> {
        if !self.has_next() {
            return None;
        }
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
        let numbers = self.running.keys().copied().collect::<Vec<_>>();
        let results = self.results(&numbers);
        match self.wait_for(&results, deadline, limit) {
            Ok(at) => Some(self.take(numbers[at])),
            Err(error) => Some(Err(error)),
        }
    }

    /// Waits until a busy actor has finished, and gives it the next call that waits.
    fn wait_for_actor(&mut self, deadline: Option<Instant>, limit: Option<Duration>) -> Result<()> {
        let numbers = self
            .running
            .iter()
            .filter(|(_, running)| running.actor.is_some())
            .map(|(number, _)| *number)
            .collect::<Vec<_>>();
        let results = self.results(&numbers);
        let at = self.wait_for(&results, deadline, limit)?;
        let freed = self.running.get_mut(&numbers[at]);
        self.idle
            .extend(freed.and_then(|running| running.actor.take()));
        self.start_waiting();
        Ok(())
    }

    fn results(&self, numbers: &[u64]) -> Vec<AnyRef> {
        numbers
            .iter()
            .map(|number| self.running[number].result.erase())
            .collect()
    }

    /// Waits for the first of some results; returns which.
    fn wait_for(
        &self,
        results: &[AnyRef],
        deadline: Option<Instant>,
        limit: Option<Duration>,
    ) -> Result<usize> {
        if results.is_empty() {
            return Err(Error::InvalidOption {
                option: "actors".into(),
                reason: "the pool has no actor, so nothing submitted can ever run".into(),
            });
        }
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let (ready, _) = wait_any(results, 1, left)?;
        let first = ready
            .first()
            .ok_or(Error::GetTimeout(limit.unwrap_or_default()))?;
        let at = results.iter().position(|other| other.id() == first.id());
        Ok(at.expect("it is one of those that were waited for"))
    }

    /// Takes a result that is there, and gives its actor the next call that waits.
    fn take(&mut self, number: u64) -> Result<R> {
        let running = self.running.remove(&number).expect("it was waited for");
        self.idle.extend(running.actor);
        self.start_waiting();
        running.result.get()
    }
}

impl<A, R> fmt::Debug for ActorPool<A, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActorPool")
            .field("idle", &self.idle.len())
            .field("running", &self.running.len())
            .field("waiting", &self.waiting.len())
            .finish()
    }
}

/// A call being applied to values.
struct Spread<'p, A, R, F, I> {
    pool: &'p mut ActorPool<A, R>,
    call: F,
    values: I,
}

impl<A: ActorHandle, R: Data, F, I: Iterator> Spread<'_, A, R, F, I>
where
    F: FnMut(&A, I::Item) -> ObjectRef<R>,
{
    /// Gives every idle actor a value.
    fn fill(&mut self) {
        while !self.pool.idle.is_empty()
            && let Some(value) = self.values.next()
        {
            let number = self.pool.submitted;
            self.pool.submitted += 1;
            let call = &mut self.call;
            self.pool.start(number, |actor| call(actor, value));
        }
    }

    fn next_with(
        &mut self,
        next: impl Fn(&mut ActorPool<A, R>) -> Option<Result<R>>,
    ) -> Option<Result<R>> {
        let result = next(self.pool);
        self.fill();
        result
    }
}

/// The results of [`ActorPool::map`], in the order of the values.
pub struct Map<'p, A, R, F, I>(Spread<'p, A, R, F, I>);

impl<A: ActorHandle, R: Data, F, I: Iterator> Iterator for Map<'_, A, R, F, I>
where
    F: FnMut(&A, I::Item) -> ObjectRef<R>,
{
    type Item = Result<R>;

    fn next(&mut self) -> Option<Result<R>> {
        self.0.next_with(ActorPool::get_next)
    }
}

/// The results of [`ActorPool::map_unordered`], as they come.
pub struct MapUnordered<'p, A, R, F, I>(Spread<'p, A, R, F, I>);

impl<A: ActorHandle, R: Data, F, I: Iterator> Iterator for MapUnordered<'_, A, R, F, I>
where
    F: FnMut(&A, I::Item) -> ObjectRef<R>,
{
    type Item = Result<R>;

    fn next(&mut self) -> Option<Result<R>> {
        self.0.next_with(ActorPool::get_next_unordered)
    }
}
