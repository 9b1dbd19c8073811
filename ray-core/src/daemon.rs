//! Nodes that outlive the programs that use them: the head of a cluster, and the nodes that join it.
//!
//! The `ray` command is a thin shell around this. A head has the control role, a node of its own and
//! the front desk; another node joins with a token and offers its resources until the head is gone.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use ray_engine::{env::RuntimeEnv, ids::ProcessId, spec::Labels};
use ray_net::{Waiter, tls::CERTIFICATE_LIFE};

use crate::{
    Config, Error, Result,
    config::RECONNECT_WITHIN,
    control::{
        ControlRole, Current, Role, Token,
        api::{FrontDesk, FrontDeskConfig},
        desk::HeadDesk,
        health,
        jobs::{JobOffice, OfficePlan},
        roster::{HeadOnRecord, Roster},
        store::{ControlStore, redb::RedbStore},
        token_office::{TokenOffice, wall_now},
    },
    node::{NodeSettings, gpus::VisibleGpus},
    runtime::{
        Runtime,
        executables::Executables,
        membership::Membership,
        start::{
            NodePlan, host_name, local_address_towards, log_filter, make_current, run_dir,
            scheduler_config, start_log, start_node, system,
        },
    },
};

/// What a node offers and where it listens.
#[derive(Clone, Debug, Default)]
pub struct NodeOptions {
    /// Resources, the size of the store, the address to listen on, folders and logs.
    pub config: Config,
    /// The name it is listed under; default: the host's.
    pub name: Option<String>,
    /// What placement by labels looks at.
    pub labels: BTreeMap<String, String>,
    /// The address that others reach this node at, when it is not the one it listens on.
    pub advertise: Option<IpAddr>,
}

/// The head of a new cluster.
#[derive(Clone, Debug)]
pub struct HeadConfig {
    /// Its own node.
    pub node: NodeOptions,
    /// Where newcomers knock; UDP. 0 takes a free one.
    pub port: u16,
    /// How long work that no node can run waits for one that can; `None` for ever. Default 10 s.
    pub infeasible_grace: Option<Duration>,
    /// How long nothing may be heard of a node before it is taken for dead. Default 3 s.
    pub node_silence: Duration,
    /// How long nodes and detached actors of the head before have to come back. Default 60 s.
    pub returns_within: Duration,
    /// How long the certificates of nodes and processes are good; they are renewed when two thirds of it
    /// are over. Default 7 days.
    pub certificate_life: Duration,
    /// The file of the cluster's state, with its keys in a folder `ca` beside it; default: in the run's
    /// folder. A head that finds both is the same cluster again, and its tokens are good.
    pub store: Option<PathBuf>,
}

impl Default for HeadConfig {
    fn default() -> HeadConfig {
        HeadConfig {
            node: NodeOptions::default(),
            port: crate::config::DESK_PORT,
            infeasible_grace: Some(Duration::from_secs(10)),
            node_silence: crate::config::NODE_SILENCE,
            returns_within: RECONNECT_WITHIN,
            certificate_life: CERTIFICATE_LIFE,
            store: None,
        }
    }
}

/// A node that joins a cluster.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// The node.
    pub node: NodeOptions,
    /// Where the head's newcomers knock, `HOST:PORT`.
    pub address: String,
    /// A token for nodes.
    pub token: String,
    /// How long it waits for a head that is gone to be started again. Default 60 s.
    pub reconnect_within: Duration,
}

impl Default for NodeConfig {
    fn default() -> NodeConfig {
        NodeConfig {
            node: NodeOptions::default(),
            address: String::new(),
            token: String::new(),
            reconnect_within: RECONNECT_WITHIN,
        }
    }
}

/// A running head or node; dropping it ends its workers and itself.
pub struct Daemon {
    runtime: Arc<Runtime>,
    desk: Option<FrontDesk>,
    jobs: Option<Arc<JobOffice>>,
    current: Option<Current>,
    stop: Stopper,
    reconnect_within: Duration,
    address: SocketAddr,
    token: Option<Token>,
    run_dir: PathBuf,
}

/// Ends a [`Daemon`] from another thread; clones are the same.
#[derive(Clone, Default)]
pub struct Stopper(Arc<StopperInner>);

#[derive(Default)]
struct StopperInner {
    is_wanted: AtomicBool,
    waiter: Waiter,
}

impl Stopper {
    /// Makes [`Daemon::wait_for_stop`] return.
    pub fn stop(&self) {
        self.0.is_wanted.store(true, Ordering::Release);
        self.0.waiter.notify();
    }

    fn is_wanted(&self) -> bool {
        self.0.is_wanted.load(Ordering::Acquire)
    }
}

/// Why a daemon ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopReason {
    /// Somebody asked for it.
    Asked,
    /// The head is gone.
    HeadLost,
}

impl HeadConfig {
    /// Founds a cluster and listens for newcomers.
    ///
    /// # Errors
    /// A port that is taken, a store that another head has, options out of range.
    pub fn start(self) -> Result<Daemon> {
        let run_dir = begin_log(&self.node, "head")?;
        let store_path = self.store.unwrap_or_else(|| run_dir.join("control.redb"));
        let store = RedbStore::open(&store_path)
            .map_err(|error| system("could not open the control store")(&error))?;
        // The store is this head's alone by now, so nobody else makes keys beside it.
        let mut membership = Membership::found_in(&store_path.with_file_name("ca"))?;
        membership.ca = membership.ca.with_life(self.certificate_life);
        let store: Arc<dyn ControlStore> = Arc::new(store);
        let roster = Roster::new(store.clone());
        let before = roster.head()?;
        if let Some(before) = before {
            // Nodes and workers look for the head that they know.
            membership.process = ProcessId(before.process);
        }
        let (process, fingerprint) = (membership.process, membership.ca.fingerprint());
        let identity = membership
            .ca
            .issue_desk()
            .map_err(|error| system("could not make keys")(&error))?;
        let tokens = Arc::new(TokenOffice::open(fingerprint, store.clone())?);
        let admin = tokens.create_for_head()?;
        let settings = settings_of(&self.node, &run_dir)?;
        let (jobs, wishes) = JobOffice::open(OfficePlan {
            store,
            tokens: tokens.clone(),
            run_dir: run_dir.clone(),
            executables: settings.cache.clone(),
        })?;
        let bind = self
            .node
            .config
            .bind
            .unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let runtime = start_node(NodePlan {
            membership,
            settings,
            own_job: None,
            bind: Some(bind),
            advertise: self.node.advertise,
            run_dir: run_dir.clone(),
            patience: None,
            port: before.map_or(0, |before| before.port),
            life: roster.generation(),
            control: Some(ControlRole::new(
                self.infeasible_grace,
                process.0,
                roster.generation(),
            )),
            env: RuntimeEnv::new(),
        })?;
        roster.keep_head(HeadOnRecord {
            process: process.0,
            port: runtime.net().local_addr().port(),
        })?;
        if let Some(control) = &runtime.control_role {
            control.set_node_silence(self.node_silence);
            control.keep_jobs(jobs.wishes());
            control.restore(
                &runtime,
                roster.generation(),
                &roster.nodes()?,
                roster.actors()?,
                roster.groups()?,
                self.returns_within,
            );
            control.hold_names(&runtime, roster.names()?);
        }
        runtime.revoked.restore(&roster.revoked(wall_now().0)?);
        // From here on others are heard: whom the head before let in is known by now.
        make_current(&runtime);
        join(&runtime);
        let stop = Stopper::default();
        let desk = HeadDesk::new(&runtime, stop.clone(), jobs.clone());
        let config = FrontDeskConfig {
            bind: SocketAddr::new(bind, self.port),
            identity,
            logs: run_dir.join("logs"),
        };
        let desk = match FrontDesk::start(config, tokens, Arc::new(desk)) {
            Ok(desk) => desk,
            Err(error) => {
                runtime.end();
                return Err(error);
            }
        };
        let address = SocketAddr::new(
            self.node.advertise.unwrap_or(bind),
            desk.local_addr().port(),
        );
        jobs.set_address(reachable_here(address).to_string());
        jobs.begin(&runtime, wishes)?;
        health::start(&runtime).map_err(|error| system("could not start a thread")(&error))?;
        let current = Current {
            address: address.to_string(),
            token: admin.clone(),
            pid: std::process::id(),
            run_dir: run_dir.clone(),
        };
        if let Err(error) = current.publish() {
            tracing::warn!(%error, "`ray status` will need an address and a token");
        }
        Ok(Daemon {
            runtime,
            desk: Some(desk),
            jobs: Some(jobs),
            current: Some(current),
            stop,
            reconnect_within: RECONNECT_WITHIN,
            address,
            token: Some(admin),
            run_dir,
        })
    }
}

impl NodeConfig {
    /// Joins a cluster.
    ///
    /// # Errors
    /// Nobody at the address, a token that is not taken, a version or clock that differs.
    pub fn start(self) -> Result<Daemon> {
        let run_dir = begin_log(&self.node, "node")?;
        let settings = settings_of(&self.node, &run_dir)?;
        let name = settings.name.clone();
        let membership = Membership::join(&self.address, Some(&self.token), Role::Node, &name)?;
        let control = membership.control;
        let runtime = start_node(NodePlan {
            membership,
            settings,
            own_job: None,
            bind: self
                .node
                .config
                .bind
                .or_else(|| control.and_then(|(_, addr)| local_address_towards(addr))),
            advertise: self.node.advertise,
            run_dir: run_dir.clone(),
            patience: None,
            port: 0,
            life: 0,
            control: None,
            env: RuntimeEnv::new(),
        })?;
        make_current(&runtime);
        join(&runtime);
        if let Err(error) = crate::nodes() {
            runtime.end();
            return Err(error);
        }
        Ok(Daemon {
            runtime,
            desk: None,
            jobs: None,
            current: None,
            stop: Stopper::default(),
            reconnect_within: self.reconnect_within,
            address: control.map_or_else(
                || SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
                |(_, addr)| addr,
            ),
            token: None,
            run_dir,
        })
    }
}

impl Daemon {
    /// Returns where newcomers knock (of a head), or where the head's data arrives (of a node).
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the id of its node.
    pub fn node_id(&self) -> String {
        self.runtime.node().to_string()
    }

    /// Returns a token that may do everything; only a head has one.
    pub fn token(&self) -> Option<String> {
        self.token.as_ref().map(Token::expose)
    }

    /// Returns the folder with its logs.
    pub fn run_dir(&self) -> &std::path::Path {
        &self.run_dir
    }

    /// Returns what ends it from another thread, a signal handler's for example.
    pub fn stopper(&self) -> Stopper {
        self.stop.clone()
    }

    /// Blocks until somebody ends it or the head is gone.
    pub fn wait_for_stop(&self) -> StopReason {
        loop {
            if self.stop.is_wanted() || self.runtime.is_stop_wanted() {
                return StopReason::Asked;
            }
            let lost_for = self.runtime.head_lost_for();
            if lost_for.is_some_and(|lost_for| lost_for >= self.reconnect_within) {
                return StopReason::HeadLost;
            }
            let until = Instant::now() + LOOK_AROUND;
            self.runtime.net().wait(&self.stop.0.waiter, Some(until));
        }
    }

    /// Returns how the last connection to the head ended, in words.
    pub fn last_of_head(&self) -> String {
        self.runtime.last_of_head()
    }

    /// Ends the workers, then the daemon.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(current) = self.current.take() {
            current.withdraw();
        }
        if let Some(desk) = self.desk.take() {
            desk.stop();
        }
        if let Some(jobs) = self.jobs.take() {
            jobs.close();
        }
        self.runtime.end();
    }
}

/// Returns where a process of this machine reaches what listens there.
fn reachable_here(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        ip if !ip.is_unspecified() => address,
        IpAddr::V4(_) => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), address.port()),
        IpAddr::V6(_) => SocketAddr::new(Ipv6Addr::LOCALHOST.into(), address.port()),
    }
}

fn begin_log(options: &NodeOptions, name: &str) -> Result<PathBuf> {
    let run_dir = run_dir(options.config.run_dir.as_deref())?;
    start_log(
        &run_dir,
        name,
        &log_filter(options.config.log_level.as_deref()),
    );
    Ok(run_dir)
}

fn settings_of(options: &NodeOptions, run_dir: &std::path::Path) -> Result<NodeSettings> {
    if options.name.as_ref().is_some_and(|name| name.len() > 256) {
        return Err(Error::InvalidOption {
            option: "name".into(),
            reason: "it is longer than 256 bytes".into(),
        });
    }
    Ok(NodeSettings {
        name: options.name.clone().unwrap_or_else(host_name),
        total: options.config.total_resources()?,
        gpus: VisibleGpus::of_this_process(),
        labels: Labels(options.labels.clone()),
        scheduler: scheduler_config(options.config.workers),
        store_bytes: options.config.store_bytes()?,
        is_drivers: false,
        spills: true,
        cache: Executables::new(run_dir.join("executables"), options.config.cache_limit),
        spill_dir: options.config.spill_folder(run_dir)?,
        memory: options.config.memory_watch()?,
    })
}

fn join(runtime: &Arc<Runtime>) {
    if let Some(node) = &runtime.node_role {
        node.join(runtime);
    }
}

/// How often a waiting daemon looks whether it should end.
const LOOK_AROUND: Duration = Duration::from_millis(100);
