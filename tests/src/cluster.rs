//! A cluster of processes on this machine: a head and nodes that tests kill.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
};

use ray_core::control::{self, Answer, Client, Query, Row, Table};

/// A head and its nodes; dropping it ends them.
pub struct Cluster {
    drill: &'static str,
    address: String,
    token: String,
    head: Child,
    nodes: Vec<Child>,
}

impl Cluster {
    /// Starts a head; `head` is its CPUs and resources as the drill takes them.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(drill: &'static str, head: &[&str]) -> Cluster {
        Cluster::start_with(&[], drill, head)
    }

    /// Starts a head behind a launcher, a command line that runs what follows it.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_with(launcher: &[&str], drill: &'static str, head: &[&str]) -> Cluster {
        let mut arguments = vec!["head"];
        arguments.extend(head);
        let (head, line) = begin(launcher, drill, &arguments);
        let (address, token) = line.split_once(' ').expect("an address and a token");
        Cluster {
            drill,
            address: address.to_owned(),
            token: token.to_owned(),
            head,
            nodes: Vec::new(),
        }
    }

    /// Joins a node with these CPUs and resources; returns its id.
    ///
    /// # Panics
    /// When it does not join.
    pub fn join(&mut self, node: &[&str]) -> String {
        self.join_with(&[], node)
    }

    /// Joins a node behind a launcher; returns its id.
    ///
    /// # Panics
    /// When it does not join.
    pub fn join_with(&mut self, launcher: &[&str], node: &[&str]) -> String {
        let mut arguments = vec!["node", &self.address, &self.token];
        arguments.extend(node);
        let (node, id) = begin(launcher, self.drill, &arguments);
        self.nodes.push(node);
        id
    }

    /// Returns where the head's newcomers knock.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Returns a token that may do everything.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Returns the configuration of a driver of this cluster.
    pub fn driver(&self) -> ray_core::Config {
        ray_core::Config::new()
            .address(&self.address)
            .token(&self.token)
            .object_store_memory(256 << 20)
    }

    /// Returns who asks the head and gives it orders.
    ///
    /// # Panics
    /// When the head's token is none.
    pub fn client(&self) -> Client {
        Client::new(&self.address, self.token.parse().expect("a token"))
    }

    /// Returns all rows of a table of the cluster's state.
    ///
    /// # Panics
    /// When the head does not answer.
    pub fn rows(&self, table: Table) -> Vec<Row> {
        let list = Query::List {
            table,
            filters: Vec::new(),
            limit: usize::MAX,
        };
        match self.client().query(list) {
            Ok(Answer::Rows { rows, .. }) => rows,
            other => panic!("no rows of {table}: {other:?}"),
        }
    }

    /// Begins to empty a node, for as long as that takes.
    ///
    /// # Panics
    /// When the head refuses it.
    pub fn drain(&self, node: &str) {
        let drain = control::Command::DrainNode {
            node: node.to_owned(),
            deadline_s: None,
        };
        self.client().command(drain).expect("the head drains it");
    }

    /// Returns the system's id of the `index`-th node that joined.
    pub fn node_pid(&self, index: usize) -> u32 {
        self.nodes[index].id()
    }

    /// Ends the `index`-th node that joined, as nobody can prevent.
    ///
    /// # Panics
    /// When there is none.
    pub fn kill_node(&mut self, index: usize) {
        end(&mut self.nodes[index]);
    }

    /// Ends the head, as nobody can prevent.
    pub fn kill_head(&mut self) {
        end(&mut self.head);
    }

    /// Waits until the `index`-th node has ended by itself; returns whether it did well.
    ///
    /// # Panics
    /// When the system says nothing about it.
    pub fn wait_for_node(&mut self, index: usize) -> bool {
        self.nodes[index].wait().expect("a child").success()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for child in self.nodes.iter_mut().chain([&mut self.head]) {
            end(child);
        }
    }
}

fn end(child: &mut Child) {
    // One that has ended already is as good.
    let _ended = child.kill();
    let _status = child.wait();
}

/// Starts a drill and returns the first line that it prints.
fn begin(launcher: &[&str], drill: &str, arguments: &[&str]) -> (Child, String) {
    let line = [launcher, &[drill], arguments].concat();
    let mut child = Command::new(line[0])
        .args(&line[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the drill starts");
    let stdout = child.stdout.take().expect("a pipe");
    let mut lines = BufReader::new(stdout).lines();
    let line = lines.next().expect("a line").expect("UTF-8");
    // What it prints later is read, so that it never waits for a reader.
    std::thread::spawn(move || lines.count());
    (child, line)
}
