//! `node diags`: packs what helps to find a fault of this node into one file, secrets masked.
//!
//! Nothing reaches the bundle but through a [`Masker`]; a step that fails prints a line and the others go on.

use std::ffi::OsStr;
use std::fs::{DirBuilder, File};
use std::io::{self, BufReader, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::Compression;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;
use jiff::Timestamp;

use super::mask::Masker;
use super::{Ended, Host, host, os_error_text};
use margay_client::{ExitCode, Invocation};

/// Time for each program.
const LIMIT: Duration = Duration::from_secs(120);

/// A program whose output goes into the bundle.
struct Step {
    /// What is printed in front, if anything.
    title: &'static str,
    command: &'static str,
    file: &'static str,
}

const fn step(title: &'static str, command: &'static str, file: &'static str) -> Step {
    Step { title, command, file }
}

const STEPS: [Step; 12] = [
    step("", "date", "date"),
    step("", "hostname", "hostname"),
    step("Dumping netstat", "netstat --all --numeric", "netstat"),
    step("Dumping routes (IPv4)", "ip -4 route", "ipv4_route"),
    step("Dumping routes (IPv6)", "ip -6 route", "ipv6_route"),
    step("Dumping interface info (IPv4)", "ip -4 addr", "ipv4_addr"),
    step("Dumping interface info (IPv6)", "ip -6 addr", "ipv6_addr"),
    step("Dumping iptables (IPv4)", "iptables-save", "ipv4_tables"),
    step("Dumping iptables (IPv6)", "ip6tables-save", "ipv6_tables"),
    step("Dumping ipsets", "ipset list", "ipsets"),
    step(
        "Dumping ipsets (container)",
        "docker run --rm --privileged --net=host calico/node ipset list",
        "ipset_container",
    ),
    step(
        "Copying journal for calico-node.service",
        "journalctl -u calico-node.service --no-pager",
        "journalctl_calico_node",
    ),
];

/// Everything the steps share.
struct Bundle<'a> {
    host: &'a dyn Host,
    /// The folder that becomes the archive.
    directory: PathBuf,
    masker: Masker,
    stdout: &'a mut dyn Write,
}

/// Carries out `node diags`.
pub(super) fn diags(log_dir: &str, host: &dyn Host, invocation: &mut Invocation<'_>) -> io::Result<ExitCode> {
    writeln!(invocation.stdout, "Collecting diagnostics")?;
    let temporary = match temporary_directory(invocation) {
        Ok(path) => path,
        Err(error) => {
            let text = os_error_text(&error);
            writeln!(invocation.stdout, "Error creating temp directory to dump logs: {text}")?;
            return Ok(ExitCode::FAILURE);
        }
    };
    writeln!(invocation.stdout, "Using temp dir: {}", temporary.display())?;
    let env = invocation.env.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str()?)));
    let mut bundle = Bundle {
        host,
        directory: temporary.join("diagnostics"),
        masker: Masker::new(env),
        stdout: &mut *invocation.stdout,
    };
    for step in &STEPS {
        bundle.take(step)?;
    }
    bundle.signal_felix()?;
    bundle.copy_logs(&invocation.cwd.join(log_dir))?;
    bundle.copy_container_logs()?;
    let directory = bundle.directory;
    let archive = temporary.join(archive_name((invocation.now)()));
    if let Err(error) = pack(&directory, &archive) {
        let text = os_error_text(&error);
        writeln!(invocation.stdout, "Error compressing the diagnostics: {text}")?;
        writeln!(invocation.stdout, "\nDiags saved to {}", directory.display())?;
        return Ok(ExitCode::SUCCESS);
    }
    // The archive holds it all; a copy that cannot be removed does no harm.
    drop(std::fs::remove_dir_all(&directory));
    // COMPAT(upload advice): upstream names a public file sharing site here.
    writeln!(invocation.stdout, "\nDiags saved to {}", archive.display())?;
    writeln!(
        invocation.stderr,
        "hint: secrets are masked, names and addresses are not; look through the bundle before you pass it on"
    )?;
    Ok(ExitCode::SUCCESS)
}

/// A new folder that only we can read, with the folder of the bundle in it.
fn temporary_directory(invocation: &Invocation<'_>) -> io::Result<PathBuf> {
    let base = invocation.env.get("TMPDIR").filter(|path| !path.is_empty());
    let base = invocation.cwd.join(base.map_or(Path::new("/tmp"), Path::new));
    let mut random = [0; 8];
    (invocation.random)(&mut random);
    let path = base.join(format!("calico{:016x}", u64::from_le_bytes(random)));
    // Fails if it exists: nobody can have prepared it for us.
    DirBuilder::new().mode(0o700).create(&path)?;
    DirBuilder::new().mode(0o700).create(path.join("diagnostics"))?;
    Ok(path)
}

// COMPAT(time zone): upstream puts the local time into the name, ours is UTC.
fn archive_name(now: std::time::SystemTime) -> String {
    let now = Timestamp::try_from(now).unwrap_or(Timestamp::UNIX_EPOCH);
    format!("diags-{}.tar.gz", now.strftime("%Y%m%d_%H%M%S"))
}

fn pack(directory: &Path, archive: &Path) -> io::Result<()> {
    let mut builder = tar::Builder::new(GzEncoder::new(private_file(archive)?, Compression::default()));
    builder.follow_symlinks(false);
    builder.append_dir_all("diagnostics", directory)?;
    builder.into_inner()?.finish()?.flush()
}

fn private_file(path: &Path) -> io::Result<File> {
    File::options().write(true).create_new(true).mode(0o600).open(path)
}

// === impl Bundle ===

impl Bundle<'_> {
    fn take(&mut self, step: &Step) -> io::Result<()> {
        if !step.title.is_empty() {
            writeln!(self.stdout, "{}", step.title)?;
        }
        let command: Vec<&str> = step.command.split(' ').collect();
        let output = self.output_of(&command)?;
        self.save(step.file, &output)
    }

    /// What a program prints; a failure is told, and its output counts all the same.
    fn output_of(&mut self, command: &[&str]) -> io::Result<Vec<u8>> {
        let (problem, output) = match host::collect(self.host, command, LIMIT) {
            Ok((Ended::Success, output)) => return Ok(output),
            Ok((Ended::Failed(_), output)) => (self.masked(&output), output),
            Ok((Ended::TimedOut | Ended::Stopped, output)) => ("it takes too long".to_owned(), output),
            Err(error) => (host::start_error(command[0], &error), Vec::new()),
        };
        writeln!(self.stdout, "Failed to run command: {}\nError: {}", command.join(" "), problem.trim_end())?;
        Ok(output)
    }

    fn masked(&mut self, text: &[u8]) -> String {
        let mut masked = Vec::new();
        self.masker.copy(text, &mut masked).expect("reading and writing memory cannot fail");
        String::from_utf8_lossy(&masked).into_owned()
    }

    fn save(&mut self, file: &str, content: &[u8]) -> io::Result<()> {
        let path = self.directory.join(file);
        let saved = private_file(&path).and_then(|mut to| self.masker.copy(content, &mut to));
        if let Err(error) = saved {
            writeln!(self.stdout, "Error writing diags to file {file}: {}", os_error_text(&error))?;
        }
        Ok(())
    }

    /// Felix answers by writing its statistics into its log.
    fn signal_felix(&mut self) -> io::Result<()> {
        writeln!(self.stdout, "Dumping felix stats")?;
        let processes = self.host.processes().unwrap_or_default();
        let mut felix = processes.iter().filter(|process| process.name == "calico-felix").peekable();
        if felix.peek().is_none() {
            writeln!(self.stdout, "Failed to signal felix: it is not running")?;
        }
        for process in felix {
            if let Err(error) = self.host.signal_usr1(process.pid) {
                writeln!(self.stdout, "Failed to signal felix: {}", os_error_text(&error))?;
            }
        }
        Ok(())
    }

    fn copy_logs(&mut self, log_dir: &Path) -> io::Result<()> {
        let logs = self.directory.join("logs");
        let root = match log_dir.canonicalize().and_then(|root| Ok((root.metadata()?.is_dir(), root))) {
            Ok((true, root)) => root,
            Ok((false, _)) => {
                return writeln!(self.stdout, "No logs found in {}; skipping log copying", log_dir.display());
            }
            Err(error) => return writeln!(self.stdout, "Error copying log files: {}", os_error_text(&error)),
        };
        writeln!(self.stdout, "Copying Calico logs")?;
        self.copy_tree(&root, &root, &logs)
    }

    fn copy_tree(&mut self, root: &Path, from: &Path, to: &Path) -> io::Result<()> {
        let listed = DirBuilder::new()
            .mode(0o700)
            .create(to)
            .and_then(|()| std::fs::read_dir(from)?.collect::<io::Result<Vec<_>>>());
        let mut entries = match listed {
            Ok(entries) => entries,
            Err(error) => return self.not_copied(from, &os_error_text(&error)),
        };
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let (source, target) = (entry.path(), to.join(entry.file_name()));
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                self.copy_tree(root, &source, &target)?;
            } else if let Err(reason) = self.copy_file(root, &source, &target) {
                self.not_copied(&source, &reason)?;
            }
        }
        Ok(())
    }

    fn not_copied(&mut self, path: &Path, reason: &str) -> io::Result<()> {
        writeln!(self.stdout, "Error copying log files: {}: {reason}", path.display())
    }

    /// Copies one log, masked, also through gzip; the error says why it was left out.
    fn copy_file(&mut self, root: &Path, from: &Path, to: &Path) -> Result<(), String> {
        let text = |error: io::Error| os_error_text(&error);
        let real = from.canonicalize().map_err(text)?;
        if !real.starts_with(root) {
            // Whoever may write logs could otherwise have us pack any file of the machine.
            return Err("it leads out of the log directory".to_owned());
        }
        if !real.metadata().map_err(text)?.is_file() {
            return Err("it is no regular file".to_owned());
        }
        let mut reader = BufReader::with_capacity(64 * 1024, File::open(&real).map_err(text)?);
        let head = io::BufRead::fill_buf(&mut reader).map_err(text)?;
        if head.starts_with(&[0x1f, 0x8b]) {
            let mut to = GzEncoder::new(private_file(to).map_err(text)?, Compression::default());
            let from = BufReader::new(MultiGzDecoder::new(reader));
            self.masker.copy(from, &mut to).and_then(|()| to.finish().map(drop)).map_err(text)
        } else if head.contains(&0) {
            Err("it is binary, so secrets in it cannot be masked".to_owned())
        } else {
            let mut to = private_file(to).map_err(text)?;
            self.masker.copy(reader, &mut to).map_err(text)
        }
    }

    fn copy_container_logs(&mut self) -> io::Result<()> {
        let list =
            ["docker", "ps", "-a", "--filter", "name=calico", "--format", "{{.Names}}: {{.CreatedAt}}"];
        let listed = match host::collect(self.host, &list, LIMIT) {
            Ok((Ended::Success, output)) => String::from_utf8_lossy(&output).into_owned(),
            Ok((Ended::Failed(status), output)) => {
                let said = self.masked(&output);
                let said = said.trim_end();
                let problem = if said.is_empty() { &status } else { said };
                return writeln!(self.stdout, "Could not run docker command: {problem}");
            }
            Ok((Ended::TimedOut | Ended::Stopped, _)) => {
                return writeln!(self.stdout, "Could not run docker command: it takes too long");
            }
            Err(error) => {
                let problem = host::start_error("docker", &error);
                return writeln!(self.stdout, "Could not run docker command: {problem}");
            }
        };
        // Kubernetes keeps a container without a log beside every pod.
        let containers: Vec<&str> =
            listed.lines().filter(|line| !line.is_empty() && !line.contains("k8s_POD")).collect();
        if containers.is_empty() {
            return Ok(());
        }
        writeln!(self.stdout, "Copying logs from Calico containers")?;
        let logs = self.directory.join("logs");
        if !logs.exists()
            && let Err(error) = DirBuilder::new().mode(0o700).create(&logs)
        {
            return writeln!(self.stdout, "Error creating log directory: {}", os_error_text(&error));
        }
        self.save("logs/container_creation_time", (containers.join("\n") + "\n").as_bytes())?;
        for line in containers {
            let name = line.split(':').next().unwrap_or_default();
            if Path::new(name).file_name() != Some(OsStr::new(name)) {
                continue;
            }
            let log = self.output_of(&["docker", "logs", name])?;
            self.save(&format!("logs/{name}.log"), &log)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
