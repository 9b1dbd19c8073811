//! The workload and the faults of one seed, drawn at random.

mod cluster;

use ray_engine::{
    ids::{ActorId, JobId},
    resources::{Amount, Resources},
    scheduler::SchedulerConfig,
    spec::{Labels, Placement},
};

pub use cluster::{ClusterPlan, NodePlan, plan_group, some_strategy};

use crate::{
    network::Weather,
    node::Clock,
    rng::Chance,
    wire::{CallLimits, Creation, Fate},
};

/// What a task or an actor needs of the node.
pub struct Shape {
    cpu: u64,
    gpu: u64,
}

impl Shape {
    /// Returns it as the engine knows it.
    pub fn resources(&self) -> Resources {
        Resources::new()
            .with(Resources::CPU, Amount(self.cpu))
            .with(Resources::GPU, Amount(self.gpu))
    }
}

/// The shapes of all workloads; the last one fits nowhere.
pub const SHAPES: [Shape; 6] = [
    Shape {
        cpu: 10_000,
        gpu: 0,
    },
    Shape { cpu: 5_000, gpu: 0 },
    Shape { cpu: 0, gpu: 0 },
    Shape {
        cpu: 10_000,
        gpu: 10_000,
    },
    Shape {
        cpu: 20_000,
        gpu: 0,
    },
    Shape {
        cpu: 10_000,
        gpu: 90_000,
    },
];

/// Which of them holds the GPU.
const GPU_SHAPE: u32 = 3;

/// Tasks nest this deep; the deepest submit nothing.
pub const DEPTH_MAX: u32 = 3;

/// How often what happens, drawn once a seed.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Whether anything fails that user code does not do itself.
    pub has_faults: bool,
    /// The node's resources.
    pub total: Resources,
    /// The node's limits.
    pub scheduler: SchedulerConfig,
    /// The network's delays.
    pub weather: Weather,
    /// Threads of the driver's program.
    pub roots: u32,
    /// Steps of each.
    pub root_steps: u32,
    /// Time between two kills; nanoseconds, 0 for never.
    pub kill_nanos: u64,
    /// Time between two lost connections; nanoseconds, 0 for never.
    pub cut_nanos: u64,
    /// How many spawns of a hundred fail.
    pub spawn_failure_percent: u64,
    /// How many processes of a hundred are up to twenty times slower.
    pub slow_percent: u64,
    /// How long the node takes to notice a death, at most; nanoseconds.
    pub notice_nanos: u64,
    /// How many harmless messages of a hundred come twice.
    pub repeat_percent: u64,
    /// How many pieces of user code of a hundred end badly.
    pub bad_end_percent: u64,
    /// How many tasks of a hundred take milliseconds.
    pub long_percent: u64,
    /// The other nodes, when there are any.
    pub cluster: Option<ClusterPlan>,
}

impl Profile {
    /// Draws a profile.
    pub fn draw(chance: &mut Chance) -> Profile {
        let has_faults = chance.percent(90);
        let rate = |chance: &mut Chance, percent, first, end| {
            if has_faults && chance.percent(percent) {
                chance.between(first, end)
            } else {
                0
            }
        };
        let kill_nanos = rate(chance, 65, 3_000_000, 60_000_000);
        let cut_nanos = rate(chance, 25, 5_000_000, 80_000_000);
        let spawn_failure_percent = rate(chance, 20, 5, 25);
        let slow_percent = rate(chance, 30, 10, 50);
        let repeat_percent = rate(chance, 40, 5, 40);
        let notice_nanos = rate(chance, 90, 1_000, 40_000_000).max(1_000);
        let bad_end_percent = rate(chance, 70, 2, 20);
        let total = Resources::new()
            .with(Resources::CPU, Amount(10_000 * chance.between(2, 5)))
            .with(Resources::GPU, Amount(20_000));
        Profile {
            has_faults,
            total,
            scheduler: SchedulerConfig {
                workers_kept: chance.between(1, 4) as usize,
                workers_max: 64,
                idle_nanos: chance.between(20_000_000, 400_000_000),
                failed_starts_max: 3,
            },
            weather: Weather {
                delay_nanos: [20_000, 100_000, 1_000_000][chance.below(3) as usize],
                tail_percent: [0, 2, 15][chance.below(3) as usize],
            },
            roots: chance.between(1, 3) as u32,
            root_steps: chance.between(150, 260) as u32,
            kill_nanos,
            cut_nanos,
            spawn_failure_percent,
            slow_percent,
            notice_nanos,
            repeat_percent,
            bad_end_percent,
            long_percent: [0, 10, 40][chance.below(3) as usize],
            cluster: None,
        }
    }

    /// Returns the node that has the control role.
    pub fn head(&self) -> NodePlan {
        NodePlan {
            total: self.total.clone(),
            labels: Labels::new().with("zone", "a"),
            joins_at: 0,
            clock: Clock::default(),
        }
    }
}

/// A task about to be submitted.
pub struct TaskPlan {
    /// Which of the shapes.
    pub shape: u32,
    /// How many results.
    pub returns: u16,
    /// Steps of its code.
    pub steps: u32,
    /// How long one takes; nanoseconds.
    pub step_nanos: u64,
    /// Whether it may wait for others.
    pub may_block: bool,
    /// How it ends.
    pub fate: Fate,
    /// Tries after a crash.
    pub max_retries: i32,
    /// Whether failures of user code are tried again.
    pub retry_failures: bool,
}

fn step_nanos(profile: &Profile, chance: &mut Chance) -> u64 {
    if chance.percent(profile.long_percent) {
        chance.between(1_000_000, 12_000_000)
    } else {
        chance.between(500, 200_000)
    }
}

fn fate(profile: &Profile, chance: &mut Chance) -> Fate {
    if !chance.percent(profile.bad_end_percent + 3) {
        return Fate::Return;
    }
    if profile.has_faults && chance.percent(40) {
        Fate::Crash(chance.between(1, 4) as u32)
    } else {
        Fate::Fail(chance.between(1, 4) as u32)
    }
}

/// Draws a task.
pub fn plan_task(profile: &Profile, chance: &mut Chance) -> TaskPlan {
    let shape = match chance.below(100) {
        0..70 => 0,
        70..80 => 1,
        80..88 => 2,
        88..93 => 3,
        93..99 => 4,
        _ => 5,
    };
    TaskPlan {
        shape,
        returns: [1, 1, 1, 2, 3, 0][chance.below(6) as usize],
        steps: chance.below(7) as u32,
        step_nanos: step_nanos(profile, chance),
        // A blocked task lends its CPU and keeps its GPU, which its children may want.
        may_block: shape != GPU_SHAPE && chance.percent(70),
        fate: fate(profile, chance),
        max_retries: [0, 1, 3, 3, -1][chance.below(5) as usize],
        retry_failures: chance.percent(30),
    }
}

/// Draws a method call; its shape means nothing.
pub fn plan_call(profile: &Profile, chance: &mut Chance, limits: &CallLimits) -> TaskPlan {
    let fate = match fate(profile, chance) {
        Fate::Return if chance.percent(2) => Fate::Exit,
        other => other,
    };
    let retry_failures = chance.percent(20);
    TaskPlan {
        shape: 0,
        returns: [1, 1, 1, 2][chance.below(4) as usize],
        steps: chance.below(3) as u32,
        step_nanos: step_nanos(profile, chance),
        may_block: false,
        fate,
        max_retries: limits.max_task_retries,
        retry_failures,
    }
}

/// An actor about to be created.
pub struct ActorPlan {
    /// Everything but its id.
    pub creation: Creation,
    /// How long its constructor takes.
    pub step_nanos: u64,
    /// How its constructor ends.
    pub fate: Fate,
}

/// Draws an actor.
pub fn plan_actor(profile: &Profile, chance: &mut Chance) -> ActorPlan {
    let is_named = chance.percent(25);
    // Little enough that actors which live on never keep a task from its turn.
    let running = match chance.below(10) {
        0..7 => Resources::new(),
        _ => Resources::new().with(Resources::GPU, Amount(10)),
    };
    let cpus = if chance.percent(20) { 5_000 } else { 10_000 };
    let limits = CallLimits {
        is_ordered: chance.percent(80),
        max_task_retries: [0, 0, 1, 3, -1][chance.below(5) as usize],
        max_pending: [0, 0, 0, 2, 5][chance.below(5) as usize],
    };
    ActorPlan {
        creation: Creation {
            actor: ActorId::default(),
            name: is_named.then(|| some_name(chance)),
            shape: running.clone().with(Resources::CPU, Amount(cpus)),
            running,
            placement: Placement::default(),
            job: JobId(0),
            max_restarts: [0, 1, 3, -1][chance.below(4) as usize],
            get_if_exists: chance.percent(50),
            detached: is_named && chance.percent(30),
            limits,
        },
        step_nanos: step_nanos(profile, chance),
        fate: match fate(profile, chance) {
            // A constructor that always crashes would be restarted for ever.
            Fate::Crash(_) => Fate::Crash(1),
            other => other,
        },
    }
}

/// Draws one of the few names that actors have.
pub fn some_name(chance: &mut Chance) -> String {
    ["counter", "store", "queue"][chance.below(3) as usize].to_owned()
}
