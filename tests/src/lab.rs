//! Network namespaces on a bridge: machines of their own as far as their network goes.
//!
//! Each machine has an address on one net, `10.77.0.x`. One of them may lie behind a [`Relay`]: then its only
//! way to the others is a tunnel (VXLAN, Ethernet in UDP) whose datagrams pass through the relay. Dropping the
//! lab removes everything; what a killed test left is removed by the next one.

use std::{
    fs::File,
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    os::fd::AsFd as _,
    process::Command,
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::{
    is_alive,
    relay::{Relay, Side},
};

/// Machines of one network; dropping it takes them down.
pub struct Lab {
    prefix: String,
    machines: u8,
}

/// A machine of a lab.
#[derive(Clone, Debug)]
pub struct Machine {
    namespace: String,
    address: Ipv4Addr,
}

impl Lab {
    /// Builds a network of `machines`, numbered from 1; `None`, with a line that says why, when this process may not.
    ///
    /// # Panics
    /// When the system refuses a step that only needs the rights that were seen.
    pub fn build(machines: u8) -> Option<Lab> {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: only root may make network namespaces");
            return None;
        }
        for tool in [["ip", "-V"], ["nft", "-v"]] {
            if Command::new(tool[0]).arg(tool[1]).output().is_err() {
                println!(
                    "skipped: there is no `{}` (Debian: iproute2, nftables)",
                    tool[0]
                );
                return None;
            }
        }
        remove_leftovers();
        let lab = Lab {
            prefix: format!("{PREFIX}{}-", std::process::id()),
            machines,
        };
        let hub = lab.namespace("hub");
        if let Err(error) = try_ip(&["netns", "add", &hub]) {
            println!("skipped: no network namespaces here: {error}");
            return None;
        }
        ip_in(&hub, &["link", "add", "br0", "type", "bridge"]);
        ip_in(
            &hub,
            &["addr", "add", &format!("{}/24", on_net(HUB)), "dev", "br0"],
        );
        ip_in(&hub, &["link", "set", "br0", "up"]);
        for number in 1..=machines {
            lab.attach(&number.to_string(), on_net(number));
        }
        Some(lab)
    }

    /// Returns a machine by its number.
    ///
    /// # Panics
    /// When there is none.
    pub fn machine(&self, number: u8) -> Machine {
        assert!((1..=self.machines).contains(&number), "no machine {number}");
        Machine {
            namespace: self.namespace(&number.to_string()),
            address: on_net(number),
        }
    }

    /// Adds a machine whose way to all others leads through a relay.
    ///
    /// # Panics
    /// When the system refuses a step.
    pub fn behind_relay(&self) -> (Machine, Relay) {
        let (hub, far, between) = ("hub", "far", "between");
        self.attach(far, on_tunnel_net(1));
        self.attach(between, on_tunnel_net(2));
        let namespaces = [hub, far, between].map(|name| self.namespace(name));
        let [hub, far, between] = &namespaces;
        let gateway = on_tunnel_net(HUB);
        ip_in(
            hub,
            &["addr", "add", &format!("{gateway}/24"), "dev", "br0"],
        );
        let relay = on_tunnel_net(2).to_string();
        for (namespace, port, own) in [(far, FAR_PORT, FAR), (hub, HUB_PORT, FAR_GATEWAY)] {
            let port = port.to_string();
            let tunnel = [
                "vxlan",
                "id",
                "7",
                "remote",
                &relay,
                "dstport",
                &port,
                "noudpcsum",
            ];
            ip_in(
                namespace,
                &[&["link", "add", "vx0", "type"][..], &tunnel].concat(),
            );
            ip_in(
                namespace,
                &["addr", "add", &format!("{own}/24"), "dev", "vx0"],
            );
            ip_in(namespace, &["link", "set", "vx0", "up"]);
        }
        ip_in(
            far,
            &[
                "route",
                "add",
                "10.77.0.0/24",
                "via",
                &FAR_GATEWAY.to_string(),
            ],
        );
        inside(hub, || std::fs::write("/proc/sys/net/ipv4/ip_forward", "1"))
            .expect("a namespace of its own may forward");
        for number in 1..=self.machines {
            let namespace = self.namespace(&number.to_string());
            let hub = on_net(HUB).to_string();
            ip_in(&namespace, &["route", "add", "10.78.0.0/24", "via", &hub]);
        }
        let side = |port, machine: Ipv4Addr| {
            let address = SocketAddr::from((on_tunnel_net(2), port));
            let socket = inside(between, || UdpSocket::bind(address)).expect("the port is free");
            let other = SocketAddr::from((machine, port));
            Side { socket, other }
        };
        let relay = Relay::start(side(FAR_PORT, on_tunnel_net(1)), side(HUB_PORT, gateway));
        let machine = Machine {
            namespace: far.clone(),
            address: FAR,
        };
        (machine, relay)
    }

    fn namespace(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Makes a namespace and plugs it into the bridge.
    fn attach(&self, name: &str, address: Ipv4Addr) {
        let (namespace, hub) = (self.namespace(name), self.namespace("hub"));
        ip(&["netns", "add", &namespace]);
        let port = format!("to-{name}");
        let peer = ["peer", "name", "eth0", "netns", &namespace];
        ip_in(
            &hub,
            &[&["link", "add", &port, "type", "veth"][..], &peer].concat(),
        );
        ip_in(&hub, &["link", "set", &port, "master", "br0", "up"]);
        ip_in(
            &namespace,
            &["addr", "add", &format!("{address}/24"), "dev", "eth0"],
        );
        ip_in(&namespace, &["link", "set", "eth0", "up"]);
        ip_in(&namespace, &["link", "set", "lo", "up"]);
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for namespace in namespaces() {
            if namespace.starts_with(&self.prefix)
                && let Err(error) = try_ip(&["netns", "del", &namespace])
            {
                eprintln!("{namespace} was left: {error}");
            }
        }
    }
}

impl Machine {
    /// Returns its address.
    pub fn address(&self) -> IpAddr {
        self.address.into()
    }

    /// Returns the command line that runs what follows on this machine.
    pub fn launcher(&self) -> [&str; 4] {
        ["ip", "netns", "exec", &self.namespace]
    }

    /// Moves this thread, and those that it starts from here on, onto the machine.
    ///
    /// # Panics
    /// When the lab is gone.
    pub fn enter(&self) {
        enter(&self.namespace).expect("the lab is there");
    }

    /// Cuts it off: nothing leaves it and nothing reaches it.
    ///
    /// # Panics
    /// When the system refuses it.
    pub fn cut_off(&self) {
        let rules = "table inet cut {
            chain in { type filter hook input priority 0; iifname != \"lo\" drop; }
            chain out { type filter hook output priority 0; oifname != \"lo\" drop; }
        }";
        run(&self.launcher(), &["nft", rules]).expect("a namespace of its own has a filter");
    }

    /// Connects it again.
    ///
    /// # Panics
    /// When it was not cut off.
    pub fn heal(&self) {
        run(&self.launcher(), &["nft", "delete table inet cut"]).expect("it was cut off");
    }
}

/// Runs `f` on a thread in the namespace.
fn inside<T: Send>(
    namespace: &str,
    f: impl FnOnce() -> std::io::Result<T> + Send,
) -> std::io::Result<T> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            enter(namespace)?;
            f()
        });
        thread.join().expect("no panic")
    })
}

fn enter(namespace: &str) -> std::io::Result<()> {
    let file = File::open(format!("/var/run/netns/{namespace}"))?;
    let network = Some(LinkNameSpaceType::Network);
    Ok(move_into_link_name_space(file.as_fd(), network)?)
}

fn namespaces() -> Vec<String> {
    let listed = std::fs::read_dir("/var/run/netns").into_iter().flatten();
    listed
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect()
}

/// Removes the namespaces of tests that were killed.
fn remove_leftovers() {
    for namespace in namespaces() {
        let owner = namespace
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split_once('-')?.0.parse().ok());
        if owner.is_some_and(|owner| !is_alive(owner)) {
            // Another test may be faster.
            let _gone = try_ip(&["netns", "del", &namespace]);
        }
    }
}

fn ip(arguments: &[&str]) {
    try_ip(arguments).unwrap_or_else(|error| panic!("ip {}: {error}", arguments.join(" ")));
}

fn ip_in(namespace: &str, arguments: &[&str]) {
    ip(&[&["-n", namespace], arguments].concat());
}

fn try_ip(arguments: &[&str]) -> Result<(), String> {
    run(&["ip"], arguments)
}

fn run(launcher: &[&str], arguments: &[&str]) -> Result<(), String> {
    let (program, first) = launcher.split_first().expect("a program");
    let output = Command::new(program)
        .args(first)
        .args(arguments)
        .output()
        .map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
}

fn on_net(host: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, host)
}

fn on_tunnel_net(host: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 79, 0, host)
}

const PREFIX: &str = "raytest-";
/// The bridge's own host number on each net.
const HUB: u8 = 254;
/// The machine behind the relay, inside the tunnel.
const FAR: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 1);
const FAR_GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 254);
const FAR_PORT: u16 = 5077;
const HUB_PORT: u16 = 6077;
