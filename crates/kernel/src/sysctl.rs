//! Kernel settings below `/proc/sys`. What stands below `net` is that of the calling thread's namespace.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use margay_net::{IfName, IpVersion};

/// The name of a setting, in segments: an interface's name may hold dots.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sysctl(Vec<String>);

/// Settings, those of the kernel or of a fake.
pub trait Sysctls {
    /// Reads a value, without the closing line feed.
    fn read(&mut self, sysctl: &Sysctl) -> Result<String, SysctlError>;

    /// Writes a value.
    fn write(&mut self, sysctl: &Sysctl, value: &str) -> Result<(), SysctlError>;

    /// Makes a setting have a value; says whether it had another. What is right already is not written.
    fn set(&mut self, sysctl: &Sysctl, value: &str) -> Result<bool, SysctlError> {
        if self.read(sysctl)? == value {
            return Ok(false);
        }
        self.write(sysctl, value)?;
        Ok(true)
    }
}

/// The settings of the calling thread's namespace.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcSys;

/// Settings in memory: only those that were put there exist.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FakeSysctls {
    values: BTreeMap<Sysctl, String>,
    /// How often a value was written.
    pub writes: usize,
    /// Writes to these are refused.
    pub refused: Vec<Sysctl>,
}

/// A setting can not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum SysctlError {
    /// There is no such setting: no such interface, or a kernel without the feature.
    #[error("{doing} {sysctl}: no such setting")]
    Missing {
        /// `reading` or `setting`.
        doing: &'static str,
        /// The setting.
        sysctl: Sysctl,
    },
    /// The system refused.
    #[error("{doing} {sysctl}")]
    Io {
        /// `reading` or `setting`.
        doing: &'static str,
        /// The setting.
        sysctl: Sysctl,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

// === impl Sysctl ===

impl Sysctl {
    /// `net.VERSION.conf.INTERFACE.NAME`.
    #[must_use]
    pub fn conf(version: IpVersion, interface: &IfName, name: &str) -> Self {
        Self::new(["net", family(version), "conf", interface.as_str(), name])
    }

    /// `net.VERSION.neigh.INTERFACE.NAME`.
    #[must_use]
    pub fn neigh(version: IpVersion, interface: &IfName, name: &str) -> Self {
        Self::new(["net", family(version), "neigh", interface.as_str(), name])
    }

    /// The setting with that path.
    #[must_use]
    pub fn new<'a>(segments: impl IntoIterator<Item = &'a str>) -> Self {
        // A slash inside a segment would lead elsewhere; as a text that names no file it is merely missing.
        Self(segments.into_iter().map(|segment| segment.replace(['/', '\0'], "\u{fffd}")).collect())
    }

    /// The file.
    fn path(&self) -> PathBuf {
        let mut path = PathBuf::from("/proc/sys");
        path.extend(self.0.iter().map(|segment| match segment.as_str() {
            "" | "." | ".." => "\u{fffd}",
            other => other,
        }));
        path
    }

    /// Tells a missing setting from the rest.
    fn error(&self, doing: &'static str, source: io::Error) -> SysctlError {
        let sysctl = self.clone();
        match source.kind() {
            io::ErrorKind::NotFound => SysctlError::Missing { doing, sysctl },
            _ => SysctlError::Io { doing, sysctl, source },
        }
    }
}

impl fmt::Display for Sysctl {
    /// With dots between the segments, as `sysctl` prints it and upstream's messages have it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, segment) in self.0.iter().enumerate() {
            write!(f, "{}{segment}", if index == 0 { "" } else { "." })?;
        }
        Ok(())
    }
}

/// The name of a family below `net`.
fn family(version: IpVersion) -> &'static str {
    match version {
        IpVersion::V4 => "ipv4",
        IpVersion::V6 => "ipv6",
    }
}

// === impl ProcSys ===

impl Sysctls for ProcSys {
    fn read(&mut self, sysctl: &Sysctl) -> Result<String, SysctlError> {
        let mut text = fs::read_to_string(sysctl.path()).map_err(|source| sysctl.error("reading", source))?;
        text.truncate(text.trim_end().len());
        Ok(text)
    }

    fn write(&mut self, sysctl: &Sysctl, value: &str) -> Result<(), SysctlError> {
        // No creation and no truncation: a setting is there or it is not.
        let mut file = fs::OpenOptions::new()
            .write(true)
            .open(sysctl.path())
            .map_err(|source| sysctl.error("setting", source))?;
        io::Write::write_all(&mut file, value.as_bytes()).map_err(|source| sysctl.error("setting", source))
    }

    /// The same with the file opened once.
    fn set(&mut self, sysctl: &Sysctl, value: &str) -> Result<bool, SysctlError> {
        let error = |source| sysctl.error("setting", source);
        let file = fs::OpenOptions::new().read(true).write(true).open(sysctl.path()).map_err(error)?;
        // A value that does not fit differs from all that we set.
        let mut buffer = [0; 256];
        let length = file.read_at(&mut buffer, 0).map_err(error)?;
        if buffer[..length].trim_ascii_end() == value.as_bytes() {
            return Ok(false);
        }
        file.write_all_at(value.as_bytes(), 0).map_err(error)?;
        Ok(true)
    }
}

// === impl FakeSysctls ===

impl FakeSysctls {
    /// Makes a setting exist with a value.
    pub fn put(&mut self, sysctl: Sysctl, value: &str) {
        self.values.insert(sysctl, value.to_owned());
    }

    /// The settings and their values.
    #[must_use]
    pub fn values(&self) -> &BTreeMap<Sysctl, String> {
        &self.values
    }
}

impl Sysctls for FakeSysctls {
    fn read(&mut self, sysctl: &Sysctl) -> Result<String, SysctlError> {
        self.values
            .get(sysctl)
            .cloned()
            .ok_or_else(|| SysctlError::Missing { doing: "reading", sysctl: sysctl.clone() })
    }

    fn write(&mut self, sysctl: &Sysctl, value: &str) -> Result<(), SysctlError> {
        if self.refused.contains(sysctl) {
            return Err(sysctl.error("setting", io::ErrorKind::PermissionDenied.into()));
        }
        let Some(slot) = self.values.get_mut(sysctl) else {
            return Err(SysctlError::Missing { doing: "setting", sysctl: sysctl.clone() });
        };
        value.clone_into(slot);
        self.writes += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
