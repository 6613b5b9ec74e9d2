//! Values that stand in a datastore, whoever wrote them.

use margay_model::Key;
use margay_model::codec::{
    NodeParts, as_stored, decode, decode_node, decode_profile, encode, encode_profile_part, holds_resource,
    node_parts,
};
use margay_model::key::ProfilePart;
use margay_model::resource::Resource;
use serde_json::{Map, Value as Json, json};

use crate::meaning;

/// A field that no version of the data model has.
const FOREIGN: &str = "x-foreign-field";

/// Keys and values in turn, with NUL between.
///
/// What can be read can be written again without a change, and what others put beside our fields stays.
pub fn stored(input: &[u8]) {
    let Some(text) = crate::text(input) else { return };
    let mut parts = text.split('\0');
    let mut records = Vec::new();
    while let (Some(path), Some(value)) = (parts.next(), parts.next()) {
        if let Some(key) = Key::parse(path) {
            records.push((key, value));
        }
    }
    for (key, value) in &records {
        record(key, value);
    }
    profiles(&records);
    nodes(&records);
}

fn record(key: &Key, value: &str) {
    let resource = match decode(key, value) {
        Ok(Some(resource)) => resource,
        Ok(None) => return assert!(!holds_resource(key), "{key} holds nothing"),
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    shown(&resource);
    if resource.identity().is_err() {
        // Nobody can write a resource that lacks what its key is made of.
        return;
    }
    let written = encode(&resource, Some(value)).expect("the kind has one key");
    let again = reread(key, &written);
    assert_eq!(encode(&again, Some(&written)).as_ref(), Some(&written), "{value} settles on no value");
    assert_eq!(reread(key, &encode(&again, None).expect("as before")), again, "{value}");
    assert_eq!(as_stored(&as_stored(&again)), as_stored(&again), "{value}");
    keeps_foreign(key, value, &resource);
}

fn reread(key: &Key, written: &str) -> Resource {
    match decode(key, written) {
        Ok(Some(resource)) => resource,
        other => panic!("{key}: wrote {written}, which reads as {other:?}"),
    }
}

/// What others add does not change what is read, and stays when we write.
fn keeps_foreign(key: &Key, value: &str, resource: &Resource) {
    let Ok(Json::Object(mut object)) = serde_json::from_str::<Json>(value) else { return };
    let foreign = json!({"list": [1, "b", null, 2.5], "flag": true});
    object.insert(FOREIGN.to_owned(), foreign.clone());
    let value = Json::Object(object).to_string();
    match decode(key, &value) {
        Ok(Some(with)) => assert_eq!(with, *resource, "a foreign field changes what {value} means"),
        // Letter cases of one name in one object: which of them counts is decided by their order.
        other => panic!("{key}: a foreign field makes {value} unreadable: {other:?}"),
    }
    let written = encode(resource, Some(&value)).expect("as before");
    let written: Map<String, Json> = serde_json::from_str(&written).expect("an object");
    assert_eq!(written.get(FOREIGN), Some(&foreign), "{value} loses what others wrote");
}

fn shown(resource: &Resource) {
    meaning::survives_writing(&resource.value());
    let mut text = String::new();
    margay_text::go_fmt::write_go_value(&mut text, &resource.go_value());
}

fn profiles(records: &[(Key, &str)]) {
    let part = |wanted| {
        records.iter().rev().find_map(|(key, value)| match key {
            Key::ProfilePart { name, part } if *part == wanted => Some((name.as_str(), *value)),
            _ => None,
        })
    };
    let parts = ProfilePart::ALL.map(part);
    let Some((name, _)) = parts.iter().flatten().next().copied() else { return };
    let [tags, labels, rules] = parts.map(|part| part.map(|(_, value)| value));
    let Ok(profile) = decode_profile(name, tags, labels, rules) else { return };
    shown(&Resource::Profile(Box::new(profile.clone())));
    let before = [tags, labels, rules];
    let write = |before: [Option<&str>; 3], profile| {
        std::array::from_fn::<_, 3, _>(|i| encode_profile_part(profile, ProfilePart::ALL[i], before[i]))
    };
    let written = write(before, &profile);
    let [tags, labels, rules] = written.each_ref().map(|text| Some(text.as_str()));
    match decode_profile(name, tags, labels, rules) {
        Ok(again) => assert_eq!(write([tags, labels, rules], &again), written, "{before:?}"),
        Err(error) => panic!("wrote {written:?}: {error}"),
    }
}

fn nodes(records: &[(Key, &str)]) {
    let mut parts = NodeParts::default();
    let mut name = None;
    for (key, value) in records {
        let (node, slot) = match key {
            Key::BgpConfig { node: Some(node), name } => match name.as_str() {
                "ip_addr_v4" => (node, &mut parts.ip_addr_v4),
                "ip_addr_v6" => (node, &mut parts.ip_addr_v6),
                "as_num" => (node, &mut parts.as_num),
                "network_v4" => (node, &mut parts.network_v4),
                "network_v6" => (node, &mut parts.network_v6),
                _ => continue,
            },
            Key::NodeBirdIp { node } => (node, &mut parts.bird_ip),
            Key::OrchRefs { node } => (node, &mut parts.orch_refs),
            _ => continue,
        };
        *slot = Some((*value).to_owned());
        name = Some(node.as_str());
    }
    let Some(name) = name else { return };
    let Ok(node) = decode_node(name, &parts) else { return };
    shown(&Resource::Node(Box::new(node.clone())));
    let written = NodeParts::of(&node);
    match decode_node(name, &written) {
        Ok(again) => assert_eq!(NodeParts::of(&again), written, "{parts:?}"),
        Err(error) => panic!("wrote {written:?}: {error}"),
    }
    assert!(!node_parts(&node).is_empty());
}
