//! A machine of plain values, and what all node commands have in common.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::IpAddr;
use std::ops::ControlFlow;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::host::Process;
use super::*;

/// A machine; every change and every program started is noted in `calls`.
pub(super) struct FakeHost {
    pub(super) uid: u32,
    pub(super) hostname: Option<String>,
    pub(super) release: String,
    pub(super) processes: Vec<Process>,
    pub(super) files: RefCell<BTreeMap<PathBuf, String>>,
    pub(super) read_only: Vec<&'static str>,
    pub(super) sockets: BTreeMap<&'static str, PathBuf>,
    pub(super) names: BTreeMap<&'static str, Vec<IpAddr>>,
    /// What programs print, by the start of their command line; others are not installed.
    pub(super) programs: Vec<(&'static str, Ended, &'static str)>,
    pub(super) calls: RefCell<Vec<String>>,
}

impl FakeHost {
    /// Root on a machine where nothing runs and nothing is installed.
    pub(super) fn new() -> Self {
        Self {
            uid: 0,
            hostname: Some("rack1".to_owned()),
            release: "6.1.0-18-amd64".to_owned(),
            processes: Vec::new(),
            files: RefCell::default(),
            read_only: Vec::new(),
            sockets: BTreeMap::new(),
            names: BTreeMap::new(),
            programs: Vec::new(),
            calls: RefCell::default(),
        }
    }

    pub(super) fn running(mut self, names: &[&str]) -> Self {
        self.processes =
            (100..).zip(names).map(|(pid, name)| Process { pid, name: (*name).to_owned() }).collect();
        self
    }

    pub(super) fn with_files(self, files: &[(&str, &str)]) -> Self {
        self.files.borrow_mut().extend(files.iter().map(|(path, text)| (path.into(), (*text).to_owned())));
        self
    }
}

impl Host for FakeHost {
    fn uid(&self) -> u32 {
        self.uid
    }

    fn hostname(&self) -> Option<String> {
        self.hostname.clone()
    }

    fn kernel_release(&self) -> String {
        self.release.clone()
    }

    fn processes(&self) -> io::Result<Vec<Process>> {
        Ok(self.processes.clone())
    }

    fn signal_usr1(&self, pid: i32) -> io::Result<()> {
        self.calls.borrow_mut().push(format!("signal {pid}"));
        Ok(())
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let files = self.files.borrow();
        files.get(path).map(|text| text.clone().into_bytes()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let content = String::from_utf8(content.to_vec()).expect("tests write text");
        self.calls.borrow_mut().push(format!("write {} {content}", path.display()));
        if self.read_only.iter().any(|read_only| Path::new(read_only) == path) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        match self.files.borrow_mut().get_mut(path) {
            Some(file) => *file = content,
            None => return Err(io::ErrorKind::NotFound.into()),
        }
        Ok(())
    }

    fn exists(&self, path: &Path) -> bool {
        self.files.borrow().keys().any(|file| file.starts_with(path))
    }

    fn connect(&self, path: &Path) -> io::Result<UnixStream> {
        let real = path.to_str().and_then(|path| self.sockets.get(path));
        UnixStream::connect(real.ok_or(io::Error::from_raw_os_error(2))?)
    }

    fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        self.names.get(name).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn stream(
        &self,
        command: &[&str],
        _: Duration,
        read: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> io::Result<Ended> {
        let line = command.join(" ");
        let found = self.programs.iter().find(|(start, ..)| line.starts_with(start));
        self.calls.borrow_mut().push(line.clone());
        let (_, ended, output) = found.ok_or(io::ErrorKind::NotFound)?;
        // In small pieces, as a pipe may hand them out.
        for piece in output.as_bytes().chunks(7) {
            if read(piece).is_break() {
                return Ok(Ended::Stopped);
            }
        }
        Ok(ended.clone())
    }
}

/// What a command left behind.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) exit: ExitCode,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

/// 2026-11-25 05:44:11 UTC.
pub(super) fn fixed_time() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_585_451)
}

/// Runs a command on a machine.
pub(super) fn outcome_in(
    env: &[(&str, &str)],
    cwd: &Path,
    command: &NodeCommand,
    datastore: NodeDatastore,
    host: &FakeHost,
) -> Outcome {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let mut invocation = Invocation {
        args: Vec::new(),
        env: env.iter().map(|(name, value)| ((*name).to_owned(), OsString::from(value))).collect(),
        cwd: cwd.to_owned(),
        stdin: &mut io::empty(),
        stdout: &mut stdout,
        stderr: &mut stderr,
        stderr_is_terminal: false,
        stdout_is_terminal: false,
        now: fixed_time,
        random: |bytes| bytes.fill(7),
    };
    let exit =
        execute(command, &|_| datastore.clone(), host, &mut invocation).expect("memory takes every write");
    let text = |bytes| String::from_utf8(bytes).expect("the output is text");
    Outcome { exit, stdout: text(stdout), stderr: text(stderr) }
}

/// Runs a command that looks at neither environment nor datastore.
pub(super) fn outcome(command: &NodeCommand, host: &FakeHost) -> Outcome {
    outcome_in(&[], Path::new("/"), command, NodeDatastore::Unsupported, host)
}

#[test]
fn status_diags_and_checksystem_need_root() {
    let host = FakeHost { uid: 1000, ..FakeHost::new() };
    let diags = NodeCommand::Diags { log_dir: "/var/log/calico".to_owned() };
    for command in [NodeCommand::Status, diags, NodeCommand::CheckSystem] {
        assert_eq!(
            outcome(&command, &host),
            Outcome {
                exit: ExitCode::FAILURE,
                stdout: "Need super user privileges: Operation not permitted\n".to_owned(),
                stderr: String::new(),
            },
            "{command:?}"
        );
    }
    assert_eq!(*host.calls.borrow(), Vec::<String>::new());
}

#[test]
fn operating_system_errors_read_as_go_prints_them() {
    assert_eq!(os_error_text(&io::Error::from_raw_os_error(2)), "no such file or directory");
    assert_eq!(os_error_text(&io::Error::from_raw_os_error(111)), "connection refused");
    assert_eq!(os_error_text(&io::ErrorKind::TimedOut.into()), "i/o timeout");
}
