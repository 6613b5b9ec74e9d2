//! Error texts, which scripts match, and record sets.

use std::error::Error as _;

use margay_model::resource::MissingIdentifier;
use margay_model::{Identity, Key, Verb};
use margay_net::IpVersion;

use super::{Error, RecordSet};
use crate::kv::KvError;

fn every_error() -> Vec<(Error, &'static str)> {
    let id = Identity::HostEndpoint { node: "n".to_owned(), name: "e".to_owned() };
    let key = || "/calico/x".to_owned();
    let unavailable = KvError::Unavailable { message: "client: no answer\n".to_owned() };
    let invalid = KvError::InvalidKey { key: key(), reason: "it ends" };
    let incomplete = Error::Incomplete { cause: Box::new(Error::Unauthorized), left: vec![key()] };
    let not_supported = Error::NotSupported { operation: Verb::Create, on: id.to_string() };
    let bad = Error::BadRecord { path: key(), reason: "expected value at line 1".to_owned() };
    vec![
        (MissingIdentifier("node").into(), "insufficient identifiers, missing 'node'"),
        (
            Error::of(KvError::NotFound { key: key() }, &id),
            "resource does not exist: HostEndpoint(node=n, name=e)",
        ),
        (
            Error::of(KvError::Exists { key: key() }, &id),
            "resource already exists: HostEndpoint(node=n, name=e)",
        ),
        (Error::of(KvError::Conflict { key: key() }, &id), "update conflict: 'HostEndpoint(node=n, name=e)'"),
        (Error::of(KvError::Unauthorized, &id), "connection is unauthorized"),
        (Error::of(unavailable, &id), "client: no answer\n"),
        (Error::of(KvError::Server("102: Not a file".to_owned()), &id), "102: Not a file"),
        (Error::of(KvError::Storage("disk full".to_owned()), &id), "disk full"),
        (Error::of(KvError::Shape("not a file: /a".to_owned()), &id), "not a file: /a"),
        (Error::of(invalid, &id), "invalid key '/calico/x': it ends"),
        (not_supported, "operation Create is not supported on HostEndpoint(node=n, name=e)"),
        (bad, "expected value at line 1"),
        (incomplete, "connection is unauthorized"),
    ]
}

#[test]
fn errors_have_the_texts_that_scripts_match() {
    for (error, text) in every_error() {
        assert_eq!(error.to_string(), text);
    }
}

#[test]
fn no_error_repeats_its_cause() {
    for (error, text) in every_error() {
        let mut cause = error.source();
        while let Some(error) = cause {
            assert!(!text.contains(&error.to_string()), "{text} <- {error}");
            cause = error.source();
        }
    }
}

#[test]
fn a_set_holds_its_records_by_node_and_version() {
    let claim =
        |node: &str, cidr: &str| Key::IpamAffinity { node: node.to_owned(), cidr: cidr.parse().unwrap() };
    let keys =
        [claim("a", "10.0.0.0/26"), claim("a", "fd00::/122"), claim("b", "10.0.0.64/26"), Key::IpamConfig];
    let held = |node: Option<&str>, version| {
        let set = RecordSet::IpamAffinities { node: node.map(str::to_owned), version };
        keys.iter().map(|key| set.contains(key)).collect::<Vec<_>>()
    };
    assert_eq!(held(None, None), [true, true, true, false]);
    assert_eq!(held(Some("a"), None), [true, true, false, false]);
    assert_eq!(held(Some("a"), Some(IpVersion::V4)), [true, false, false, false]);
    assert_eq!(held(None, Some(IpVersion::V6)), [false, true, false, false]);
    let block = Key::IpamBlock { cidr: "fd00::/122".parse().unwrap() };
    assert!(RecordSet::IpamBlocks(None).contains(&block));
    assert!(RecordSet::IpamBlocks(Some(IpVersion::V6)).contains(&block));
    assert!(!RecordSet::IpamBlocks(Some(IpVersion::V4)).contains(&block));
    assert!(!RecordSet::IpamHandles.contains(&block));
}
