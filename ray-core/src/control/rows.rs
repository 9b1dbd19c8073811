//! One struct a table: its fields are the columns, in the order in which they are shown.
//!
//! Names and states are those of Ray's state API.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::tables::{Table, TableRow};

/// Declares the row of a table: a struct, and the names of its fields as the table's columns.
macro_rules! row {
    ($(#[$doc:meta])* $name:ident of $table:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        #[serde(default)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl $name {
            pub(super) const COLUMNS: &'static [&'static str] = &[$(column(stringify!($field))),*];
        }

        impl TableRow for $name {
            const TABLE: Table = Table::$table;
        }
    };
}

/// Returns the name of a column whose field may be a keyword.
const fn column(field: &'static str) -> &'static str {
    match field.as_bytes() {
        [b'r', b'#', ..] => field.split_at(2).1,
        _ => field,
    }
}

row! {
    /// A machine of the cluster.
    NodeState of Nodes {
        /// Its id.
        node_id: String,
        /// Where it is reached.
        node_ip: String,
        /// Whether the control role runs there.
        is_head_node: bool,
        /// `ALIVE`, `SUSPECT`, `DRAINING` or `DEAD`.
        state: String,
        /// Why, when that is not plain.
        state_message: Option<String>,
        /// The name it gave itself, by default its host's.
        node_name: String,
        /// What it has.
        resources_total: BTreeMap<String, f64>,
        /// What of it is free.
        resources_available: BTreeMap<String, f64>,
        /// Its labels.
        labels: BTreeMap<String, String>,
    }
}

row! {
    /// A worker process.
    WorkerState of Workers {
        /// Its id.
        worker_id: String,
        /// Whether it lives.
        is_alive: bool,
        /// `WORKER` or `DRIVER`.
        worker_type: String,
        /// How it ended: `SYSTEM_ERROR`, `USER_ERROR`, `INTENDED_SYSTEM_EXIT` or `INTENDED_USER_EXIT`.
        exit_type: Option<String>,
        /// The same in words.
        exit_detail: Option<String>,
        /// Where it runs.
        node_id: String,
        /// Its address.
        ip: String,
        /// Its system's id.
        pid: u32,
    }
}

row! {
    /// An actor.
    ActorState of Actors {
        /// Its id.
        actor_id: String,
        /// Its type.
        class_name: String,
        /// `PENDING_CREATION`, `ALIVE`, `RESTARTING` or `DEAD`.
        state: String,
        /// The job that made it.
        job_id: String,
        /// The name it can be found by.
        name: Option<String>,
        /// Where it runs.
        node_id: Option<String>,
        /// Its process's system id.
        pid: Option<u32>,
        /// The namespace of its name.
        ray_namespace: String,
        /// How often it started again.
        num_restarts: u64,
    }
}

row! {
    /// A call of a function or method.
    TaskState of Tasks {
        /// Its id.
        task_id: String,
        /// Which try this is, from 0.
        attempt_number: u32,
        /// The function's or method's name.
        name: String,
        /// Where in its life it is.
        state: String,
        /// The job it belongs to.
        job_id: String,
        /// The actor it runs on.
        actor_id: Option<String>,
        /// `NORMAL_TASK`, `ACTOR_TASK` or `ACTOR_CREATION_TASK`.
        r#type: String,
        /// The function or the actor's type.
        func_or_class_name: String,
        /// The task that submitted it.
        parent_task_id: Option<String>,
        /// Where it runs.
        node_id: Option<String>,
        /// Who runs it.
        worker_id: Option<String>,
        /// That worker's system id.
        worker_pid: Option<u32>,
        /// What it failed with.
        error_type: Option<String>,
    }
}

row! {
    /// An object that somebody refers to.
    ObjectState of Objects {
        /// Its id.
        object_id: String,
        /// Its size in bytes, when it is known.
        object_size: Option<u64>,
        /// How the task that makes it is doing.
        task_status: String,
        /// Where it was made.
        call_site: Option<String>,
        /// Which try made it.
        attempt_number: u32,
        /// Who refers to it: `DRIVER` or `WORKER`.
        r#type: String,
        /// That process's system id.
        pid: u32,
        /// That process's address.
        ip: String,
        /// `LOCAL_REFERENCE`, `PINNED_IN_MEMORY`, `BORROWED` and so on.
        reference_type: String,
        /// The process that owns it.
        owner_id: String,
        /// The node of the process that refers to it.
        node_id: String,
        /// Handles in that process.
        handles: u32,
        /// Its calls that have not ended and use it.
        users: u32,
        /// References that it gave to other processes and has not back.
        lent: u64,
    }
}

row! {
    /// A placement group.
    PlacementGroupState of PlacementGroups {
        /// Its id.
        placement_group_id: String,
        /// Its name.
        name: Option<String>,
        /// The job that made it.
        creator_job_id: String,
        /// `PENDING`, `CREATED`, `RESCHEDULING` or `REMOVED`.
        state: String,
        /// How its bundles are spread.
        strategy: String,
        /// What each bundle asks for.
        bundles: Vec<BTreeMap<String, f64>>,
    }
}

row! {
    /// A driver program.
    JobState of Jobs {
        /// Its id.
        job_id: String,
        /// The name it was submitted under.
        submission_id: Option<String>,
        /// Its command line.
        entrypoint: String,
        /// `DRIVER` or `SUBMISSION`.
        r#type: String,
        /// `PENDING`, `RUNNING`, `SUCCEEDED`, `FAILED` or `STOPPED`.
        status: String,
        /// Why, when that is not plain.
        message: Option<String>,
        /// What it failed with.
        error_type: Option<String>,
        /// The driver's system id.
        driver_pid: Option<u32>,
        /// Where the driver runs.
        driver_ip: Option<String>,
        /// What its program exited with.
        exit_code: Option<i32>,
        /// When it began, in seconds since 1970.
        start_time_s: Option<u64>,
        /// When it ended, in seconds since 1970.
        end_time_s: Option<u64>,
        /// The log file with its output, as `ray logs` lists it.
        log_file: Option<String>,
    }
}
