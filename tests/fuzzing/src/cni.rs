//! Network configurations, `CNI_ARGS`, previous results and answers of IPAM plugins.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use margay_client::{DatastoreKind, ExitCode, Invocation, Settings};
use margay_cni::SpecVersion;
use margay_cni::args::Args;
use margay_cni::config::NetConf;
use margay_cni::result::{Added, Assigned, default_routes};
use margay_store::kv::{Kv as _, Precondition};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::text;

/// What no output may hold.
const SECRET: &str = "canary-7f3a";

/// Keys of which a fuzzer may not choose the value: files, hosts, and what waits.
const OURS: [&str; 7] = [
    "log_file_path",
    "ipam_lock_file",
    "sqlite_path",
    "nodename_file",
    "datastore_type",
    "readiness_gates",
    "endpoint_status_dir",
];

/// How many inputs share a datastore: what they leave in it is part of the game, but not for ever.
const SHARED: u32 = 100;

thread_local! {
    static HOST: RefCell<Option<(Host, u32)>> = const { RefCell::new(None) };
}

/// A folder with an embedded datastore.
struct Host {
    folder: TempDir,
}

type Program = fn(&mut Invocation<'_>) -> ExitCode;

/// `CNI_ARGS` in the first line, then a network configuration that is the answer of an IPAM plugin as well.
///
/// A program says one JSON object or nothing, never a secret; what an answer says can be said again.
pub fn cni(input: &[u8]) {
    let (first, document) = match input.iter().position(|byte| *byte == b'\n') {
        Some(at) => (&input[..at], &input[at + 1..]),
        None => (&input[..0], input),
    };
    let arguments = text(first).unwrap_or_default();
    read_arguments(arguments);
    read_configuration(document);
    read_answer(document);
    HOST.with_borrow_mut(|host| {
        let used = host.take().filter(|(_, count)| *count < SHARED);
        let (own, count) = used.unwrap_or_else(|| (Host::new(), 0));
        own.play(arguments, document);
        *host = Some((own, count + 1));
    });
}

/// What is understood of good arguments is understood of them leniently too.
fn read_arguments(text: &str) {
    let lenient = Args::parse_leniently(text);
    for strict in [Args::parse(text), Args::parse_as_ipam(text, true), Args::parse_as_ipam(text, false)] {
        match strict {
            Ok(args) => {
                assert_eq!(
                    (&args.pod_namespace, &args.pod_name, &args.pod_uid),
                    (&lenient.pod_namespace, &lenient.pod_name, &lenient.pod_uid)
                );
            }
            Err(failure) => assert!(failure.msg.starts_with("ARGS: "), "{}", failure.msg),
        }
    }
}

/// Other plugins get the document as it was, whatever counts for us.
fn read_configuration(document: &[u8]) {
    match NetConf::parse(document) {
        Ok(conf) => {
            let whole: Value = serde_json::from_str(conf.document_with(|_| {}).expose()).expect("JSON");
            assert_eq!(whole, serde_json::from_slice::<Value>(document).expect("it was read"));
            assert_eq!(NetConf::version_asked(document), conf.version.as_str());
        }
        Err(failure) => assert!(!failure.msg.is_empty() && failure.code.0 > 0),
    }
}

/// What an answer says, a result says; and what a result says, is read as an answer again.
fn read_answer(answer: &[u8]) {
    for version in SpecVersion::ALL {
        let Ok(assigned) = Assigned::parse(answer, version) else { continue };
        let added = Added {
            host_interface: "calic1".parse().expect("a name"),
            host_mac: None,
            container_interface: "eth0".parse().expect("a name"),
            mac: None,
            mtu: None,
            sandbox: String::new(),
            routes: default_routes(&assigned.addresses),
            addresses: assigned.addresses.clone(),
            told_routes: assigned.routes.clone(),
            dns: assigned.dns.clone(),
        };
        let said = added.to_json(version).to_string();
        let again = Assigned::parse(said.as_bytes(), version).expect("a result is an answer");
        assert_eq!(again, assigned, "{said}");
    }
}

// === impl Host ===

impl Host {
    fn new() -> Self {
        let host = Self { folder: tempfile::tempdir().expect("a folder") };
        let env = BTreeMap::from([("SQLITE_PATH".to_owned(), host.file("store").into())]);
        let settings = Settings::of_environment(host.folder.path(), &env, DatastoreKind::Sqlite);
        let store = margay_client::open(&settings.expect("settings"), std::sync::Arc::new(|| [7; 16]));
        let store = store.expect("a datastore");
        let pool = json!({ "cidr": "10.65.0.0/24", "disabled": false }).to_string();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            for (key, value) in
                [("/calico/v1/Ready", "true"), ("/calico/v1/ipam/v4/pool/10.65.0.0-24", &pool)]
            {
                store.kv().put(key, value, Precondition::None, None).await.expect("written");
            }
        });
        host
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn play(&self, arguments: &str, document: &[u8]) {
        let secret = !contains(document, SECRET) && !arguments.contains(SECRET);
        let stdin = match serde_json::from_slice::<Value>(document) {
            Ok(Value::Object(conf)) => self.armed(conf),
            _ => document.to_vec(),
        };
        let programs: [(Program, &[&str]); 2] = [
            (margay_cni::run_ipam, &["VERSION", "ADD", "CHECK", "STATUS", "GC", "DEL"]),
            (margay_cni::run_plugin, &["VERSION", "STATUS"]),
        ];
        for (program, verbs) in programs {
            for verb in verbs {
                let shown = self.call(program, verb, arguments, &stdin);
                assert!(!secret || !shown.contains(SECRET), "{verb}: {shown}");
            }
        }
    }

    /// The configuration with a secret in it, on the datastore of ours.
    fn armed(&self, conf: Map<String, Value>) -> Vec<u8> {
        let free = |name: &String| {
            !OURS.iter().any(|ours| ours.eq_ignore_ascii_case(name))
                && !name.to_ascii_lowercase().starts_with("etcd_")
        };
        let mut conf: Map<String, Value> = conf.into_iter().filter(|(name, _)| free(name)).collect();
        conf.insert("datastore_type".to_owned(), "sqlite".into());
        conf.insert("sqlite_path".to_owned(), json!(self.file("store")));
        conf.insert("ipam_lock_file".to_owned(), json!(self.file("lock")));
        let policy = conf.entry("policy").or_insert_with(|| json!({}));
        if let Value::Object(policy) = policy {
            policy.insert("k8s_auth_token".to_owned(), SECRET.into());
        }
        Value::Object(conf).to_string().into_bytes()
    }

    /// One call; what it showed.
    fn call(&self, program: Program, verb: &str, arguments: &str, stdin: &[u8]) -> String {
        let env = [
            ("CNI_COMMAND", verb),
            ("CNI_CONTAINERID", "c1"),
            ("CNI_NETNS", "/nowhere/at/all"),
            ("CNI_IFNAME", "eth0"),
            ("CNI_PATH", "/nowhere"),
            ("CNI_ARGS", arguments),
        ];
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let exit = program(&mut Invocation {
            args: Vec::new(),
            env: env.map(|(name, value)| (name.to_owned(), OsString::from(value))).into(),
            cwd: self.folder.path().to_owned(),
            stdin: &mut &*stdin,
            stdout: &mut stdout,
            stderr: &mut stderr,
            stderr_is_terminal: false,
            stdout_is_terminal: false,
            now: || SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
            random: |bytes| bytes.fill(7),
        });
        let said = String::from_utf8(stdout).expect("UTF-8");
        match (exit, said.as_str()) {
            (ExitCode::SUCCESS, "") => assert!(!matches!(verb, "ADD" | "VERSION"), "{verb} said nothing"),
            (exit, said) => {
                let object: Map<String, Value> = serde_json::from_str(said).expect("one JSON object");
                assert!(object["cniVersion"].is_string(), "{said}");
                if exit == ExitCode::SUCCESS {
                    assert!(matches!(verb, "ADD" | "VERSION"), "{verb}: {said}");
                } else {
                    assert_eq!(exit, ExitCode::FAILURE);
                    assert!(object["code"].as_u64().is_some_and(|code| code > 0), "{said}");
                    let msg = object["msg"].as_str().expect("a text");
                    assert!(!msg.contains("panicked"), "{said}");
                }
            }
        }
        format!("{said}\n{}", String::from_utf8_lossy(&stderr))
    }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}
