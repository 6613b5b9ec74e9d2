//! Calls another IPAM plugin as the CNI library does (`spec/cni.md` 14).
//!
//! The plugin inherits the environment with the verb and the arguments changed, reads the whole configuration on
//! stdin, and its stderr is passed on. It is killed when the time is up. What it was told is never repeated in errors.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use margay_client::Secret;
use serde_json::{Map, Value};

use crate::args::Args;
use crate::error::{Code, Failure, Result};
use crate::request::Verb;

/// How often a plugin that has closed its output is looked at.
const PACE: Duration = Duration::from_millis(1);

/// How much of a plugin's output is read; one that says more is told that nobody listens.
const LONGEST: u64 = 1 << 20;

/// How much of an output that cannot be understood is repeated.
const QUOTED: usize = 1000;

/// Another plugin, found in the path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Delegate {
    name: String,
    program: PathBuf,
}

/// What a plugin said.
struct Said {
    status: ExitStatus,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

/// Where a plugin of that name stands: the first regular file in the directories.
///
/// # Errors
/// No name is given, or there is no such file.
pub(crate) fn find(name: &str, directories: &[PathBuf]) -> Result<Delegate> {
    if name.is_empty() {
        return Err(Failure::new(Code::CONFIG, "no plugin name provided"));
    }
    if name.contains('/') {
        return Err(Failure::new(Code::CONFIG, format!("invalid plugin name: {name:?}")));
    }
    let found = directories
        .iter()
        .map(|directory| directory.join(name))
        .find(|path| std::fs::metadata(path).is_ok_and(|meta| meta.is_file()));
    found.map(|program| Delegate { name: name.to_owned(), program }).ok_or_else(|| {
        let searched: Vec<String> = directories.iter().map(|path| path.display().to_string()).collect();
        Failure::new(
            Code::DELEGATE,
            format!("failed to find plugin \"{name}\" in path [{}]", searched.join(" ")),
        )
    })
}

// === impl Delegate ===

impl Delegate {
    /// The file that is run.
    #[must_use]
    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    /// Calls the plugin and returns what it wrote to stdout. What it wrote to stderr goes to `pass_on`.
    ///
    /// # Errors
    /// It cannot be started, said no, said nothing that can be understood, or took too long.
    pub(crate) fn call(
        &self,
        verb: Verb,
        env: &BTreeMap<String, OsString>,
        arguments: &str,
        document: &Secret<String>,
        limit: Duration,
        pass_on: &mut dyn FnMut(&[u8]),
    ) -> Result<Vec<u8>> {
        let said = self.run(verb, env, arguments, document, limit)?;
        pass_on(&said.stderr);
        if said.status.success() { Ok(said.stdout) } else { Err(refusal(&said)) }
    }

    fn run(
        &self,
        verb: Verb,
        env: &BTreeMap<String, OsString>,
        arguments: &str,
        document: &Secret<String>,
        limit: Duration,
    ) -> Result<Said> {
        let broken = |what: &str, error: &dyn std::fmt::Display| {
            Failure::new(Code::DELEGATE, format!("{what} {}: {error}", self.name))
        };
        let arguments = Args::for_delegates(arguments);
        let mut child = Command::new(&self.program)
            .env_clear()
            .envs(env)
            .env("CNI_COMMAND", verb.as_str())
            .env("CNI_ARGS", OsStr::new(arguments.as_ref()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| broken("starting plugin", &error))?;
        let end = Instant::now() + limit;
        let stdin = child.stdin.take();
        let (document, (done, outputs)) = (document.expose().clone().into_bytes(), mpsc::channel());
        // A plugin need not read its input: then writing it fails or lasts as long as the plugin does.
        std::thread::spawn(move || stdin.map(|mut stdin| stdin.write_all(&document)));
        for (index, stream) in streams(&mut child).into_iter().enumerate() {
            let done = done.clone();
            std::thread::spawn(move || {
                let mut bytes = Vec::new();
                if let Some(stream) = stream {
                    let _ = stream.take(LONGEST).read_to_end(&mut bytes);
                }
                let _ = done.send((index, bytes));
            });
        }
        let mut texts = [Vec::new(), Vec::new()];
        for _ in 0..2 {
            let left = end.saturating_duration_since(Instant::now());
            match outputs.recv_timeout(left) {
                Ok((index, bytes)) => texts[index] = bytes,
                Err(_) => return Err(self.stop(&mut child, limit)),
            }
        }
        let [stdout, stderr] = texts;
        loop {
            match child.try_wait().map_err(|error| broken("waiting for plugin", &error))? {
                Some(status) => return Ok(Said { status, stdout, stderr }),
                None if Instant::now() < end => std::thread::sleep(PACE),
                None => return Err(self.stop(&mut child, limit)),
            }
        }
    }

    fn stop(&self, child: &mut Child, limit: Duration) -> Failure {
        let _ = child.kill();
        let _ = child.wait();
        Failure::new(Code::DELEGATE, format!("plugin {} took longer than {} s", self.name, limit.as_secs()))
    }
}

fn streams(child: &mut Child) -> [Option<Box<dyn Read + Send>>; 2] {
    let stdout = child.stdout.take().map(|stream| Box::new(stream) as Box<dyn Read + Send>);
    let stderr = child.stderr.take().map(|stream| Box::new(stream) as Box<dyn Read + Send>);
    [stdout, stderr]
}

/// What a plugin's error object says, in upstream's words where it says nothing.
fn refusal(said: &Said) -> Failure {
    let reason = match serde_json::from_slice::<Value>(&said.stdout) {
        Ok(Value::Object(object)) => match told(&object) {
            Some(failure) => return failure,
            None => "a member is not of its type".to_owned(),
        },
        Ok(_) => "no object".to_owned(),
        Err(error) if error.is_eof() => "unexpected end of JSON input".to_owned(),
        Err(error) => error.to_string(),
    };
    let text: String = String::from_utf8_lossy(&said.stdout).chars().take(QUOTED).collect();
    Failure::new(
        Code::DELEGATE,
        format!("netplugin failed but error parsing its diagnostic message {text:?}: {reason}"),
    )
}

/// What an error object says; none when a member is not of its type.
fn told(object: &Map<String, Value>) -> Option<Failure> {
    let member = |name: &str| match object.get(name) {
        None | Some(Value::Null) => Some(""),
        Some(value) => value.as_str(),
    };
    let (msg, details) = (member("msg")?, member("details")?);
    let code = match object.get("code") {
        None | Some(Value::Null) => 0,
        Some(code) => code.as_u64()?,
    };
    let code = u32::try_from(code).ok().filter(|code| *code > 0).map_or(Code::DELEGATE, Code);
    // Upstream shows both in one text.
    Some(Failure::new(code, if details.is_empty() { msg.to_owned() } else { format!("{msg}; {details}") }))
}

#[cfg(test)]
mod tests;
