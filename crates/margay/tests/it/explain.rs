//! `margay explain` and `margay plan -f`: questions to documents and to a datastore.

use std::collections::BTreeMap;
use std::path::PathBuf;

use margay_store::kv::{Kv as _, Precondition};
use margay_testkit::conformance::{Call, Outcome};

use crate::stages::run_program;

/// A folder with documents and a datastore file.
struct Desk {
    folder: tempfile::TempDir,
}

const SHOP: &str = "\
apiVersion: v1
kind: profile
metadata: {name: shop, tags: [shop]}
spec:
  ingress:
  - {action: allow, source: {tag: shop}}
  egress:
  - {action: allow}
---
apiVersion: v1
kind: workloadEndpoint
metadata: {node: rack1, orchestrator: k8s, workload: shop.cart-0, name: eth0, labels: {role: cart}}
spec: {interfaceName: cali1, ipNetworks: [10.20.0.5, 'fd20::5'], profiles: [shop]}
---
apiVersion: v1
kind: workloadEndpoint
metadata: {node: rack1, orchestrator: k8s, workload: shop.db-0, name: eth0, labels: {role: db}}
spec: {interfaceName: cali2, ipNetworks: [10.20.0.6], profiles: [shop]}
---
apiVersion: v1
kind: workloadEndpoint
metadata: {node: rack2, orchestrator: k8s, workload: shop.web-0, name: eth0, labels: {role: web}}
spec: {interfaceName: cali1, ipNetworks: [10.20.1.5], profiles: [shop]}
---
apiVersion: v1
kind: hostEndpoint
metadata: {node: rack1, name: front, labels: {role: host}}
spec: {interfaceName: eth0, expectedIPs: [192.0.2.1]}
";

const POLICY: &str = "\
- apiVersion: v1
  kind: policy
  metadata: {name: db}
  spec:
    selector: role == 'db'
    ingress:
    - action: allow
      protocol: tcp
      source: {selector: role == 'cart'}
      destination: {ports: [5432]}
";

impl Desk {
    fn new() -> Self {
        let desk = Self { folder: tempfile::tempdir().expect("a folder") };
        desk.file("shop.yaml", SHOP);
        desk.file("db.yaml", POLICY);
        desk
    }

    fn file(&self, name: &str, content: &str) {
        std::fs::write(self.folder.path().join(name), content).expect("a file");
    }

    fn database(&self) -> PathBuf {
        self.folder.path().join("store.db")
    }

    fn run(&self, line: &str) -> (String, String, i32) {
        let Outcome { stdout, stderr, exit } = run_program(
            &PathBuf::from(env!("CARGO_BIN_EXE_margay")),
            &Call {
                args: line.split(' ').map(str::to_owned).collect(),
                stdin: Vec::new(),
                env: BTreeMap::from([(
                    "SQLITE_PATH".to_owned(),
                    self.database().to_string_lossy().into_owned(),
                )]),
                cwd: self.folder.path().to_path_buf(),
            },
        );
        (String::from_utf8(stdout).expect("text"), String::from_utf8(stderr).expect("text"), exit)
    }

    /// The exit status of a question to both files.
    fn ask(&self, question: &str) -> i32 {
        let (stdout, stderr, exit) = self.run(&format!("explain {question} -f shop.yaml -f db.yaml"));
        assert!(stderr.is_empty() && !stdout.is_empty(), "{question}: {stderr}{stdout}");
        exit
    }

    /// Puts a value past the API, as another writer would.
    fn put(&self, key: &str, value: &str) {
        let kv =
            margay_store_sqlite::SqliteKv::open(&self.database(), margay_store_sqlite::Options::default())
                .expect("the datastore");
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime")
            .block_on(kv.put(key, value, Precondition::None, None))
            .expect("a value");
    }
}

#[test]
fn the_deciding_rules_are_named_with_their_places() {
    let desk = Desk::new();
    let answer = desk.run("explain shop.cart-0 shop.db-0 --protocol tcp --port 5432 -f shop.yaml -f db.yaml");
    let expected = "\
allow: rack1/k8s/shop.cart-0/eth0 (10.20.0.5) -> rack1/k8s/shop.db-0/eth0 (10.20.0.6), tcp port 5432

egress of rack1/k8s/shop.cart-0/eth0:
  profile shop, egress[0]: allow (shop.yaml:8)

ingress of rack1/k8s/shop.db-0/eth0:
  policy db, ingress[0]: allow (db.yaml:7)
";
    assert_eq!(answer, (expected.to_owned(), String::new(), 0));
    let answer = desk.run("explain web-0 db-0 --port 5432 -f shop.yaml -f db.yaml");
    let expected = "\
deny: rack2/k8s/shop.web-0/eth0 (10.20.1.5) -> rack1/k8s/shop.db-0/eth0 (10.20.0.6), tcp port 5432

egress of rack2/k8s/shop.web-0/eth0:
  profile shop, egress[0]: allow (shop.yaml:8)

ingress of rack1/k8s/shop.db-0/eth0:
  policy db: no rule decides; not [0] source.selector
  end of tier: deny
";
    assert_eq!(answer, (expected.to_owned(), String::new(), 1));
}

#[test]
fn json_names_every_step() {
    let desk = Desk::new();
    let (stdout, stderr, exit) =
        desk.run("explain 10.20.0.5 rack1/k8s/shop.db-0/eth0 --port 80 -f shop.yaml -f db.yaml -o json");
    let json: serde_json::Value = serde_json::from_str(&stdout).expect("JSON");
    let expected = serde_json::json!({
        "verdict": "deny",
        "from": "rack1/k8s/shop.cart-0/eth0",
        "to": "rack1/k8s/shop.db-0/eth0",
        "source": "10.20.0.5",
        "destination": "10.20.0.6",
        "protocol": "tcp",
        "port": 80,
        "steps": [
            {
                "host": "rack1", "hook": "forward", "endpoint": "rack1/k8s/shop.cart-0/eth0",
                "direction": "egress", "profile": "shop", "rule": 0, "outcome": "allow",
                "position": "shop.yaml:8",
            },
            {
                "host": "rack1", "hook": "forward", "endpoint": "rack1/k8s/shop.db-0/eth0",
                "direction": "ingress", "policy": "db", "rule": null, "outcome": "none",
                "notMatched": [{"rule": 0, "criterion": "destination.ports"}],
            },
            {
                "host": "rack1", "hook": "forward", "endpoint": "rack1/k8s/shop.db-0/eth0",
                "direction": "ingress", "check": "end of tier", "rule": null, "outcome": "deny",
            },
        ],
    });
    assert_eq!((json, stderr.as_str(), exit), (expected, "", 1));
}

#[test]
fn every_kind_of_end_can_be_asked_about() {
    let desk = Desk::new();
    for (question, exit) in [
        ("cart web", 0),
        ("cart db --protocol udp --port 5432", 1),
        ("cart db --protocol icmp", 1),
        ("cart web --protocol icmp", 0),
        ("cart 198.51.100.1", 0),
        ("198.51.100.1 cart", 1),
        ("cart 2001:db8::1 --protocol icmpv6", 0),
        ("front db --port 80", 0),
        ("cart front --port 22", 1),
        ("198.51.100.1 front --port 22", 0),
        ("198.51.100.1 front --port 23", 1),
        ("front 198.51.100.1 --protocol udp --port 53", 0),
        ("192.0.2.1 198.51.100.1 --port 80", 1),
        ("front front", 0),
        ("web cart --protocol 132", 0),
    ] {
        assert_eq!(desk.ask(question), exit, "{question}");
    }
}

#[test]
fn without_a_port_the_answer_is_about_every_port() {
    let desk = Desk::new();
    let head = |line: &str| {
        let (stdout, _, exit) = desk.run(&format!("explain {line} -f shop.yaml -f db.yaml"));
        (
            stdout.lines().next().unwrap_or_default().rsplit(", tcp").next().unwrap_or_default().to_owned(),
            exit,
        )
    };
    assert_eq!(head("cart db"), (", every port but 5432".to_owned(), 1));
    assert_eq!(head("web db"), (", every port".to_owned(), 1));
    assert_eq!(head("cart web"), (", every port".to_owned(), 0));
    assert_eq!(head("front 198.51.100.1"), (", every port but 2379:2380, 4001, 7001".to_owned(), 1));
}

#[test]
fn a_question_that_cannot_be_answered_leaves_stdout_empty() {
    let desk = Desk::new();
    desk.file("bad.yaml", &POLICY.replace("allow", "alow"));
    for (line, told) in [
        ("eth0 db -f shop.yaml", "'eth0' is the name of 3 endpoints:\n  rack1/k8s/shop.cart-0/eth0\n"),
        ("cart dbb-0 -f shop.yaml", "no endpoint is called 'dbb-0'"),
        ("cart db --port 0 -f shop.yaml", "'0' is not a port"),
        ("cart db --port 80 --protocol icmp -f shop.yaml", "icmp has no ports"),
        ("cart db --protocol tpc -f shop.yaml", "'tpc' is not a protocol"),
        ("db 2001:db8::1 -f shop.yaml", "no addresses of one IP version"),
        ("198.51.100.1 198.51.100.2 -f shop.yaml", "neither"),
        ("cart db -f missing.yaml", "open missing.yaml: no such file"),
        ("cart db -f bad.yaml", "bad.yaml:7:15: [0].spec.ingress[0].action"),
        ("cart db -o yaml -f shop.yaml", "yaml"),
        ("cart", "<TO> is missing"),
    ] {
        let (stdout, stderr, exit) = desk.run(&format!("explain {line}"));
        assert_eq!((stdout.as_str(), exit), ("", 2), "{line}: {stderr}");
        assert!(stderr.contains(told), "{line}: {stderr}");
    }
}

#[test]
fn the_datastore_is_asked_with_the_parameters_of_its_agents() {
    let desk = Desk::new();
    assert_eq!(desk.run("apply -f shop.yaml").2, 0);
    assert_eq!(desk.run("apply -f db.yaml").2, 0);
    assert_eq!(desk.run("explain cart db --port 5432").2, 0);
    assert_eq!(desk.run("explain cart db --port 80").2, 1);
    assert_eq!(desk.run("explain cart front --port 80").2, 1);
    desk.put("/calico/v1/config/DefaultEndpointToHostAction", "ACCEPT");
    assert_eq!(desk.run("explain cart front --port 80").2, 0);
    desk.put("/calico/v1/host/rack1/config/DefaultEndpointToHostAction", "DROP");
    assert_eq!(desk.run("explain cart front --port 80").2, 1);
    assert_eq!(
        desk.run("complete -- explain ").0,
        "rack1/front\nrack1/k8s/shop.cart-0/eth0\nrack1/k8s/shop.db-0/eth0\nrack2/k8s/shop.web-0/eth0\n"
    );
}

#[test]
fn broken_records_are_told_and_deny() {
    let desk = Desk::new();
    assert_eq!(desk.run("apply -f shop.yaml").2, 0);
    assert_eq!(desk.run("explain cart web --port 80").2, 0);
    let broken = r#"{"selector":"role == 'web'","inbound_rules":[{"protocol":"tcp","dst_ports":["9:1"]}],"types":["ingress"]}"#;
    desk.put("/calico/v1/policy/tier/default/policy/broken", broken);
    let (stdout, stderr, exit) = desk.run("explain cart web --port 80");
    assert!(stdout.contains("policy broken, ingress[0]: deny"), "{stdout}");
    assert!(stderr.starts_with("warning: /calico/v1/policy/tier/default/policy/broken: "), "{stderr}");
    assert_eq!(exit, 1);
}

#[test]
fn a_plan_tells_which_flows_change_and_by_which_rules() {
    let desk = Desk::new();
    assert_eq!(desk.run("apply -f shop.yaml").2, 0);
    let (stdout, stderr, exit) = desk.run("plan -f db.yaml");
    let expected = "\
rack1/k8s/shop.cart-0/eth0 -> rack1/k8s/shop.db-0/eth0, icmp: allow -> deny, and 1 more pair by the same rules
  - profile shop, egress[0]: allow
  - profile shop, ingress[0]: allow
  + end of tier: deny
";
    assert!(stdout.contains(expected), "{stdout}");
    // What stays allowed is no change, nor is what never was.
    assert!(!stdout.contains("shop.cart-0/eth0 -> rack1/k8s/shop.db-0/eth0, tcp port 5432"), "{stdout}");
    assert!(
        stdout.contains("shop.web-0/eth0 -> rack1/k8s/shop.db-0/eth0, tcp port 5432: allow -> deny"),
        "{stdout}"
    );
    assert!(!stdout.contains("outside -> "), "{stdout}");
    assert_eq!((stderr.as_str(), exit), ("", 1));

    assert_eq!(desk.run("get policy -o yaml").0, "[]\n", "a plan writes nothing");
    assert_eq!(desk.run("apply -f db.yaml").2, 0);
    assert_eq!(desk.run("plan -f db.yaml"), (String::new(), String::new(), 0));

    desk.file("db.yaml", &POLICY.replace("5432", "5433"));
    let (stdout, _, exit) = desk.run("plan -f db.yaml -o json");
    let json: serde_json::Value = serde_json::from_str(&stdout).expect("JSON");
    let changes = json["changes"].as_array().expect("changes");
    let ports: Vec<_> = changes.iter().map(|change| (&change["port"], &change["after"]["verdict"])).collect();
    assert_eq!(ports, [(&5432.into(), &"deny".into()), (&5433.into(), &"allow".into())]);
    assert_eq!((&json["cut"], exit), (&false.into(), 1));
}

#[test]
fn a_plan_looks_at_one_of_each_kind_of_endpoint() {
    let desk = Desk::new();
    let many: String = (0..40)
        .map(|n| {
            format!(
                "---\napiVersion: v1\nkind: workloadEndpoint\nmetadata: {{node: rack{}, orchestrator: k8s, workload: w{n}, \
                 name: eth0, labels: {{role: db}}}}\nspec: {{interfaceName: cali{n}, ipNetworks: [10.30.0.{n}], \
                 profiles: [shop]}}\n",
                n % 3
            )
        })
        .collect();
    desk.file("many.yaml", &format!("{}{many}", &SHOP[..SHOP.find("---").expect("documents")]));
    assert_eq!(desk.run("apply -f many.yaml").2, 0);
    let (stdout, _, exit) = desk.run("plan -f db.yaml");
    let heads: Vec<&str> = stdout.lines().filter(|line| !line.starts_with(' ')).collect();
    // 40 of one kind: each with 39 others, for tcp with two ports, udp and icmp.
    assert_eq!(heads.len(), 4, "{stdout}");
    assert!(
        heads.iter().all(|line| line.ends_with("allow -> deny, and 1559 more pairs by the same rules")),
        "{stdout}"
    );
    assert_eq!(exit, 1);
}

#[test]
fn a_plan_that_cannot_be_made_leaves_stdout_empty() {
    let desk = Desk::new();
    desk.file("bad.yaml", &POLICY.replace("allow", "alow"));
    for line in ["plan -f missing.yaml", "plan -f bad.yaml", "plan --filename=", "plan -f db.yaml -o x"] {
        let (stdout, stderr, exit) = desk.run(line);
        assert_eq!((stdout.as_str(), exit), ("", 2), "{line}");
        assert!(!stderr.is_empty(), "{line}");
    }
}
