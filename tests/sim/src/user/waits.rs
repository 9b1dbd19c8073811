//! How user code waits: it blocks on objects, is woken by their owner table, and looks again.

use ray_engine::{
    ids::{ObjectId, ProcessId},
    owner::ObjectState,
};

use super::{Context, Next, Role, Wait};
use crate::world::World;

impl World {
    pub(super) fn get_some(&mut self, at: ProcessId, id: u64, context: &mut Context) -> Next {
        let mut objects = self.pick_some(&context.slots, 3);
        objects.sort_unstable();
        objects.dedup();
        let is_there = objects
            .iter()
            .all(|object| !matches!(self.process(at).owner.state(*object), ObjectState::Pending));
        if objects.is_empty() || !(context.may_block || is_there) {
            return Next::Go;
        }
        self.get(at, id, context, objects).unwrap_or(Next::Go)
    }

    pub(super) fn wait_some(&mut self, at: ProcessId, id: u64, context: &mut Context) -> Next {
        let mut objects = self.pick_some(&context.slots, 4);
        objects.sort_unstable();
        objects.dedup();
        if objects.is_empty() || !context.may_block {
            return Next::Go;
        }
        let has_deadline = self.chance.percent(60);
        let wanted = self.chance.below(objects.len() as u64) as usize + 1;
        self.block_on(at, id, context, objects, wanted, false, has_deadline)
            .unwrap_or(Next::Go)
    }

    /// Gets objects; `None` when all are there and were looked at.
    pub(super) fn get(
        &mut self,
        at: ProcessId,
        id: u64,
        context: &mut Context,
        objects: Vec<ObjectId>,
    ) -> Option<Next> {
        let wanted = objects.len();
        let next = self.block_on(at, id, context, objects.clone(), wanted, true, false);
        if next.is_none() {
            for object in objects {
                self.read(at, object, context);
            }
        }
        next
    }

    /// Looks at an outcome; references inside become handles of this context.
    fn read(&mut self, at: ProcessId, object: ObjectId, context: &mut Context) {
        self.observe(at, object);
        let takes = self.chance.percent(60) && context.steps_left > 0;
        let inside = self.process(at).owner.contained(object).to_vec();
        for id in inside.into_iter().filter(|_| takes) {
            self.add_handle(at, id);
            context.slots.push(id);
        }
    }

    #[allow(clippy::too_many_arguments, reason = "one wait has these many sides")]
    fn block_on(
        &mut self,
        at: ProcessId,
        id: u64,
        context: &mut Context,
        objects: Vec<ObjectId>,
        wanted: usize,
        is_get: bool,
        has_deadline: bool,
    ) -> Option<Next> {
        let process = self.process(at);
        let missing_objects = objects
            .iter()
            .filter(|object| matches!(process.owner.state(**object), ObjectState::Pending))
            .copied()
            .collect::<Vec<_>>();
        let there = objects.len() - missing_objects.len();
        if there >= wanted {
            return None;
        }
        context.wait = Some(Wait::Objects {
            objects: objects.clone(),
            missing: wanted - there,
            is_get,
            has_deadline,
            is_over: false,
        });
        for object in &missing_objects {
            process.waiters.entry(*object).or_default().push(id);
        }
        let gives_back = context.gives_cpu_back();
        // The cell exists before the first watch, which may resolve at once.
        let parked = std::mem::take(&mut context.slots);
        let shell = Context {
            slots: Vec::new(),
            handles: Vec::new(),
            groups: Vec::new(),
            role: Role::Root,
            wait: context.wait.take(),
            ..*context
        };
        self.process(at).contexts.insert(id, shell);
        for object in &missing_objects {
            self.process(at).owner.watch(*object);
        }
        self.settle(at);
        if let Some(shell) = self.process(at).contexts.remove(&id) {
            context.wait = shell.wait;
        }
        context.slots = parked;
        if gives_back {
            self.on_blocked(at);
        }
        if has_deadline {
            let delay = self.chance.between(1_000, 20_000_000);
            self.wake_context(at, id, context.generation, delay);
        }
        Some(Next::Block)
    }

    /// An object has an outcome: contexts that wait for it are counted down.
    pub(crate) fn on_resolved(&mut self, at: ProcessId, object: ObjectId) {
        let process = self.process(at);
        let failed = matches!(process.owner.state(object), ObjectState::Failed(_));
        let mut woken = Vec::new();
        for id in process.waiters.remove(&object).unwrap_or_default() {
            let Some(context) = process.contexts.get_mut(&id) else {
                continue;
            };
            if let Some(Wait::Objects {
                objects,
                missing,
                is_get,
                is_over,
                ..
            }) = &mut context.wait
                && objects.contains(&object)
            {
                *missing = missing.saturating_sub(1);
                if (*missing == 0 || failed && *is_get) && !*is_over {
                    *is_over = true;
                    woken.push((id, context.generation));
                }
            }
        }
        for (id, generation) in woken {
            self.wake_context(at, id, generation, 1);
        }
        self.on_probe_resolved(at, object);
        self.create_ready(at);
    }

    /// Wakes a context that was cancelled.
    pub(crate) fn interrupt(&mut self, at: ProcessId, id: u64) {
        if let Some(context) = self.process(at).contexts.get(&id)
            && matches!(context.wait, Some(Wait::Objects { .. }))
        {
            let generation = context.generation;
            self.wake_context(at, id, generation, 1);
        }
    }

    pub(super) fn resume(
        &mut self,
        at: ProcessId,
        id: u64,
        context: &mut Context,
        wait: Wait,
    ) -> Next {
        let Wait::Objects {
            objects,
            is_get,
            has_deadline,
            is_over,
            ..
        } = wait
        else {
            return Next::Go;
        };
        for object in &objects {
            if let Some(waiting) = self.process(at).waiters.get_mut(object) {
                waiting.retain(|other| *other != id);
            }
        }
        if context.gives_cpu_back() {
            self.on_unblocked(at);
        }
        if context.is_cancelled() {
            context.steps_left = 0;
            return Next::Go;
        }
        if is_get {
            let failed = objects.iter().any(|object| {
                matches!(
                    self.process(at).owner.state(*object),
                    ObjectState::Failed(_)
                )
            });
            if failed {
                for object in objects {
                    self.observe(at, object);
                }
                return Next::Go;
            }
            return self.get(at, id, context, objects).unwrap_or(Next::Go);
        }
        if !is_over && !has_deadline {
            let text = format!("a wait of {at} ended without its objects");
            self.fail("every wait ends", text);
        }
        Next::Go
    }
}
