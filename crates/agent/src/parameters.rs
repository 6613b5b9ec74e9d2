//! Every parameter of the agent: one table that parsing, live changes, documentation and `config --explain` read.
//!
//! [`TABLE`] says what exists (`spec/agent.md` 2.3), [`Kind`] how a value is read (2.2), [`resolve`] which of several
//! sources counts (2.1). Pure: what the host says (files, its name) comes in as a [`Host`]. What must stay true: the
//! same texts from the same sources give the same [`Parameters`], whatever was there before.

mod explain;
mod file;
mod resolve;
mod table;
mod value;

use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

pub use explain::{explain, reference};
pub use file::{FileError, FileTexts, read_file};
pub use resolve::{Notice, Parameters, ResolveError, Setting, Texts, of_environment, resolve};
pub use table::{Name, TABLE};
pub use value::{FailsafePort, FailsafeProtocol, Value, ValueError};

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Parameter {
    /// Which.
    pub name: Name,
    /// The name as it is written.
    pub text: &'static str,
    /// How a value is read.
    pub kind: Kind,
    /// The value when nobody says anything; empty = nothing.
    pub default: &'static str,
    /// Special rules.
    pub flags: Flags,
    /// What a change of the value does to a running agent.
    pub effect: Effect,
    /// One line for people.
    pub about: &'static str,
}

/// How a value is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// True or false, in several words.
    Bool,
    /// A whole number in a range: decimal, `0x…`, or octal with a leading zero.
    Int(i64, i64),
    /// A time in seconds, fractions allowed.
    Seconds,
    /// A time in milliseconds, fractions allowed.
    Millis,
    /// One of these words, in any letter case.
    OneOf(&'static [&'static str]),
    /// 32 bits of which at least four are set.
    MarkMask,
    /// Interface names or beginnings of them, with `,` between.
    Interfaces,
    /// `host:port`.
    Authority,
    /// A host name or an IPv4 address.
    Hostname,
    /// URLs of one scheme, with `,` between.
    Endpoints,
    /// `protocol:port` or `port`, with `,` between.
    Ports,
    /// An address.
    Address,
    /// A path.
    File,
    /// The path of a file that is there.
    ExistingFile,
    /// A program, searched for beside this one and in `PATH`.
    Executable,
    /// Any text of one line.
    Text,
}

/// Special rules of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags {
    /// `none` is refused (N).
    pub non_zero: bool,
    /// A value that cannot be read is an error, not the default (D).
    pub die: bool,
    /// Ignored when it comes from the datastore (L).
    pub local: bool,
}

/// What a change of a value does to a running agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// It is known, and there is nothing that it could change: why.
    Meaningless(&'static str),
    /// Only kept, for others to read.
    Kept,
    /// Counts from the next start.
    Start,
    /// Log destinations and levels.
    Logs,
    /// The health page.
    Health,
    /// The metrics page.
    Metrics,
    /// What is reported into the datastore and into files.
    Reports,
    /// Rules, routes and devices are made again.
    Dataplane,
}

/// Where a value comes from, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The table.
    Default,
    /// `/calico/v1/config/NAME`.
    Global,
    /// `/calico/v1/host/HOST/config/NAME`.
    PerHost,
    /// The configuration file.
    File,
    /// `FELIX_NAME`.
    Environment,
}

/// What the host says when parameters are read.
#[derive(Clone, Copy)]
pub struct Host<'a> {
    /// The kernel's name of the host; empty = it has none.
    pub name: &'a str,
    /// True when something stands at the path.
    pub exists: &'a dyn Fn(&Path) -> bool,
}

// === impl Parameter ===

impl Parameter {
    /// The row of a name as written in any letter case.
    #[must_use]
    pub fn find(text: &str) -> Option<&'static Self> {
        TABLE.iter().find(|row| row.text.eq_ignore_ascii_case(text))
    }
}

// === impl Kind ===

impl fmt::Display for Kind {
    /// As the reference page names it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("bool"),
            Self::Int(i64::MIN, i64::MAX) => f.write_str("int"),
            Self::Int(least, most) => write!(f, "int {least}-{most}"),
            Self::Seconds => f.write_str("seconds"),
            Self::Millis => f.write_str("milliseconds"),
            Self::OneOf(words) => f.write_str(&words.join(" / ")),
            Self::MarkMask => f.write_str("mark mask"),
            Self::Interfaces => f.write_str("interface list"),
            Self::Authority => f.write_str("host:port"),
            Self::Hostname => f.write_str("host name"),
            Self::Endpoints => f.write_str("URL list"),
            Self::Ports => f.write_str("port list"),
            Self::Address => f.write_str("address"),
            Self::File => f.write_str("path"),
            Self::ExistingFile => f.write_str("existing file"),
            Self::Executable => f.write_str("program"),
            Self::Text => f.write_str("text"),
        }
    }
}

// === impl Source ===

impl Source {
    /// True when people of this host set it.
    #[must_use]
    pub fn is_local(self) -> bool {
        matches!(self, Self::Default | Self::File | Self::Environment)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Default => "default",
            Self::Global => "datastore (global)",
            Self::PerHost => "datastore (per-host)",
            Self::File => "config file",
            Self::Environment => "environment variable",
        })
    }
}

// === impl Parameters: typed reads ===

/// The table's kinds and these reads agree: a test reads every row through them.
const AGREES: &str = "the table gives this parameter this kind";

impl Parameters {
    /// A [`Kind::Bool`].
    ///
    /// # Panics
    /// When the parameter is of another kind.
    #[must_use]
    pub fn bool(&self, name: Name) -> bool {
        let Value::Bool(value) = self.value(name) else { panic!("{AGREES}") };
        *value
    }

    /// A [`Kind::Int`] as it is, below and above its range cut off.
    ///
    /// # Panics
    /// When the parameter is of another kind.
    #[must_use]
    pub fn int(&self, name: Name) -> i64 {
        let Value::Int(value) = self.value(name) else { panic!("{AGREES}") };
        *value
    }

    /// A [`Kind::Int`] that is a port.
    ///
    /// # Panics
    /// When the parameter is of another kind.
    #[must_use]
    pub fn port(&self, name: Name) -> u16 {
        u16::try_from(self.int(name)).unwrap_or_default()
    }

    /// A [`Kind::Seconds`] or [`Kind::Millis`]; negative times are 0.
    ///
    /// # Panics
    /// When the parameter is of another kind.
    #[must_use]
    pub fn time(&self, name: Name) -> Duration {
        let Value::Time(value) = self.value(name) else { panic!("{AGREES}") };
        *value
    }

    /// A text of any kind; empty = not set.
    ///
    /// # Panics
    /// When the parameter is no text.
    #[must_use]
    pub fn text(&self, name: Name) -> &str {
        let Value::Text(value) = self.value(name) else { panic!("{AGREES}") };
        value
    }

    /// A [`Kind::Interfaces`] or [`Kind::Endpoints`].
    ///
    /// # Panics
    /// When the parameter is of another kind.
    #[must_use]
    pub fn list(&self, name: Name) -> &[String] {
        let Value::List(value) = self.value(name) else { panic!("{AGREES}") };
        value
    }

    /// A [`Kind::Ports`].
    ///
    /// # Panics
    /// When the parameter is of another kind.
    #[must_use]
    pub fn ports(&self, name: Name) -> &[FailsafePort] {
        let Value::Ports(value) = self.value(name) else { panic!("{AGREES}") };
        value
    }

    /// A [`Kind::Address`].
    ///
    /// # Panics
    /// When the parameter is of another kind.
    #[must_use]
    pub fn address(&self, name: Name) -> Option<IpAddr> {
        let Value::Address(value) = self.value(name) else { panic!("{AGREES}") };
        *value
    }

    /// A [`Kind::MarkMask`].
    ///
    /// # Panics
    /// When the parameter is of another kind.
    #[must_use]
    pub fn mask(&self, name: Name) -> u32 {
        let Value::Mask(value) = self.value(name) else { panic!("{AGREES}") };
        *value
    }
}

#[cfg(test)]
mod tests;
