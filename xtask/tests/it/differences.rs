//! Differences from upstream that only show when the whole program is run, and that no recorded case holds.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Cursor;
use std::path::PathBuf;

use margay_ctl::{ExitCode, Invocation, Program};

/// A folder with an embedded datastore.
struct Desk {
    folder: PathBuf,
}

impl Desk {
    fn new(test: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("margay-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        Self { folder }
    }

    /// Runs `calicoctl` with `stdin`; returns what it printed on stdout when all went well.
    fn calicoctl(&self, args: &[&str], stdin: &str) -> String {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let database = self.folder.join("store.db").into_os_string();
        let exit = margay_ctl::run(
            &mut Invocation {
                args: args.iter().map(Into::into).collect(),
                env: BTreeMap::from([
                    ("DATASTORE_TYPE".to_owned(), OsString::from("sqlite")),
                    ("SQLITE_PATH".to_owned(), database),
                ]),
                cwd: self.folder.clone(),
                stdin: &mut Cursor::new(stdin.as_bytes().to_vec()),
                stdout: &mut stdout,
                stderr: &mut stderr,
                stderr_is_terminal: false,
                stdout_is_terminal: false,
                now: || std::time::UNIX_EPOCH,
                random: |bytes| bytes.fill(7),
            },
            Program::Calicoctl,
            &|_, _| ExitCode::FAILURE,
        );
        let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
        assert_eq!(exit, ExitCode::SUCCESS, "{args:?}: {stdout}{stderr}");
        stdout.into_owned()
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        // What cannot be removed is left to the system's cleaner of temporary folders.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn the_ipv6_gateway_column_shows_the_ipv6_gateway() {
    let desk = Desk::new("gateways");
    let endpoint = "apiVersion: v1\nkind: workloadEndpoint\n\
                    metadata: {name: e, workload: w, orchestrator: o, node: n}\n\
                    spec: {interfaceName: i, ipv4Gateway: 10.0.0.1, ipv6Gateway: 'fd00::1'}\n";
    desk.calicoctl(&["create", "-f", "-"], endpoint);
    assert_eq!(
        desk.calicoctl(&["get", "wep", "-o", "custom-columns=IPV4GATEWAY,IPV6GATEWAY"], ""),
        "IPV4GATEWAY   IPV6GATEWAY   \n10.0.0.1      fd00::1       \n\n"
    );
}

#[test]
fn networks_of_source_and_destination_are_both_masked() {
    let desk = Desk::new("networks");
    let policy = "apiVersion: v1\nkind: policy\nmetadata: {name: p}\nspec:\n  ingress:\n  - action: allow\n\
                  \x20   source: {nets: [10.1.2.3/8]}\n    destination: {notNets: [10.9.8.7/16]}\n";
    desk.calicoctl(&["create", "-f", "-"], policy);
    let template = "go-template={{range .}}{{range .Items}}{{range .Spec.IngressRules}}\
                    {{.Source.Nets}} {{.Destination.NotNets}}{{end}}{{end}}{{end}}";
    assert_eq!(desk.calicoctl(&["get", "policy", "-o", template], ""), "[10.0.0.0/8] [10.9.0.0/16]");
}

#[test]
fn structs_are_printed_even_when_empty() {
    let desk = Desk::new("structs");
    let policy = "apiVersion: v1\nkind: policy\nmetadata: {name: p}\nspec: {types: [egress], egress: [{action: deny}]}\n";
    desk.calicoctl(&["create", "-f", "-"], policy);
    assert_eq!(
        desk.calicoctl(&["get", "policy", "-o", "yaml"], ""),
        "- apiVersion: v1\n  kind: policy\n  metadata:\n    name: p\n  spec:\n    egress:\n    - action: deny\n\
         \x20     destination: {}\n      source: {}\n    selector: \"\"\n    types:\n    - egress\n"
    );
}

#[test]
fn global_peers_print_an_empty_node() {
    let desk = Desk::new("peers");
    let peer =
        "apiVersion: v1\nkind: bgpPeer\nmetadata: {scope: global, peerIP: 10.0.0.1}\nspec: {asNumber: 1}\n";
    desk.calicoctl(&["create", "-f", "-"], peer);
    assert_eq!(
        desk.calicoctl(
            &["get", "bgpPeer", "-o", "go-template={{range .}}{{range .Items}}{{.}}{{end}}{{end}}"],
            ""
        ),
        "BGPPeer(PeerIP=10.0.0.1, Scope=global, Node=)"
    );
}

#[test]
fn only_the_first_document_of_a_settings_file_counts() {
    let desk = Desk::new("settings");
    let good = format!(
        "apiVersion: v1\nkind: calicoApiConfig\nspec: {{datastoreType: sqlite, sqlitePath: {}}}\n",
        desk.folder.join("other.db").display()
    );
    std::fs::write(desk.folder.join("settings.yaml"), good + "---\nkind: nonsense\n").expect("a file");
    desk.calicoctl(&["get", "policy", "-c", "settings.yaml"], "");
    assert!(desk.folder.join("other.db").exists(), "the first document names the datastore");
    assert!(!desk.folder.join("store.db").exists(), "the environment does not count");
}
