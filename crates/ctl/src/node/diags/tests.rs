//! Whole bundles, unpacked again.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use flate2::read::GzDecoder;

use super::*;
use crate::grammar::command::NodeCommand;
use crate::node::NodeDatastore;
use crate::node::tests::{FakeHost, Outcome, outcome_in};

/// A temporary directory with the place for bundles (`tmp`) and for logs (`logs`).
struct Room {
    directory: tempfile::TempDir,
}

impl Room {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        for name in ["tmp", "logs"] {
            std::fs::create_dir(directory.path().join(name)).expect("the directory is ours");
        }
        Self { directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn log(&self, name: &str, content: &[u8]) {
        let path = self.path("logs").join(name);
        std::fs::create_dir_all(path.parent().expect("it is in logs")).expect("the directory is ours");
        std::fs::write(path, content).expect("the directory is ours");
    }

    fn diags(&self, host: &FakeHost) -> Outcome {
        let tmp = self.path("tmp");
        let env = [("TMPDIR", tmp.to_str().expect("the path is text")), ("ETCD_PASSWORD", "swordfish")];
        let command = NodeCommand::Diags { log_dir: "logs".to_owned() };
        outcome_in(&env, self.directory.path(), &command, NodeDatastore::Unsupported, host)
    }

    fn archive(&self) -> PathBuf {
        self.path("tmp/calico0707070707070707/diags-20261125_054411.tar.gz")
    }

    /// The files of the bundle with their content.
    fn unpacked(&self) -> BTreeMap<String, Vec<u8>> {
        let file = File::open(self.archive()).expect("the bundle was written");
        let mut files = BTreeMap::new();
        for entry in tar::Archive::new(GzDecoder::new(file)).entries().expect("it is an archive") {
            let mut entry = entry.expect("the archive is whole");
            if entry.header().entry_type().is_file() {
                let mut content = Vec::new();
                entry.read_to_end(&mut content).expect("the archive is whole");
                files.insert(entry.path().expect("a path").display().to_string(), content);
            }
        }
        files
    }

    fn text(&self, file: &str) -> String {
        let content = self.unpacked().remove(&format!("diagnostics/{file}"));
        String::from_utf8(content.unwrap_or_else(|| panic!("{file} is missing"))).expect("it is text")
    }
}

fn equipped() -> FakeHost {
    FakeHost {
        programs: vec![
            ("date", Ended::Success, "today\n"),
            ("hostname", Ended::Success, "rack1\n"),
            ("ip -4 route", Ended::Success, "default via 10.0.0.1 dev eth0\n"),
            ("iptables-save", Ended::Failed("exit status 1".to_owned()), "no permission, password=x\n"),
            ("journalctl", Ended::TimedOut, "half of it, ETCD_PASSWORD=hunter2\n"),
            ("docker ps", Ended::Success, "calico-node: now\nk8s_POD_calico-node-x: now\n../calico: now\n"),
            ("docker logs calico-node", Ended::Success, "token: abc\nstarted with swordfish\n"),
        ],
        ..FakeHost::new().running(&["calico-felix", "calico-felix-2"])
    }
}

#[test]
fn the_bundle_holds_outputs_and_logs_and_is_ours_alone() {
    let room = Room::new();
    room.log("felix/current", b"all is well\n");
    let host = equipped();
    let outcome = room.diags(&host);
    assert_eq!(outcome.exit, ExitCode::SUCCESS);
    assert!(
        outcome.stdout.starts_with(&format!(
            "Collecting diagnostics\nUsing temp dir: {}\nDumping netstat\n",
            room.path("tmp/calico0707070707070707").display()
        )),
        "{}",
        outcome.stdout
    );
    assert!(
        outcome.stdout.ends_with(&format!("\nDiags saved to {}\n", room.archive().display())),
        "{}",
        outcome.stdout
    );
    let files = room.unpacked();
    let names: Vec<&str> = files.keys().map(|name| name.trim_start_matches("diagnostics/")).collect();
    assert_eq!(
        names,
        [
            "date",
            "hostname",
            "ipset_container",
            "ipsets",
            "ipv4_addr",
            "ipv4_route",
            "ipv4_tables",
            "ipv6_addr",
            "ipv6_route",
            "ipv6_tables",
            "journalctl_calico_node",
            "logs/calico-node.log",
            "logs/container_creation_time",
            "logs/felix/current",
            "netstat",
        ]
    );
    assert_eq!(room.text("ipv4_route"), "default via 10.0.0.1 dev eth0\n");
    assert_eq!(room.text("logs/felix/current"), "all is well\n");
    assert_eq!(room.text("logs/container_creation_time"), "calico-node: now\n../calico: now\n");
    let archive = room.archive().metadata().expect("the bundle was written");
    let folder = room.archive().parent().expect("it is in a folder").metadata().expect("the folder is there");
    assert_eq!((archive.mode() & 0o777, folder.permissions().mode() & 0o777), (0o600, 0o700));
    assert!(!room.path("tmp/calico0707070707070707/diagnostics").exists());
    assert!(host.calls.borrow().contains(&"signal 100".to_owned()));
    assert!(!host.calls.borrow().contains(&"signal 101".to_owned()));
}

#[test]
fn missing_and_failing_programs_print_a_line_and_the_rest_goes_on() {
    let room = Room::new();
    let outcome = room.diags(&equipped());
    for line in [
        "Failed to run command: netstat --all --numeric\nError: exec: \"netstat\": executable file not found in $PATH\n",
        "Failed to run command: iptables-save\nError: no permission, password=***\n",
        "Failed to run command: journalctl -u calico-node.service --no-pager\nError: it takes too long\n",
    ] {
        assert!(outcome.stdout.contains(line), "{line} is not in\n{}", outcome.stdout);
    }
    assert_eq!(room.text("netstat"), "");
    assert_eq!(outcome.exit, ExitCode::SUCCESS);
}

#[test]
fn secrets_are_masked_in_everything() {
    let room = Room::new();
    room.log("felix.log", b"etcdPassword: hunter2\nsaid swordfish \xff\n");
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(b"K8S_API_TOKEN=hunter2\nold line\n").expect("memory takes every write");
    room.log("felix.log.1.gz", &packed.finish().expect("memory takes every write"));
    room.diags(&equipped());
    assert_eq!(room.text("journalctl_calico_node"), "half of it, ETCD_PASSWORD=***\n");
    assert_eq!(room.text("ipv4_tables"), "no permission, password=***\n");
    assert_eq!(room.text("logs/calico-node.log"), "token: ***\nstarted with ***\n");
    assert_eq!(room.text("logs/felix.log"), "etcdPassword: ***\nsaid *** \u{fffd}\n");
    let packed = room.unpacked().remove("diagnostics/logs/felix.log.1.gz").expect("it is packed");
    let mut text = String::new();
    GzDecoder::new(packed.as_slice()).read_to_string(&mut text).expect("it is gzip");
    assert_eq!(text, "K8S_API_TOKEN=***\nold line\n");
}

#[test]
fn links_out_of_the_log_directory_and_binary_files_stay_behind() {
    let room = Room::new();
    room.log("real.log", b"line\n");
    room.log("core", b"\x7fELF\0\0");
    std::fs::write(room.path("shadow"), "root:x").expect("the directory is ours");
    symlink(room.path("shadow"), room.path("logs/stolen.log")).expect("the directory is ours");
    symlink("real.log", room.path("logs/current.log")).expect("the directory is ours");
    let outcome = room.diags(&equipped());
    let files = room.unpacked();
    assert!(!files.keys().any(|name| name.ends_with("stolen.log") || name.ends_with("core")), "{files:?}");
    assert_eq!(room.text("logs/current.log"), "line\n");
    assert!(outcome.stdout.contains("stolen.log: it leads out of the log directory\n"), "{}", outcome.stdout);
    assert!(
        outcome.stdout.contains("core: it is binary, so secrets in it cannot be masked\n"),
        "{}",
        outcome.stdout
    );
}

#[test]
fn a_machine_without_logs_docker_or_felix_still_gets_a_bundle() {
    let room = Room::new();
    std::fs::remove_dir(room.path("logs")).expect("it is empty");
    let outcome = room.diags(&FakeHost::new());
    for line in [
        "Failed to signal felix: it is not running\n",
        "Error copying log files: no such file or directory\n",
        "Could not run docker command: exec: \"docker\": executable file not found in $PATH\n",
    ] {
        assert!(outcome.stdout.contains(line), "{line} is not in\n{}", outcome.stdout);
    }
    assert_eq!(room.unpacked().len(), STEPS.len());
}

#[test]
fn a_folder_that_somebody_prepared_is_not_used() {
    let room = Room::new();
    std::fs::create_dir(room.path("tmp/calico0707070707070707")).expect("the directory is ours");
    let outcome = room.diags(&equipped());
    assert_eq!(
        (outcome.exit, outcome.stdout.as_str()),
        (
            ExitCode::FAILURE,
            "Collecting diagnostics\nError creating temp directory to dump logs: file exists\n"
        )
    );
}
