//! What a program is started with: nothing below reads the process's own arguments, environment, streams or clock.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::PathBuf;

/// The exit status of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExitCode(pub u8);

impl ExitCode {
    /// 0.
    pub const SUCCESS: Self = Self(0);
    /// 1.
    pub const FAILURE: Self = Self(1);
}

/// One start of a program.
pub struct Invocation<'a> {
    /// The arguments behind the program's name.
    pub args: Vec<OsString>,
    /// The environment.
    pub env: BTreeMap<String, OsString>,
    /// The working directory that relative paths are joined to.
    pub cwd: PathBuf,
    /// Standard input.
    pub stdin: &'a mut (dyn Read + Send),
    /// Results, and every text that scripts match.
    pub stdout: &'a mut (dyn Write + Send),
    /// Everything we add: details, hints, progress.
    pub stderr: &'a mut (dyn Write + Send),
    /// True when stderr is a terminal and colour is not refused by `NO_COLOR`.
    pub stderr_is_terminal: bool,
    /// True when stdout is a terminal.
    pub stdout_is_terminal: bool,
    /// The clock.
    pub now: fn() -> std::time::SystemTime,
    /// Random bytes from the operating system.
    pub random: fn(&mut [u8]),
}
