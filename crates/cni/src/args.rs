//! `CNI_ARGS`: pairs that a runtime hands to every plugin (`spec/cni.md` 3).

use std::borrow::Cow;

use margay_net::{Ip, Mac};

use crate::error::{Code, Failure, Result};

/// What stands in front of the arguments of every plugin we call: they may know fewer keys than we do.
const IGNORE_UNKNOWN: &str = "IgnoreUnknown=1";

/// The arguments that count for us.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Args {
    /// `K8S_POD_NAMESPACE`.
    pub pod_namespace: String,
    /// `K8S_POD_NAME`.
    pub pod_name: String,
    /// `K8S_POD_UID`.
    pub pod_uid: String,
    /// `IP`: ask for this address.
    pub ip: Option<Ip>,
    /// `MAC`: give the container's interface this address.
    pub mac: Option<Mac>,
}

// === impl Args ===

impl Args {
    /// Reads the pairs. The last of a repeated key counts, an empty value is none.
    ///
    /// # Errors
    /// A pair is none, a value cannot be understood, or a key is unknown and `IgnoreUnknown` says no.
    pub fn parse(text: &str) -> Result<Self> {
        // Prepended by us, so that only a later pair can switch it off.
        Self::parse_as(text, true, true)
    }

    /// As [`Args::parse`], where nobody has said yet that unknown keys do not matter: whoever calls an IPAM plugin says
    /// so itself. Assigning knows `IP` alone, releasing also those of pods.
    ///
    /// # Errors
    /// As [`Args::parse`].
    pub fn parse_as_ipam(text: &str, assigning: bool) -> Result<Self> {
        Self::parse_as(text, false, !assigning)
    }

    fn parse_as(text: &str, ignore_unknown: bool, knows_pods: bool) -> Result<Self> {
        let mut args = Self::default();
        let mut unknown = Vec::new();
        let mut ignore_unknown = ignore_unknown;
        for (key, value) in pairs(text)? {
            if !knows_pods && !matches!(key, "IgnoreUnknown" | "IP") {
                unknown.push(format!("\"{key}={value}\""));
            }
            match key {
                "IgnoreUnknown" => ignore_unknown = parse_bool(value)?,
                "K8S_POD_NAMESPACE" => value.clone_into(&mut args.pod_namespace),
                "K8S_POD_NAME" => value.clone_into(&mut args.pod_name),
                "K8S_POD_UID" => value.clone_into(&mut args.pod_uid),
                "K8S_POD_INFRA_CONTAINER_ID" => {}
                "IP" => args.ip = optional(value, "IP")?,
                "MAC" if knows_pods => args.mac = optional(value, "MAC")?,
                _ if knows_pods => unknown.push(format!("\"{key}={value}\"")),
                _ => {}
            }
        }
        if !unknown.is_empty() && !ignore_unknown {
            return Err(refuse(format!("ARGS: unknown args [{}]", unknown.join(" "))));
        }
        Ok(args)
    }

    /// What can be understood of arguments that [`Args::parse`] refuses: enough to clean up.
    #[must_use]
    pub fn parse_leniently(text: &str) -> Self {
        let mut args = Self::default();
        for (key, value) in text.split(';').filter_map(|pair| pair.split_once('=')) {
            match key {
                "K8S_POD_NAMESPACE" => value.clone_into(&mut args.pod_namespace),
                "K8S_POD_NAME" => value.clone_into(&mut args.pod_name),
                "K8S_POD_UID" => value.clone_into(&mut args.pod_uid),
                _ => {}
            }
        }
        args
    }

    /// The arguments as another plugin gets them.
    #[must_use]
    pub fn for_delegates(text: &str) -> Cow<'static, str> {
        if text.is_empty() { IGNORE_UNKNOWN.into() } else { format!("{IGNORE_UNKNOWN};{text}").into() }
    }
}

fn pairs(text: &str) -> Result<Vec<(&str, &str)>> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let pair = |pair: &'_ str| refuse(format!("ARGS: invalid pair {pair:?}"));
    text.split(';')
        .map(|text| match text.split_once('=') {
            Some((key, value)) if !value.contains('=') => Ok((key, value)),
            _ => Err(pair(text)),
        })
        .collect()
}

fn optional<T: std::str::FromStr<Err: std::fmt::Display>>(value: &str, key: &str) -> Result<Option<T>> {
    if value.is_empty() {
        return Ok(None);
    }
    let wrong = |error| refuse(format!("ARGS: error parsing value of pair \"{key}={value}\": {error}"));
    value.parse().map(Some).map_err(wrong)
}

/// True and false as the CNI library reads them.
fn parse_bool(value: &str) -> Result<bool> {
    match value.to_lowercase().as_str() {
        "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        _ => Err(refuse(format!("ARGS: error parsing value of pair \"IgnoreUnknown={value}\""))),
    }
}

fn refuse(msg: String) -> Failure {
    Failure::new(Code::ENVIRONMENT, msg)
}

#[cfg(test)]
mod tests {
    use super::Args;

    fn refused(text: &str) -> String {
        Args::parse(text).unwrap_err().msg
    }

    #[test]
    fn known_keys_are_read_and_unknown_ones_ignored() {
        let args = Args::parse(
            "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=p1;K8S_POD_INFRA_CONTAINER_ID=abc;\
             K8S_POD_UID=u1;IP=10.0.0.1;MAC=02:00:00:00:00:01;Foo=bar",
        )
        .unwrap();
        assert_eq!((args.pod_namespace.as_str(), args.pod_name.as_str()), ("default", "p1"));
        assert_eq!(args.pod_uid, "u1");
        assert_eq!(args.ip.unwrap().to_string(), "10.0.0.1");
        assert_eq!(args.mac.unwrap().to_string(), "02:00:00:00:00:01");
    }

    #[test]
    fn the_last_pair_counts_and_an_empty_address_is_none() {
        assert_eq!(Args::parse("IP=10.0.0.1;IP=10.0.0.2").unwrap().ip.unwrap().to_string(), "10.0.0.2");
        assert_eq!(Args::parse("IP=").unwrap(), Args::default());
        assert_eq!(Args::parse("").unwrap(), Args::default());
    }

    #[test]
    fn what_is_no_pair_is_refused() {
        assert_eq!(refused("FOO"), "ARGS: invalid pair \"FOO\"");
        assert_eq!(refused("A=B=C"), "ARGS: invalid pair \"A=B=C\"");
        assert_eq!(refused("IP=10.0.0.1;"), "ARGS: invalid pair \"\"");
    }

    #[test]
    fn a_later_ignore_unknown_beats_ours() {
        assert_eq!(refused("IgnoreUnknown=0;Foo=bar"), "ARGS: unknown args [\"Foo=bar\"]");
        assert!(refused("IgnoreUnknown=perhaps").contains("IgnoreUnknown"));
        assert!(refused("IP=nowhere").starts_with("ARGS: error parsing value of pair \"IP=nowhere\""));
    }

    #[test]
    fn ignore_unknown_is_a_word_in_any_case_or_a_digit() {
        for yes in ["1", "true", "tRuE"] {
            assert!(Args::parse_as_ipam(&format!("IgnoreUnknown={yes};Foo=bar"), true).is_ok(), "{yes}");
        }
        for odd in ["t", "T", "f", "yes", ""] {
            assert!(
                refused(&format!("IgnoreUnknown={odd}")).contains("error parsing value of pair"),
                "{odd}"
            );
        }
    }

    #[test]
    fn an_ipam_plugin_knows_less_and_ignores_nothing_by_itself() {
        let pod = "K8S_POD_NAMESPACE=n;K8S_POD_NAME=p";
        let refused = |text, assigning| Args::parse_as_ipam(text, assigning).unwrap_err().msg;
        assert_eq!(refused(pod, true), "ARGS: unknown args [\"K8S_POD_NAMESPACE=n\" \"K8S_POD_NAME=p\"]");
        assert_eq!(Args::parse_as_ipam(pod, false).unwrap().pod_name, "p");
        assert_eq!(refused("FOO=1", false), "ARGS: unknown args [\"FOO=1\"]");
        let ignored = format!("{pod};Foo=bar;IP=10.0.0.1;IgnoreUnknown=1");
        assert!(Args::parse_as_ipam(&ignored, true).unwrap().ip.is_some());
        assert_eq!(refused("IP=10.0.0.1;", true), "ARGS: invalid pair \"\"");
        assert_eq!(Args::parse_as_ipam("", true).unwrap(), Args::default());
    }

    #[test]
    fn broken_arguments_still_name_the_pod() {
        let args = Args::parse_leniently("FOO;K8S_POD_NAME=p;K8S_POD_NAMESPACE=n;A=B=C");
        assert_eq!((args.pod_namespace.as_str(), args.pod_name.as_str()), ("n", "p"));
    }

    #[test]
    fn delegates_are_told_to_ignore_what_they_do_not_know() {
        assert_eq!(Args::for_delegates(""), "IgnoreUnknown=1");
        assert_eq!(Args::for_delegates("IP=1.2.3.4"), "IgnoreUnknown=1;IP=1.2.3.4");
    }
}
