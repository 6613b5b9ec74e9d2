//! What a runtime asks: verb, container, interface and namespace, from the environment (`spec/cni.md` 1.2).

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use margay_net::IfName;

use crate::error::{Code, Failure, Result};

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Join a container to the network.
    Add,
    /// Is it still joined?
    Check,
    /// Take it off the network.
    Del,
    /// Take off everything that is not listed.
    Gc,
    /// Could a container be joined now?
    Status,
    /// Which versions are spoken?
    Version,
}

/// The identifier that a runtime gives a container; not empty, of letters, digits, `_`, `.` and `-`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerId(String);

/// One request about one interface of one container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// The container.
    pub container: ContainerId,
    /// The interface inside it.
    pub ifname: IfName,
    /// The path of its network namespace; none on a DEL that has none any more.
    pub netns: Option<PathBuf>,
}

/// The environment of a request.
pub struct Environment<'a>(pub &'a BTreeMap<String, OsString>);

// === impl Verb ===

impl Verb {
    /// As `CNI_COMMAND` spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Add => "ADD",
            Self::Check => "CHECK",
            Self::Del => "DEL",
            Self::Gc => "GC",
            Self::Status => "STATUS",
            Self::Version => "VERSION",
        }
    }

    /// The variables without which it cannot be done.
    const fn required(self) -> &'static [&'static str] {
        match self {
            Self::Add | Self::Check => &["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH"],
            Self::Del => &["CNI_CONTAINERID", "CNI_IFNAME", "CNI_PATH"],
            Self::Gc | Self::Status => &["CNI_PATH"],
            Self::Version => &[],
        }
    }
}

// === impl ContainerId ===

impl ContainerId {
    /// The identifier as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads an identifier.
    ///
    /// # Errors
    /// It has characters that none may have.
    pub fn parse(text: &str) -> Result<Self> {
        if is_identifier(text) {
            return Ok(Self(text.to_owned()));
        }
        Err(Failure::new(Code::ENVIRONMENT, "invalid characters in containerID").with_details(text))
    }
}

/// True for what containers and networks may be called: `^[a-zA-Z0-9][a-zA-Z0-9_.\-]*$`.
#[must_use]
pub fn is_identifier(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(inner)
}

// === impl Environment ===

impl Environment<'_> {
    /// A variable's text; empty when it is not set or no text.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        self.0.get(name).and_then(|value| value.to_str()).unwrap_or_default()
    }

    /// The verb, once everything it needs is set.
    ///
    /// # Errors
    /// It is missing or unknown, or a variable it needs is not set.
    pub fn verb(&self) -> Result<Verb> {
        let verb = match self.text("CNI_COMMAND") {
            "ADD" => Verb::Add,
            "CHECK" => Verb::Check,
            "DEL" => Verb::Del,
            "GC" => Verb::Gc,
            "STATUS" => Verb::Status,
            "VERSION" => Verb::Version,
            "" => return Err(missing(&["CNI_COMMAND"])),
            other => {
                return Err(Failure::new(Code::ENVIRONMENT, format!("unknown CNI_COMMAND: {other}")));
            }
        };
        let absent: Vec<&str> =
            verb.required().iter().copied().filter(|name| self.text(name).is_empty()).collect();
        if absent.is_empty() { Ok(verb) } else { Err(missing(&absent)) }
    }

    /// The container and interface that the request is about.
    ///
    /// # Errors
    /// A name is no good.
    pub fn attachment(&self) -> Result<Attachment> {
        let ifname = self.text("CNI_IFNAME");
        let netns = self.text("CNI_NETNS");
        Ok(Attachment {
            container: ContainerId::parse(self.text("CNI_CONTAINERID"))?,
            ifname: ifname.parse().map_err(|_| bad_ifname(ifname))?,
            netns: (!netns.is_empty()).then(|| PathBuf::from(netns)),
        })
    }

    /// The directories that plugins are looked up in.
    #[must_use]
    pub fn plugin_path(&self) -> Vec<PathBuf> {
        self.text("CNI_PATH").split(':').filter(|part| !part.is_empty()).map(PathBuf::from).collect()
    }
}

fn missing(names: &[&str]) -> Failure {
    Failure::new(Code::ENVIRONMENT, format!("required env variables [{}] missing", names.join(",")))
}

fn bad_ifname(name: &str) -> Failure {
    let reason = match name {
        "." | ".." => "interface name is . or ..",
        _ if name.len() > 15 => "interface name is too long",
        _ => "interface name contains / or : or whitespace characters",
    };
    Failure::new(Code::ENVIRONMENT, reason).with_details(name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::ffi::OsString;

    use super::{Environment, Verb, is_identifier};

    fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, OsString> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), OsString::from(value))).collect()
    }

    fn refused(pairs: &[(&str, &str)]) -> (u32, String) {
        let failure = Environment(&env(pairs)).verb().unwrap_err();
        (failure.code.0, failure.msg)
    }

    #[test]
    fn every_missing_variable_is_named_at_once() {
        assert_eq!(refused(&[]), (4, "required env variables [CNI_COMMAND] missing".to_owned()));
        assert_eq!(
            refused(&[("CNI_COMMAND", "ADD"), ("CNI_PATH", "/bin")]).1,
            "required env variables [CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME] missing"
        );
        assert_eq!(refused(&[("CNI_COMMAND", "GC")]).1, "required env variables [CNI_PATH] missing");
        assert_eq!(refused(&[("CNI_COMMAND", "add")]).1, "unknown CNI_COMMAND: add");
    }

    #[test]
    fn version_needs_nothing_and_del_no_namespace() {
        assert_eq!(Environment(&env(&[("CNI_COMMAND", "VERSION")])).verb(), Ok(Verb::Version));
        let del = env(&[
            ("CNI_COMMAND", "DEL"),
            ("CNI_CONTAINERID", "c1"),
            ("CNI_IFNAME", "eth0"),
            ("CNI_PATH", "/a::/b"),
        ]);
        let environment = Environment(&del);
        assert_eq!(environment.verb(), Ok(Verb::Del));
        assert_eq!(environment.attachment().unwrap().netns, None);
        assert_eq!(environment.plugin_path().len(), 2);
    }

    #[test]
    fn names_are_checked() {
        for (id, ifname, msg) in [
            ("a/b", "eth0", "invalid characters in containerID"),
            ("-a", "eth0", "invalid characters in containerID"),
            ("c1", "sixteen-letters-", "interface name is too long"),
            ("c1", "..", "interface name is . or .."),
            ("c1", "with space", "interface name contains / or : or whitespace characters"),
        ] {
            let env = env(&[("CNI_CONTAINERID", id), ("CNI_IFNAME", ifname)]);
            let failure = Environment(&env).attachment().unwrap_err();
            assert_eq!((failure.code.0, failure.msg.as_str()), (4, msg));
        }
        assert!(is_identifier("a_B.9-"));
        assert!(!is_identifier(""));
    }
}
