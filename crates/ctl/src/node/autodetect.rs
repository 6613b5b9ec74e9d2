//! The methods by which a node looks for its own address: checked here, carried out in the container.

use std::fmt;

use margay_net::{Ip, IpVersion};
use regex_lite::Regex;

use super::Host;

/// The method that needs no environment variable.
pub(super) const FIRST_FOUND: &str = "first-found";

/// What is wrong with a method; `Display` is the text after `Error executing command: `.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum MethodError {
    /// The name of `can-reach` has no address.
    Unresolved(String),
    /// The name of `can-reach` has no address of that version.
    WrongVersion(IpVersion, String),
    /// A list of `interface` or `skip-interface`, and the part that is no regular expression.
    BadRegex {
        /// The whole list.
        list: String,
        /// The first faulty part.
        part: String,
    },
    /// No such method.
    Unknown(String),
}

// === impl MethodError ===

impl fmt::Display for MethodError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unresolved(name) => {
                write!(f, "cannot resolve address specified for IP autodetection: {name}")
            }
            Self::WrongVersion(version, name) => write!(
                f,
                "address for IP autodetection does not resolve to an IPv{} address: {name}",
                version.number(),
            ),
            Self::BadRegex { list, .. } => {
                write!(f, "invalid interface regex specified for IP autodetection: {list}")
            }
            Self::Unknown(method) => write!(f, "invalid IP autodetection method: {method}"),
        }
    }
}

/// Checks a method for addresses of `version`.
pub(super) fn check(method: &str, version: IpVersion, host: &dyn Host) -> Result<(), MethodError> {
    if method == FIRST_FOUND {
        return Ok(());
    }
    if let Some(name) = method.strip_prefix("can-reach=") {
        return can_reach(name, version, host);
    }
    let lists = ["interface=", "skip-interface="];
    match lists.iter().find_map(|prefix| method.strip_prefix(prefix)) {
        Some(list) => regexes(list),
        None => Err(MethodError::Unknown(method.to_owned())),
    }
}

fn can_reach(name: &str, version: IpVersion, host: &dyn Host) -> Result<(), MethodError> {
    let addresses = host.resolve(name).map_err(|_| MethodError::Unresolved(name.to_owned()))?;
    if addresses.into_iter().any(|address| Ip::from(address).version() == version) {
        return Ok(());
    }
    Err(MethodError::WrongVersion(version, name.to_owned()))
}

// COMPAT(interface list): upstream compiles the list as one expression, which refuses none of its parts by itself
// and some good lists; ours compiles each part, as the container does. The message names the list as before.
fn regexes(list: &str) -> Result<(), MethodError> {
    for part in list.split(',').map(str::trim) {
        if Regex::new(part).is_err() {
            return Err(MethodError::BadRegex { list: list.to_owned(), part: part.to_owned() });
        }
    }
    Ok(())
}
