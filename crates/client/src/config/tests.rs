use std::sync::Arc;

use margay_store::MemoryKv;
use margay_store::kv::{Kv as _, KvError};

use crate::{AnyStore, Client};

fn client() -> (Client<AnyStore>, MemoryKv) {
    let kv = MemoryKv::new();
    let random: margay_store::flat::Random = Arc::new(|| [7; 16]);
    (Client::new(AnyStore::memory(kv.clone(), Arc::clone(&random)), random), kv)
}

/// A step of a recorded session: the words behind `config`, and what was printed.
async fn step(client: &Client<AnyStore>, words: &str) -> String {
    let mut words: Vec<&str> = words.split(' ').collect();
    let mut take = |prefix: &str| {
        let at = words.iter().position(|word| word.starts_with(prefix))?;
        words.remove(at).strip_prefix(prefix)
    };
    let (node, raw) = (take("--node="), take("--raw="));
    let outcome = match words.as_slice() {
        ["get", name] => client.get_config(name, node, raw).await,
        ["set", name, value] => client.set_config(name, value, node, raw).await.map(|()| String::new()),
        ["unset", name] => client.unset_config(name, node, raw).await.map(|()| String::new()),
        other => panic!("no such step: {other:?}"),
    };
    outcome.unwrap_or_else(|error| format!("Error executing command: {error}"))
}

async fn session(steps: &[(&str, &str)]) -> MemoryKv {
    let (client, kv) = client();
    for (number, (words, printed)) in steps.iter().enumerate() {
        assert_eq!(step(&client, words).await, *printed, "step {number}: {words}");
    }
    kv
}

async fn values(kv: &MemoryKv) -> Vec<(String, String)> {
    let mut values = Vec::new();
    kv.list("/calico", &mut |entry| values.push((entry.key.to_owned(), entry.value.to_owned())))
        .await
        .unwrap();
    values
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test]
async fn friendly_names_behave_as_recorded_in_c39() {
    let kv = session(&[
        ("get logLevel", "info"),
        ("set logLevel warning", ""),
        ("get LOGLEVEL", "warning"),
        ("get logLevel --node=rack1", "warning (inherited from global)"),
        ("set logLevel debug --node=rack1", ""),
        ("get logLevel --node=rack1", "debug"),
        ("unset logLevel --node=rack1", ""),
        ("get logLevel --node=rack1", "warning (inherited from global)"),
        ("set logLevel loud", "Error executing command: error with field loglevel = 'loud'"),
        ("unset logLevel", ""),
        ("get logLevel", "info"),
        ("get nodeToNodeMesh", "on"),
        ("set nodeToNodeMesh off", ""),
        ("get nodeToNodeMesh", "off"),
        ("set nodeToNodeMesh Off", "Error executing command: invalid value 'Off'"),
        ("set nodeToNodeMesh on --node=rack1", "Error executing command: --node should not be specified"),
        ("unset nodeToNodeMesh", ""),
        ("get asNumber", "64512"),
        ("set asNumber 1.10", ""),
        ("get asNumber", "65546"),
        ("set asNumber 70000.1", "Error executing command: the supplied AS number is not valid"),
        ("unset asNumber", ""),
        ("get ipip", "off"),
        ("set ipip on", ""),
        ("get ipip", "on"),
        ("unset ipip", ""),
        ("get mtu", "Error executing command: unrecognised config name 'mtu'"),
    ])
    .await;
    assert_eq!(
        values(&kv).await,
        pairs(&[
            ("/calico/bgp/v1/global/as_num", "64512"),
            ("/calico/bgp/v1/global/loglevel", "info"),
            ("/calico/bgp/v1/global/node_mesh", r#"{"enabled":true}"#),
            ("/calico/v1/config/IpInIpEnabled", "false"),
            ("/calico/v1/config/LogSeverityScreen", "info"),
        ])
    );
}

#[tokio::test]
async fn raw_values_behave_as_recorded_in_c40() {
    let kv = session(&[
        ("get --raw=felix IpInIpMtu", "(unset)"),
        ("set --raw=felix IpInIpMtu 1400", ""),
        ("get --raw=felix IpInIpMtu", "1400"),
        ("get --raw=felix IpInIpMtu --node=rack1", "(unset)"),
        ("set --raw=felix IpInIpMtu 1300 --node=rack1", ""),
        ("get --raw=felix IpInIpMtu --node=rack1", "1300"),
        ("unset --raw=felix IpInIpMtu --node=rack1", ""),
        ("unset --raw=felix IpInIpMtu", ""),
        ("unset --raw=felix IpInIpMtu", ""),
        ("set --raw=bgp as_num 64999", ""),
        ("get asNumber", "64999"),
        ("get --raw=bgp AsNumber", "64999"),
        ("set --raw=bgp NodeMeshEnabled true", ""),
        ("get --raw=bgp node_mesh", "true"),
        ("get --raw=bird x", "Error executing command: unrecognised component 'bird'"),
    ])
    .await;
    assert_eq!(
        values(&kv).await,
        pairs(&[
            ("/calico/bgp/v1/global/as_num", "64999"),
            ("/calico/bgp/v1/global/node_mesh", r#"{"enabled":true}"#),
        ])
    );
}

#[tokio::test]
async fn every_level_tells_bgp_programs_its_own_word() {
    for (level, bgp) in [
        ("none", "none"),
        ("debug", "debug"),
        ("info", "info"),
        ("warning", "none"),
        ("error", "none"),
        ("critical", "none"),
    ] {
        let set = format!("set logLevel {level} --node=n1");
        let kv = session(&[(&set, "")]).await;
        assert_eq!(
            values(&kv).await,
            pairs(&[
                ("/calico/bgp/v1/host/n1/loglevel", bgp),
                ("/calico/v1/host/n1/config/LogSeverityScreen", level)
            ])
        );
    }
}

#[tokio::test]
async fn names_of_one_node_are_not_renamed() {
    let kv = session(&[
        ("set --raw=bgp NodeMeshEnabled yes --node=n1", ""),
        ("get --raw=bgp NodeMeshEnabled --node=n1", "yes"),
        ("set --raw=bgp node_mesh yes", ""),
        ("get --raw=bgp NodeMeshEnabled", "false"),
        ("set --raw=bgp LogLevel x", ""),
        ("set --raw=felix asnumber 1", ""),
        ("get asNumber", "64512"),
    ])
    .await;
    assert_eq!(
        values(&kv).await,
        pairs(&[
            ("/calico/bgp/v1/global/loglevel", "x"),
            ("/calico/bgp/v1/global/node_mesh", r#"{"enabled":false}"#),
            ("/calico/bgp/v1/host/n1/NodeMeshEnabled", "yes"),
            ("/calico/v1/config/asnumber", "1"),
        ])
    );
}

#[tokio::test]
async fn stored_values_that_make_no_sense_are_told_apart() {
    let steps = [
        ("set --raw=bgp as_num many", ""),
        ("get asNumber", "Error executing command: invalid AS Number format (many)"),
        ("set --raw=felix IpInIpEnabled Yes", ""),
        ("get ipip", "on"),
        ("set --raw=felix IpInIpEnabled perhaps", ""),
        ("get ipip", "off"),
    ];
    session(&steps).await;
    let (client, kv) = client();
    kv.put("/calico/bgp/v1/global/node_mesh", "{broken", margay_store::kv::Precondition::None, None)
        .await
        .unwrap();
    assert_eq!(step(&client, "get nodeToNodeMesh").await, "off");
}

#[tokio::test]
async fn a_node_that_would_leave_its_directory_is_refused() {
    session(&[
        ("set logLevel debug --node=a/b", "Error executing command: error with field node = 'a/b'"),
        ("get --raw=felix X --node=", "Error executing command: error with field node = ''"),
        ("get ipip --node=a/b", "Error executing command: --node should not be specified"),
        ("set --raw=felix ../../x 1", "Error executing command: invalid key '/calico/v1/config/../../x': a component of the path is '.' or '..'"),
    ])
    .await;
}

#[tokio::test]
async fn the_second_key_of_a_level_is_written_even_if_the_first_fails() {
    let (client, kv) = client();
    // A directory where the first key should be.
    kv.make_directory("/calico/v1/config/LogSeverityScreen").await.unwrap();
    let error = client.set_config("logLevel", "debug", None, None).await.unwrap_err();
    assert!(error.to_string().contains("LogSeverityScreen"), "{error}");
    assert_eq!(values(&kv).await, pairs(&[("/calico/bgp/v1/global/loglevel", "debug")]));
    assert!(matches!(kv.get("/calico/v1/config/LogSeverityScreen").await, Err(KvError::Shape(_))));
}

#[tokio::test]
async fn a_slip_of_the_finger_is_corrected() {
    let (client, _) = client();
    let error = client.get_config("loglvel", None, None).await.unwrap_err();
    assert_eq!(error.hint().as_deref(), Some("did you mean 'logLevel'?"));
}
