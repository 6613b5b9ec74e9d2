//! The person's commands of `margay`, on the embedded store.

use std::collections::BTreeMap;
use std::path::PathBuf;

use margay_testkit::conformance::{Call, Outcome};

use crate::stages::run_program;

/// A folder with a datastore file and documents.
struct Desk {
    folder: tempfile::TempDir,
}

const POLICY: &str = "apiVersion: v1\nkind: policy\nmetadata: {name: web}\nspec:\n  selector: role == 'web'\n  ingress:\n  - {action: allow, protocol: tcp, destination: {ports: [80]}}\n";
const ENDPOINT: &str = "apiVersion: v1\nkind: workloadEndpoint\nmetadata: {node: rack1, orchestrator: k8s, workload: shop.cart-0, name: eth0}\nspec: {interfaceName: cali1, ipNetworks: [10.20.0.5]}\n";

impl Desk {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.folder.path().join(name), content).expect("a file");
    }

    fn run(&self, args: &[&str]) -> (String, String, i32) {
        let Outcome { stdout, stderr, exit } = self.run_with(args, b"");
        (String::from_utf8(stdout).expect("text"), String::from_utf8(stderr).expect("text"), exit)
    }

    fn run_with(&self, args: &[&str], stdin: &[u8]) -> Outcome {
        let database = self.folder.path().join("store.db").to_string_lossy().into_owned();
        run_program(
            &PathBuf::from(env!("CARGO_BIN_EXE_margay")),
            &Call {
                args: args.iter().map(|arg| (*arg).to_owned()).collect(),
                stdin: stdin.to_vec(),
                env: BTreeMap::from([("SQLITE_PATH".to_owned(), database)]),
                cwd: self.folder.path().to_path_buf(),
            },
        )
    }
}

#[test]
fn validate_shows_every_fault_with_its_line_and_a_caret() {
    let desk = Desk::new();
    desk.file("bad.yaml", POLICY.replace("allow", "alow").replace("name: web", "name: a b"));
    let (stdout, stderr, exit) = desk.run(&["validate", "-f", "bad.yaml"]);
    assert_eq!((stdout.as_str(), exit), ("bad.yaml: 2 fault(s)\n", 1));
    let expected = "bad.yaml:3:18: metadata.name: 'a b' is not allowed here: 1 to 128 of a-z A-Z 0-9 _ . - /
  |
3 | metadata: {name: a b}
  |                  ^
bad.yaml:7:14: spec.ingress[0].action: 'alow' is not one of allow, deny, log, pass
  |
7 |   - {action: alow, protocol: tcp, destination: {ports: [80]}}
  |              ^
  hint: did you mean 'allow'?
";
    assert_eq!(stderr, expected);
    desk.file("good.yaml", POLICY);
    assert_eq!(desk.run(&["validate", "-f", "good.yaml"]).0, "good.yaml: 1 resource(s), no faults\n");
}

#[test]
fn diff_and_dry_run_tell_what_apply_would_change() {
    let desk = Desk::new();
    desk.file("p.yaml", POLICY);
    assert_eq!(desk.run(&["apply", "--dry-run", "-f", "p.yaml"]).0, "created  Policy(Name=web)\n");
    assert_eq!(desk.run(&["diff", "-f", "p.yaml"]).2, 1);
    assert_eq!(desk.run(&["apply", "-f", "p.yaml"]).2, 0);
    assert_eq!(desk.run(&["apply", "--dry-run", "-f", "p.yaml"]).0, "same     Policy(Name=web)\n");
    assert_eq!(desk.run(&["diff", "-f", "p.yaml"]), (String::new(), String::new(), 0));
    desk.file("p.yaml", POLICY.replace("[80]", "[80, 443]"));
    let (stdout, _, exit) = desk.run(&["diff", "-f", "p.yaml"]);
    assert_eq!(exit, 1);
    let changed: Vec<&str> = stdout.lines().filter(|line| !line.starts_with("  ")).collect();
    assert_eq!(changed, ["--- Policy(Name=web)", "+++ Policy(Name=web)", "+         - 443"]);
    assert_eq!(desk.run(&["diff", "-f", "missing.yaml"]).2, 2);
    assert_eq!(desk.run(&["apply", "--dry-run", "-f", "missing.yaml"]).2, 1);
}

#[test]
fn everything_moves_between_stores_and_arrives_the_same() {
    let desk = Desk::new();
    desk.file("all.yaml", format!("{POLICY}---\n{ENDPOINT}"));
    assert_eq!(desk.run(&["apply", "-f", "all.yaml"]).2, 0);
    let exported = desk.run_with(&["datastore", "export"], b"");
    assert_eq!(exported.exit, 0);
    let (_, stderr, exit) =
        desk.run(&["datastore", "copy", "--from", "sqlite:store.db", "--to", "sqlite:copy.db"]);
    assert_eq!((stderr.as_str(), exit), ("copied 2 keys: 2 added, 0 replaced, 0 unchanged\n", 0));
    let (_, stderr, exit) =
        desk.run(&["datastore", "copy", "--from", "sqlite:typo.db", "--to", "sqlite:copy.db"]);
    assert!(
        exit == 1 && stderr.contains("typo.db") && !desk.folder.path().join("typo.db").exists(),
        "{stderr}"
    );
    desk.file("export.jsonl", &exported.stdout);
    let (_, stderr, exit) = desk.run(&["datastore", "import", "-f", "export.jsonl"]);
    assert_eq!((stderr.as_str(), exit), ("imported 2 keys: 0 added, 0 replaced, 2 unchanged\n", 0));
    let cut = exported.stdout.len() - 10;
    let torn = desk.run_with(&["datastore", "import", "-f", "-"], &exported.stdout[..cut]);
    assert_eq!(torn.exit, 1, "{}", String::from_utf8_lossy(&torn.stderr));
}

#[test]
fn an_invented_name_is_told() {
    let desk = Desk::new();
    desk.file("e.yaml", ENDPOINT.replace(", name: eth0", ""));
    let (stdout, stderr, exit) = desk.run(&["create", "-f", "e.yaml"]);
    assert_eq!((stdout.as_str(), exit), ("Successfully created 1 'workloadEndpoint' resource(s)\n", 0));
    assert!(
        stderr.starts_with(
            "created WorkloadEndpoint(Node=rack1, Orchestrator=k8s, Workload=shop.cart-0, Name="
        )
    );
}

#[test]
fn nothing_is_written_when_any_document_is_refused() {
    let desk = Desk::new();
    desk.file("mixed.yaml", format!("{POLICY}---\n{}", ENDPOINT.replace("10.20.0.5", "10.20.0.0/16")));
    let (stdout, stderr, exit) = desk.run(&["apply", "-f", "mixed.yaml"]);
    assert_eq!(exit, 1);
    assert!(stdout.contains("IP network contains multiple addresses"), "{stdout}");
    assert!(stderr.contains("mixed.yaml:12:"), "{stderr}");
    assert_eq!(desk.run(&["get", "policy", "-o", "yaml"]).0, "[]\n");
}

#[test]
fn odd_inputs_are_clear_errors() {
    let desk = Desk::new();
    desk.file("nul.yaml", b"kind: pol\0icy\n");
    desk.file("latin1.yaml", b"kind: p\xe9\n");
    desk.file("deep.yaml", "[".repeat(100_000));
    desk.file("bomb.yaml", "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\ng: &g [*f,*f,*f,*f,*f,*f,*f,*f,*f]\nh: &h [*g,*g,*g,*g,*g,*g,*g,*g,*g]\ni: [*h,*h,*h,*h,*h,*h,*h,*h,*h]\n");
    for name in ["nul.yaml", "latin1.yaml", "deep.yaml", "bomb.yaml", "."] {
        let (stdout, stderr, exit) = desk.run(&["apply", "-f", name]);
        assert_eq!(exit, 1, "{name}: {stdout}{stderr}");
        assert!(stdout.starts_with("Failed to execute command: "), "{name}: {stdout}");
    }
    desk.file("bom.yaml", format!("\u{feff}{POLICY}").replace('\n', "\r\n"));
    assert_eq!(desk.run(&["apply", "-f", "bom.yaml"]).0, "Successfully applied 1 'policy' resource(s)\n");
}

#[test]
fn faults_of_arguments_get_the_nearest_word() {
    let desk = Desk::new();
    for (args, hint) in [
        (["get", "polcy"].as_slice(), "did you mean 'policy'?"),
        (&["get", "policy", "-o", "jsn"], "did you mean 'json'?"),
        (&["aply", "-f", "x"], "did you mean"),
        (&["explain-field", "policy.spec.selektor"], "did you mean 'selector'?"),
    ] {
        let (_, stderr, exit) = desk.run(args);
        assert_eq!(exit, 1);
        assert!(stderr.contains(hint), "{args:?}: {stderr}");
    }
}

#[test]
fn live_names_complete_the_last_word() {
    let desk = Desk::new();
    desk.file("all.yaml", format!("{POLICY}---\n{ENDPOINT}"));
    assert_eq!(desk.run(&["apply", "-f", "all.yaml"]).2, 0);
    assert_eq!(desk.run(&["complete", "--", "get", "policy", ""]).0, "web\n");
    assert_eq!(desk.run(&["complete", "--", "get", "wep", "--node", ""]).0, "rack1\n");
    assert_eq!(desk.run(&["complete", "--", "get", "gadget", ""]).0, "");
}

#[test]
fn a_template_that_fails_says_so_and_fails() {
    let desk = Desk::new();
    let (stdout, stderr, exit) = desk.run(&["get", "policy", "-o", "go-template={{.Nope"]);
    assert_eq!((stdout.as_str(), exit), ("", 1));
    assert!(stderr.starts_with("template: get:1: "), "{stderr}");
    let (stdout, stderr, exit) = desk.run(&["get", "policy", "-o", "custom-columns=NAME,AGE"]);
    assert_eq!((stdout.as_str(), exit), ("", 1));
    assert_eq!(stderr, "Unknown heading AGE, valid values are: NAME, ORDER, SELECTOR\n");
}

#[test]
fn watch_prints_what_is_there_and_every_change() {
    use std::io::{BufRead as _, BufReader};
    let desk = Desk::new();
    desk.file("p.yaml", POLICY);
    assert_eq!(desk.run(&["apply", "-f", "p.yaml"]).2, 0);
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_margay"))
        .args(["get", "policy", "-w", "-o", "json"])
        .env_clear()
        .env("SQLITE_PATH", desk.folder.path().join("store.db"))
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("the executable starts");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut next = || lines.next().expect("a line").expect("text");
    assert!(next().starts_with(r#"{"event":"added","resource":{"kind":"policy""#));
    desk.file("p.yaml", POLICY.replace("[80]", "[81]"));
    assert_eq!(desk.run(&["apply", "-f", "p.yaml"]).2, 0);
    let changed = next();
    assert!(changed.starts_with(r#"{"event":"changed""#) && changed.contains("[81]"), "{changed}");
    assert_eq!(desk.run(&["delete", "-f", "p.yaml"]).2, 0);
    assert!(next().starts_with(r#"{"event":"deleted""#));
    child.kill().expect("the watch still runs");
    child.wait().expect("it ends");
}

#[test]
fn a_closed_stdout_is_no_fault() {
    let desk = Desk::new();
    let many: String =
        (0..3000).map(|i| format!("---\n{}", POLICY.replace("web}", &format!("web{i}}}")))).collect();
    desk.file("many.yaml", many);
    assert_eq!(desk.run(&["apply", "-f", "many.yaml"]).2, 0);
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_margay"))
        .args(["get", "policy", "-o", "yaml"])
        .env_clear()
        .env("SQLITE_PATH", desk.folder.path().join("store.db"))
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("the executable starts");
    drop(child.stdout.take());
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

#[test]
fn settings_are_logged_without_their_secrets() {
    let desk = Desk::new();
    let outcome = run_program(
        &PathBuf::from(env!("CARGO_BIN_EXE_margay")),
        &Call {
            args: ["--log-level=debug", "get", "policy"].map(str::to_owned).to_vec(),
            stdin: Vec::new(),
            env: BTreeMap::from(
                [
                    ("DATASTORE_TYPE", "etcdv2"),
                    ("ETCD_ENDPOINTS", "http://someone:canary-password-7f3a@127.0.0.1:1"),
                    ("ETCD_USERNAME", "someone"),
                    ("ETCD_PASSWORD", "canary-password-7f3a"),
                ]
                .map(|(name, value)| (name.to_owned(), value.to_owned())),
            ),
            cwd: desk.folder.path().to_path_buf(),
        },
    );
    // The player's own look at the output finds the password; here it is only that something is logged.
    let stderr = String::from_utf8(outcome.stderr).expect("text");
    assert!(stderr.contains("level=info msg=\"loaded connection settings\""), "{stderr}");
}

#[test]
fn the_plugins_are_installed_and_the_host_is_looked_at() {
    let desk = Desk::new();
    let (stdout, stderr, exit) = desk.run(&["cni", "install", "--bin-dir=bin", "--conf-dir=conf"]);
    assert_eq!((stderr.as_str(), exit), ("", 0), "{stdout}");
    for path in ["bin/calico", "bin/calico-ipam", "conf/10-calico.conflist"] {
        let file = desk.folder.path().join(path);
        assert!(file.is_file() && stdout.contains(path), "{path}: {stdout}");
    }
    // What stands in the way differs from host to host.
    let (stdout, stderr, exit) = desk.run(&["doctor", "-o", "json"]);
    assert_eq!(stderr, "", "{stdout}");
    let seen: serde_json::Value = serde_json::from_str(&stdout).expect("JSON");
    let findings = seen["findings"].as_array().expect("findings");
    for what in ["kernel: nftables", "plugin calico", "CNI configuration", "datastore"] {
        assert!(findings.iter().any(|one| one["what"] == what), "{what}: {stdout}");
    }
    assert!(findings.iter().all(|one| (one["grade"] == "ok") == (one["mend"] == "")), "{stdout}");
    assert_eq!(exit, i32::from(findings.iter().any(|one| one["grade"] == "error")), "{stdout}");
}
