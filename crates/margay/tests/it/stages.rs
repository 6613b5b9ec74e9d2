//! Where recorded sessions are played.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{Cursor, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use margay_ctl::{Invocation, Program, run_on_memory};
use margay_store::MemoryKv;
use margay_store::kv::{Kv as _, Precondition};
use margay_testkit::conformance::{Call, Outcome, Stage};
use margay_testkit::etcd::Etcd;

/// Secrets that every program started here is given and that nothing may ever show.
const CANARIES: [(&str, &str); 3] = [
    ("ETCD_USERNAME", "canary-user"),
    ("ETCD_PASSWORD", "canary-password-7f3a"),
    ("K8S_API_TOKEN", "canary-token-7f3a"),
];

/// The variables of a stage, with the secrets.
fn with_canaries(variables: &[(&str, String)]) -> BTreeMap<String, String> {
    let secrets = CANARIES.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    variables.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).chain(secrets).collect()
}

/// Looks for the secrets in everything that a program printed.
fn without_canaries(outcome: Outcome) -> Outcome {
    for output in [&outcome.stdout, &outcome.stderr] {
        let text = String::from_utf8_lossy(output);
        for (name, secret) in &CANARIES[1..] {
            assert!(!text.contains(secret), "{name} is shown:\n{text}");
        }
    }
    outcome
}

/// The program's function, on a keyspace in memory.
#[derive(Default)]
pub(crate) struct InProcess {
    kv: MemoryKv,
}

impl Stage for InProcess {
    fn etcd_port(&self) -> Option<u16> {
        None
    }

    fn env(&self) -> BTreeMap<String, String> {
        with_canaries(&[("DATASTORE_TYPE", "etcdv2".to_owned())])
    }

    fn prepare(&mut self, before: &BTreeMap<String, String>) {
        self.kv = MemoryKv::new();
        block_on(async {
            for (key, value) in before {
                self.kv.put(key, value, Precondition::None, None).await.expect("memory takes every key");
            }
        });
    }

    fn dump(&mut self) -> Option<BTreeMap<String, String>> {
        let mut dump = BTreeMap::new();
        let mut visit = |entry: margay_store::kv::EntryRef<'_>| {
            dump.insert(entry.key.to_owned(), entry.value.to_owned());
        };
        block_on(self.kv.list("/calico", &mut visit)).expect("memory can be listed");
        Some(dump)
    }

    fn run(&mut self, call: &Call) -> Outcome {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let exit = run_on_memory(
            &mut Invocation {
                args: call.args.iter().map(OsString::from).collect(),
                env: call.env.iter().map(|(k, v)| (k.clone(), v.into())).collect(),
                cwd: call.cwd.clone(),
                stdin: &mut Cursor::new(call.stdin.clone()),
                stdout: &mut stdout,
                stderr: &mut stderr,
                stderr_is_terminal: false,
                stdout_is_terminal: false,
                now: || std::time::UNIX_EPOCH,
                random: |bytes| getrandom::fill(bytes).expect("random bytes"),
            },
            Program::Calicoctl,
            self.kv.clone(),
        );
        without_canaries(Outcome { stdout, stderr, exit: exit.0.into() })
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

/// The executable under upstream's name, in a folder of its own.
struct Installed {
    folder: tempfile::TempDir,
}

impl Installed {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::copy(env!("CARGO_BIN_EXE_margay"), folder.path().join("calicoctl")).expect("the executable");
        Self { folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("calicoctl")
    }

    fn run(&self, call: &Call) -> Outcome {
        run_program(&self.path(), call)
    }
}

/// Starts a program with exactly the call's environment.
pub(crate) fn run_program(program: &Path, call: &Call) -> Outcome {
    let mut child = Command::new(program)
        .args(&call.args)
        .env_clear()
        .envs(&call.env)
        .current_dir(&call.cwd)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the executable starts");
    // A program that does not read its input closes the pipe: that is no fault.
    let _ = child.stdin.take().expect("a pipe").write_all(&call.stdin);
    let output = child.wait_with_output().expect("the executable ends");
    let exit = output.status.code().unwrap_or(-1);
    without_canaries(Outcome { stdout: output.stdout, stderr: output.stderr, exit })
}

/// The executable on a fresh SQLite file.
pub(crate) struct Embedded {
    installed: Installed,
    folder: tempfile::TempDir,
    cases: usize,
}

impl Embedded {
    pub(crate) fn new() -> Self {
        Self { installed: Installed::new(), folder: tempfile::tempdir().expect("a folder"), cases: 0 }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join(format!("{}.db", self.cases))
    }
}

impl Stage for Embedded {
    fn etcd_port(&self) -> Option<u16> {
        None
    }

    fn env(&self) -> BTreeMap<String, String> {
        with_canaries(&[
            ("DATASTORE_TYPE", "sqlite".to_owned()),
            ("SQLITE_PATH", self.file().to_string_lossy().into_owned()),
        ])
    }

    fn prepare(&mut self, before: &BTreeMap<String, String>) {
        self.cases += 1;
        let kv = margay_store_sqlite::SqliteKv::open(&self.file(), margay_store_sqlite::Options::default())
            .expect("a fresh file");
        block_on(async {
            for (key, value) in before {
                kv.put(key, value, Precondition::None, None).await.expect("the file takes every key");
            }
        });
    }

    fn dump(&mut self) -> Option<BTreeMap<String, String>> {
        None
    }

    fn run(&mut self, call: &Call) -> Outcome {
        self.installed.run(call)
    }
}

/// The executable on a real etcd.
pub(crate) struct RealEtcd {
    installed: Installed,
    etcd: Etcd,
}

impl RealEtcd {
    pub(crate) fn start() -> Self {
        Self { installed: Installed::new(), etcd: Etcd::start() }
    }
}

impl Stage for RealEtcd {
    fn etcd_port(&self) -> Option<u16> {
        Some(self.etcd.port())
    }

    fn env(&self) -> BTreeMap<String, String> {
        with_canaries(&[
            ("ETCD_AUTHORITY", format!("127.0.0.1:{}", self.etcd.port())),
            ("DATASTORE_TYPE", "etcdv2".to_owned()),
        ])
    }

    fn prepare(&mut self, before: &BTreeMap<String, String>) {
        self.etcd.wipe();
        for (key, value) in before {
            self.etcd.put(key, value);
        }
    }

    fn dump(&mut self) -> Option<BTreeMap<String, String>> {
        Some(self.etcd.dump("/calico"))
    }

    fn run(&mut self, call: &Call) -> Outcome {
        self.installed.run(call)
    }
}
