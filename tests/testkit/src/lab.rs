//! A laboratory of network namespaces: a host `h1` with three workloads, and two machines outside it.
//!
//! ```text
//!   W0 W1 W2 ── cali0 cali1 cali2 ─┐
//!                                  h1 ── eth0 ── X (the default route)
//!                                   └─── eth1 ── Y
//! ```
//!
//! A test first calls [`enclosed`], which runs it again in namespaces of its own: no root is needed, and nothing
//! outlives the test. What the test starts then runs on `h1`. [`Lab::probe`] sends real packets, one new connection for
//! each [`Probe`].

mod enclosed;
mod flow;
mod probe;
mod send;

use std::collections::HashSet;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;

pub use enclosed::{enclosed, enclosed_program};
pub use flow::Flow;
pub use probe::{Kind, ParseProbeError, Probe};

/// The link address of the host's side of every workload, and the gateway that follows from it.
const HOST_MAC: &str = "ee:ee:ee:ee:ee:ee";
const GATEWAY_V6: &str = "fe80::ecee:eeff:feee:eeee";

/// The machines that are no workload: the name, the interface of `h1`, its addresses, the machine's addresses.
const OUTSIDE: [(&str, &str, [&str; 2], [&str; 2]); 2] = [
    ("X", "eth0", ["172.17.0.2/24", "fd17::2/64"], ["172.17.0.9", "fd17::9"]),
    ("Y", "eth1", ["192.168.77.2/24", "fd77::2/64"], ["192.168.77.9", "fd77::9"]),
];

/// The machines; they go when the test's process goes.
#[derive(Debug)]
pub struct Lab {
    workloads: usize,
    /// Who answers already.
    responders: Mutex<HashSet<(String, SocketAddr, Kind)>>,
}

// === impl Lab ===

impl Lab {
    /// Builds `h1` of this process's namespace, X, Y, and as many workloads as asked for.
    ///
    /// Workload N has the addresses 10.65.0.(10+N) and `fd65::(10+N)` (both in decimal digits) and the link address
    /// `02:00:00:00:00:(10+N)`. Routes to workloads, proxy ARP and policy are left to the code under test.
    ///
    /// # Panics
    /// When the kernel or `ip` refuses, or the test is not [`enclosed`].
    #[must_use]
    pub fn new(workloads: usize) -> Self {
        skip_duplicate_detection();
        let mut host = String::from("link set lo up\n");
        for (machine, interface, [v4, v6], _) in OUTSIDE {
            add_machine(machine);
            host.push_str(&format!(
                "link add {interface} type veth peer name eth0 netns {machine}\n\
                 addr add {v4} dev {interface}\naddr add {v6} dev {interface} nodad\nlink set {interface} up\n"
            ));
        }
        ip(&[], &host);
        for (machine, _, [host_v4, host_v6], [v4, v6]) in OUTSIDE {
            let gateway =
                [host_v4, host_v6].map(|net| net.split('/').next().expect("an address stands before /"));
            ip(
                &["-n", machine],
                &format!(
                    "link set lo up\naddr add {v4}/24 dev eth0\naddr add {v6}/64 dev eth0 nodad\nlink set eth0 up\n\
                     route add default via {}\nroute add default via {}\n",
                    gateway[0], gateway[1]
                ),
            );
        }
        ip(&[], "route add default via 172.17.0.9\nroute add default via fd17::9\n");
        set("net.ipv4.ip_forward", "1");
        set("net.ipv6.conf.all.forwarding", "1");
        // Borrowed sources come in by any interface; and a probe is no part of the flow of one before it.
        for name in ["all", "default", "eth0", "eth1"] {
            set(&format!("net.ipv4.conf.{name}.rp_filter"), "0");
            // While a route is being replaced its packets go back where they came from; nobody shall learn from that.
            set(&format!("net.ipv4.conf.{name}.send_redirects"), "0");
        }
        for name in ["udp_timeout", "udp_timeout_stream", "icmp_timeout", "icmpv6_timeout"] {
            set(&format!("net.netfilter.nf_conntrack_{name}"), "1");
        }
        let lab = Self { workloads, responders: Mutex::default() };
        for number in 0..workloads {
            lab.plug(number);
        }
        lab
    }

    /// Connects workload `number` to the host as `cali<number>`.
    fn plug(&self, number: usize) {
        let (machine, host_side) = (format!("W{number}"), format!("cali{number}"));
        add_machine(&machine);
        ip(
            &[],
            &format!(
                "link add {host_side} address {HOST_MAC} type veth peer name eth0 address {} netns {machine}\n",
                mac(number)
            ),
        );
        ip(&[], &format!("link set {host_side} up\n"));
        let [v4, v6] = self.workload_addresses(number);
        ip(
            &["-n", &machine],
            &format!(
                "link set lo up\naddr add {v4}/32 dev eth0\naddr add {v6}/128 dev eth0 nodad\nlink set eth0 up\n\
                 route add 169.254.1.1 dev eth0 scope link\nroute add default via 169.254.1.1 dev eth0\n\
                 route add default via {GATEWAY_V6} dev eth0\n"
            ),
        );
    }

    /// The IPv4 and the IPv6 address of a workload.
    #[must_use]
    pub fn workload_addresses(&self, number: usize) -> [IpAddr; 2] {
        assert!(number < self.workloads, "there is a workload {number}");
        let last = 10 + number;
        [format!("10.65.0.{last}"), format!("fd65::{last}")]
            .map(|text| text.parse().expect("a number makes an address"))
    }

    /// Runs a program on a machine to its end, and returns what it printed.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn run(&self, machine: &str, program: &str, args: &[&str]) -> Output {
        self.command(machine, program).args(args).output().expect("starting a program on a machine")
    }

    /// A command that will run on a machine; `h1` is this process's own.
    #[must_use]
    pub fn command(&self, machine: &str, program: &str) -> Command {
        if machine == "h1" {
            return Command::new(program);
        }
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{machine}")).arg(program);
        command
    }

    /// Sends what the probe says, and returns whether it arrived and was answered. What is expected decides only how
    /// long an answer is waited for.
    ///
    /// # Panics
    /// When a socket cannot be made, which says nothing of the network.
    #[must_use]
    pub fn probe(&self, probe: &Probe, expected: bool) -> bool {
        send::passes(self, probe, expected)
    }

    /// All of them, each as [`Lab::probe`]; at once those that borrow no source, then those that do, in rounds: a machine
    /// with a borrowed address is its owner for itself, and two senders with one address can not be told apart.
    ///
    /// # Panics
    /// As [`Lab::probe`].
    #[must_use]
    pub fn probe_all(&self, probes: &[(Probe, bool)]) -> Vec<bool> {
        let mut rounds: Vec<Vec<usize>> = vec![Vec::new()];
        for (index, (probe, _)) in probes.iter().enumerate() {
            let together = |round: &&mut Vec<usize>| {
                round
                    .iter()
                    .all(|other| probes[*other].0.from != probe.from && probes[*other].0.src != probe.src)
            };
            match probe.src {
                None => rounds[0].push(index),
                Some(_) => match rounds[1..].iter_mut().find(together) {
                    Some(round) => round.push(index),
                    None => rounds.push(vec![index]),
                },
            }
        }
        let mut passed = vec![false; probes.len()];
        for round in rounds {
            let seen: Vec<(usize, bool)> = std::thread::scope(|scope| {
                let probe = |index: usize| {
                    let (probe, expected) = &probes[index];
                    (index, scope.spawn(|| self.probe(probe, *expected)))
                };
                let running: Vec<_> = round.into_iter().map(probe).collect();
                let join = |(index, thread): (usize, std::thread::ScopedJoinHandle<'_, bool>)| {
                    (index, thread.join().expect("a probe does not panic"))
                };
                running.into_iter().map(join).collect()
            });
            for (index, arrived) in seen {
                passed[index] = arrived;
            }
        }
        passed
    }

    /// Lets a machine answer on an IPv4 TCP port that probes reach by another address, after somebody's translation.
    ///
    /// # Panics
    /// When the port is taken.
    pub fn answer(&self, machine: &str, port: u16) {
        self.respond(machine, SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port), Kind::Tcp(port));
    }

    /// Sees to it that the machine answers there.
    fn respond(&self, machine: &str, address: SocketAddr, kind: Kind) {
        let mut responders = self.responders.lock().expect("no responder panics while it starts");
        if responders.insert((machine.to_owned(), address, kind)) {
            send::respond(machine, address, kind);
        }
    }

    /// The address of a machine.
    fn address(&self, machine: &str, v6: bool) -> IpAddr {
        let family = usize::from(v6);
        if let Some(number) = machine.strip_prefix('W') {
            return self.workload_addresses(number.parse().expect("a workload has a number"))[family];
        }
        let text = match machine {
            "h1" => ["172.17.0.2", "fd17::2"][family],
            _ => {
                let found = OUTSIDE.iter().find(|(name, ..)| *name == machine);
                found.unwrap_or_else(|| panic!("there is no machine {machine:?}")).3[family]
            }
        };
        text.parse().expect("the table holds addresses")
    }
}

/// The link address of a workload.
fn mac(number: usize) -> String {
    format!("02:00:00:00:00:{:02}", 10 + number)
}

/// Makes an empty machine.
fn add_machine(name: &str) {
    ip(&[], &format!("netns add {name}\n"));
    std::thread::scope(|scope| {
        let inside = scope.spawn(|| {
            send::enter(name);
            skip_duplicate_detection();
        });
        inside.join().expect("a machine takes sysctls");
    });
}

/// Addresses of interfaces made from now on can be used at once, not after a second.
fn skip_duplicate_detection() {
    set("net.ipv6.conf.default.accept_dad", "0");
}

/// Runs `ip` on several lines of commands.
fn ip(options: &[&str], lines: &str) {
    let mut child = Command::new("ip")
        .args(options)
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starting ip");
    child.stdin.take().expect("it is piped").write_all(lines.as_bytes()).expect("writing to ip");
    let output = child.wait_with_output().expect("waiting for ip");
    assert!(output.status.success(), "ip {options:?}\n{lines}{}", String::from_utf8_lossy(&output.stderr));
}

/// Sets a sysctl of the machine that this thread is on.
fn set(name: &str, value: &str) {
    // A dot inside an interface's name would need a slash; ours have none.
    let path = format!("/proc/sys/{}", name.replace('.', "/"));
    std::fs::write(&path, value).unwrap_or_else(|error| panic!("setting {name}: {error}"));
}
