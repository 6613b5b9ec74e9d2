//! Running this very executable again, inside fresh user, network and mount namespaces: a throw-away host for which
//! nobody needs to be root.

use std::ffi::{CString, OsStr};
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus};

use rustix::fs::{Mode, OFlags};
use rustix::thread::UnshareFlags;

/// The variable that says in which isolation a program runs.
const MARK: &str = "MARGAY_ISOLATED";

/// What a test or a demonstration finds itself in.
#[derive(Debug)]
pub enum Isolation {
    /// Inside: do the work.
    Inside,
    /// Outside: a copy did the work inside, and ended so.
    Done(ExitStatus),
}

/// Inside, says so; outside, runs this executable again with the arguments, inside fresh namespaces, and waits.
///
/// The copy is root there: it owns the user, network and mount namespaces, and nothing outside.
#[expect(unsafe_code, reason = "code between fork and exec")]
pub fn isolated<A: AsRef<OsStr>>(
    name: &str,
    arguments: impl IntoIterator<Item = A>,
) -> io::Result<Isolation> {
    if std::env::var_os(MARK).is_some_and(|mark| mark == name) {
        return Ok(Isolation::Inside);
    }
    let executable = std::env::current_exe()?;
    let user = format!("0 {} 1", rustix::process::getuid().as_raw());
    let group = format!("0 {} 1", rustix::process::getgid().as_raw());
    let files = [
        (c"/proc/self/setgroups".to_owned(), b"deny".to_vec()),
        (c"/proc/self/uid_map".to_owned(), user.into_bytes()),
        (c"/proc/self/gid_map".to_owned(), group.into_bytes()),
    ];
    let mut command = Command::new(executable);
    command.args(arguments).env(MARK, name);
    // SAFETY: between fork and exec the closure makes system calls alone, on memory prepared before: no allocation,
    // no lock.
    unsafe { command.pre_exec(move || enter(&files)) };
    Ok(Isolation::Done(command.status()?))
}

/// Makes the namespaces and says who is root in them.
#[expect(unsafe_code, reason = "unshare can take descriptors away from other threads")]
fn enter(files: &[(CString, Vec<u8>)]) -> io::Result<()> {
    let all = UnshareFlags::NEWUSER | UnshareFlags::NEWNET | UnshareFlags::NEWNS;
    // SAFETY: the child of a fork has one thread and shares no descriptor table.
    unsafe { rustix::thread::unshare_unsafe(all) }?;
    for (path, content) in files {
        let file = rustix::fs::open(path.as_c_str(), OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
        rustix::io::write(&file, content)?;
    }
    Ok(())
}
