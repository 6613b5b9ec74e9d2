//! A throw-away host with three workloads: documents applied, real packets sent, what was expected and what was seen.
//!
//! `make demo` runs it with the path of the executable. Needs no root: everything is in namespaces that end with it.

#![expect(clippy::print_stdout, reason = "it is made to be read")]

use std::ffi::OsStr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output, Stdio};
use std::time::{Duration, Instant};

use margay_testkit::lab::{Lab, Probe, enclosed_program};

/// Who is who in examples/shop.yaml.
const WORKLOADS: [(&str, &str); 3] = [("W0", "frontend"), ("W1", "api"), ("W2", "database")];

/// What is tried: from, to, protocol, port.
const ATTEMPTS: [(&str, &str, &str, u16); 10] = [
    ("W0", "W1", "tcp", 8080),
    ("W0", "W1", "tcp", 22),
    ("W0", "W1", "icmp", 0),
    ("W0", "W2", "tcp", 5432),
    ("W1", "W2", "tcp", 5432),
    ("W1", "W2", "tcp", 5433),
    ("W1", "W2", "udp", 5432),
    ("W2", "W1", "tcp", 8080),
    ("W2", "W0", "tcp", 80),
    ("W1", "W0", "icmp", 0),
];

fn main() -> ExitCode {
    let executable = std::env::args_os().nth(1).expect("the path of margay is the argument");
    let executable = std::fs::canonicalize(executable).expect("margay has been built");
    if let Some(status) = enclosed_program() {
        return status;
    }
    let folder = tempfile::TempDir::with_prefix("margay-demo-").expect("a folder for the demo");
    let desk = Desk::new(&executable, folder.path());
    let lab = Lab::new(WORKLOADS.len());
    let mut agent = desk.start_agent();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/shop.yaml");
    println!("\n== A host with three workloads, {}", WORKLOADS.map(|(_, name)| name).join(", "));
    desk.show(&["apply", "-f", "examples/shop.yaml"], &example);
    desk.show(&["status", "--wait=20s"], &example);
    println!("\n== Real packets, and what explain says of them");
    let wrong = play(&desk, &lab);
    desk.show(
        &["explain", "shop/frontend", "shop/database", "--protocol", "tcp", "--port", "5432"],
        &example,
    );
    // The namespaces end with this process; the agent leaves nothing outside them.
    agent.kill().and_then(|()| agent.wait()).expect("the agent ends");
    if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Tries everything, prints the table, returns how many differ.
fn play(desk: &Desk, lab: &Lab) -> usize {
    let probes: Vec<Probe> = ATTEMPTS
        .iter()
        .map(|(from, to, protocol, port)| {
            let kind = if *protocol == "icmp" { "icmp".to_owned() } else { format!("{protocol}:{port}") };
            format!("{from}>{to} {kind}").parse().expect("a probe")
        })
        .collect();
    let expected: Vec<bool> = ATTEMPTS
        .iter()
        .map(|(from, to, protocol, port)| desk.explain(name_of(from), name_of(to), protocol, *port))
        .collect();
    let probes: Vec<(Probe, bool)> = probes.into_iter().zip(expected.iter().copied()).collect();
    let seen = lab.probe_all(&probes);
    println!("{:<10} {:<10} {:<10} {:<9} {:<6}", "FROM", "TO", "WHAT", "EXPECTED", "SEEN");
    let mut wrong = 0;
    for (((from, to, protocol, port), expected), seen) in ATTEMPTS.iter().zip(expected).zip(seen) {
        let what = if *protocol == "icmp" { "icmp".to_owned() } else { format!("{protocol}/{port}") };
        let word = |passes: bool| if passes { "passes" } else { "dropped" };
        let remark = if expected == seen { "" } else { "   <-- differs" };
        println!(
            "{:<10} {:<10} {:<10} {:<9} {:<6}{remark}",
            name_of(from),
            name_of(to),
            what,
            word(expected),
            word(seen)
        );
        wrong += usize::from(expected != seen);
    }
    wrong
}

fn name_of(machine: &str) -> &'static str {
    WORKLOADS.iter().find(|(name, _)| *name == machine).expect("a workload").1
}

/// The executable, its names, and a datastore that goes away.
struct Desk {
    folder: PathBuf,
    database: PathBuf,
}

// === impl Desk ===

impl Desk {
    fn new(executable: &Path, folder: &Path) -> Self {
        for name in ["margay", "calico-felix"] {
            symlink(executable, folder.join(name)).expect("a name for margay");
        }
        Self { folder: folder.to_owned(), database: folder.join("demo.db") }
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.folder.join(name));
        command
            .env_clear()
            .env("DATASTORE_TYPE", "sqlite")
            .env("SQLITE_PATH", &self.database)
            .env("FELIX_DATASTORETYPE", "sqlite")
            .env("FELIX_SQLITEPATH", &self.database)
            .env("FELIX_FELIXHOSTNAME", "h1")
            .env("FELIX_LOGFILEPATH", "none")
            .env("FELIX_LOGSEVERITYSCREEN", "WARNING");
        command
    }

    fn start_agent(&self) -> std::process::Child {
        let mut command = self.command("calico-felix");
        command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("starting the agent")
    }

    fn margay(&self, args: &[&str]) -> Output {
        self.command("margay").args(args).output().expect("starting margay")
    }

    /// Runs a command and shows it; the example's path is shown as a user would type it.
    fn show(&self, args: &[&str], example: &Path) {
        println!("\n$ margay {}", args.join(" "));
        let real: Vec<&OsStr> = args
            .iter()
            .map(|arg| if arg.starts_with("examples/") { example.as_os_str() } else { OsStr::new(*arg) })
            .collect();
        let output = self.command("margay").args(real).output().expect("starting margay");
        print!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    }

    /// True when `explain` says that it is allowed.
    fn explain(&self, from: &str, to: &str, protocol: &str, port: u16) -> bool {
        let (from, to, port) = (format!("shop/{from}"), format!("shop/{to}"), port.to_string());
        let mut args = vec!["explain", &from, &to, "--protocol", protocol];
        if port != "0" {
            args.extend(["--port", &port]);
        }
        let until = Instant::now() + Duration::from_secs(5);
        loop {
            let output = self.margay(&args);
            match output.status.code() {
                Some(0) => return true,
                Some(1) => return false,
                _ if Instant::now() < until => std::thread::sleep(Duration::from_millis(100)),
                _ => panic!("margay {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr)),
            }
        }
    }
}
