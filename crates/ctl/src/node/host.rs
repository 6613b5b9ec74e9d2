//! The machine that the node commands work on: its files, processes and programs.

use std::io::{self, Read};
use std::net::{IpAddr, ToSocketAddrs};
use std::ops::ControlFlow;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// A running process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    /// Its id.
    pub(crate) pid: i32,
    /// Its name, cut to 15 bytes by the kernel.
    pub(crate) name: String,
}

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ended {
    /// With exit status 0.
    Success,
    /// With this (`exit status 1`).
    Failed(String),
    /// The reader had seen enough; it was killed.
    Stopped,
    /// It took too long and was killed.
    TimedOut,
}

/// What the node commands may do to a machine.
pub(crate) trait Host {
    /// The effective user id.
    fn uid(&self) -> u32;
    /// The host name, if there is one.
    fn hostname(&self) -> Option<String>;
    /// What `uname -r` prints.
    fn kernel_release(&self) -> String;
    /// Every process.
    fn processes(&self) -> io::Result<Vec<Process>>;
    /// Sends SIGUSR1.
    fn signal_usr1(&self, pid: i32) -> io::Result<()>;
    /// The content of a file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// Writes into a file that exists, in one write.
    fn write(&self, path: &Path, content: &[u8]) -> io::Result<()>;
    /// True if something is there.
    fn exists(&self, path: &Path) -> bool;
    /// Connects to a Unix socket.
    fn connect(&self, path: &Path) -> io::Result<UnixStream>;
    /// The addresses of a name.
    fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>>;
    /// Runs a program without input and hands out what it prints, both streams in one, as it comes.
    ///
    /// The program is killed when `limit` has passed or when `read` breaks. The error is one of starting it.
    fn stream(
        &self,
        command: &[&str],
        limit: Duration,
        read: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> io::Result<Ended>;
}

/// Runs a program and collects what it prints.
pub(super) fn collect(host: &dyn Host, command: &[&str], limit: Duration) -> io::Result<(Ended, Vec<u8>)> {
    let mut output = Vec::new();
    let ended = host.stream(command, limit, &mut |bytes| {
        output.extend_from_slice(bytes);
        ControlFlow::Continue(())
    })?;
    Ok((ended, output))
}

/// Why a program could not be started, in the words that Go programs print.
pub(super) fn start_error(program: &str, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => format!("exec: \"{program}\": executable file not found in $PATH"),
        _ => format!("exec: \"{program}\": {}", super::os_error_text(error)),
    }
}

/// The machine this program runs on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LocalHost;

// === impl LocalHost ===

impl Host for LocalHost {
    fn uid(&self) -> u32 {
        rustix::process::geteuid().as_raw()
    }

    fn hostname(&self) -> Option<String> {
        let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        (!name.is_empty()).then_some(name)
    }

    fn kernel_release(&self) -> String {
        rustix::system::uname().release().to_string_lossy().into_owned()
    }

    fn processes(&self) -> io::Result<Vec<Process>> {
        let mut processes = Vec::new();
        for entry in std::fs::read_dir("/proc")? {
            let entry = entry?;
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            // A process may end between the two steps; then it is none.
            if let Ok(name) = std::fs::read(entry.path().join("comm")) {
                let name = String::from_utf8_lossy(&name).trim_end_matches('\n').to_owned();
                processes.push(Process { pid, name });
            }
        }
        Ok(processes)
    }

    fn signal_usr1(&self, pid: i32) -> io::Result<()> {
        let pid = rustix::process::Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidInput)?;
        Ok(rustix::process::kill_process(pid, rustix::process::Signal::USR1)?)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }

    fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        use std::io::Write as _;
        std::fs::OpenOptions::new().write(true).open(path)?.write_all(content)
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn connect(&self, path: &Path) -> io::Result<UnixStream> {
        UnixStream::connect(path)
    }

    fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        Ok((name, 0).to_socket_addrs()?.map(|address| address.ip()).collect())
    }

    fn stream(
        &self,
        command: &[&str],
        limit: Duration,
        read: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> io::Result<Ended> {
        let (program, args) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let (reader, writer) = io::pipe()?;
        let mut child = Command::new(program)
            .args(args)
            .stdin(Stdio::null())
            .stdout(writer.try_clone()?)
            .stderr(writer)
            .spawn()?;
        let early = pump(reader, Instant::now() + limit, read);
        match early {
            Ok(None) => wait(&mut child),
            Ok(Some(ended)) => {
                kill(&mut child)?;
                Ok(ended)
            }
            Err(error) => {
                kill(&mut child)?;
                Err(error)
            }
        }
    }
}

/// Reads to the end of the pipe; `Some` if it stopped before.
fn pump(
    mut reader: io::PipeReader,
    deadline: Instant,
    read: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
) -> io::Result<Option<Ended>> {
    let mut buffer = [0; 16 * 1024];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec {
            tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        };
        let ready = match poll(&mut [PollFd::new(&reader, PollFlags::IN)], Some(&timeout)) {
            Ok(ready) => ready,
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        };
        if ready == 0 {
            return Ok(Some(Ended::TimedOut));
        }
        match reader.read(&mut buffer)? {
            0 => return Ok(None),
            count => {
                if read(&buffer[..count]).is_break() {
                    return Ok(Some(Ended::Stopped));
                }
            }
        }
    }
}

fn wait(child: &mut Child) -> io::Result<Ended> {
    let status = child.wait()?;
    Ok(match status.code() {
        Some(0) => Ended::Success,
        Some(code) => Ended::Failed(format!("exit status {code}")),
        None => Ended::Failed(status.to_string()),
    })
}

fn kill(child: &mut Child) -> io::Result<()> {
    child.kill()?;
    child.wait().map(drop)
}

#[cfg(test)]
mod tests;
