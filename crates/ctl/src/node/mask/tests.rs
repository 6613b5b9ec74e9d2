//! What must not leave the machine, and what must stay readable.

use super::*;

fn masked(text: &str) -> String {
    masked_knowing(&[], text)
}

fn masked_knowing(env: &[(&str, &str)], text: &str) -> String {
    let mut to = Vec::new();
    Masker::new(env.iter().copied()).copy(text.as_bytes(), &mut to).expect("memory takes every write");
    String::from_utf8(to).expect("the text stays text")
}

#[test]
fn values_with_telling_names_are_masked() {
    for (line, expected) in [
        ("ETCD_PASSWORD=hunter2 NEXT=1", "ETCD_PASSWORD=*** NEXT=1"),
        ("etcdPassword: hunter2", "etcdPassword: ***"),
        (r#"{"etcdPassword":"a b","x":1}"#, r#"{"etcdPassword":***,"x":1}"#),
        (r#"msg="{\"k8sAPIToken\":\"a b\"}" x=1"#, r#"msg="{\"k8sAPIToken\":***}" x=1"#),
        ("cfg={K8sAPIToken:abc.def EtcdScheme:https}", "cfg={K8sAPIToken:*** EtcdScheme:https}"),
        ("client_secret = 'x y' z", "client_secret = *** z"),
        ("curl --token abc -v", "curl --token *** -v"),
        ("api-key=1&b=2", "api-key=***&b=2"),
    ] {
        assert_eq!(masked(line), expected);
    }
}

#[test]
fn credentials_in_headers_urls_and_tokens_are_masked() {
    for (line, expected) in [
        ("Authorization: Bearer abcdefgh1234", "Authorization: Bearer ***"),
        ("Proxy-Authorization: Basic dXNlcjpwYXNz", "Proxy-Authorization: Basic ***"),
        ("get https://root:pw@10.0.0.1:2379/v2", "get https://root:***@10.0.0.1:2379/v2"),
        ("x eyJhbGciOiJSUzI1.eyJpc3MiOiJr.c2ln y", "x *** y"),
    ] {
        assert_eq!(masked(line), expected);
    }
}

#[test]
fn private_keys_are_masked_over_several_lines_and_within_one() {
    assert_eq!(
        masked("a\n-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc=\n-----END RSA PRIVATE KEY-----\nb\n"),
        "a\n-----BEGIN RSA PRIVATE KEY-----\n***\n***\n***-----END RSA PRIVATE KEY-----\nb\n"
    );
    assert_eq!(
        masked(r"k=-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY----- z"),
        r"k=-----BEGIN PRIVATE KEY-----***-----END PRIVATE KEY----- z"
    );
    assert_eq!(masked("-----BEGIN PRIVATE KEY-----\nMIIE\n"), "-----BEGIN PRIVATE KEY-----\n***\n");
}

#[test]
fn values_of_our_own_variables_are_masked_wherever_they_stand() {
    let env = [
        ("ETCD_PASSWORD", "swordfish"),
        ("CALICO_K8S_API_TOKEN", "fish9"),
        ("X_SECRET", "a"),
        ("USER", "root"),
    ];
    assert_eq!(
        masked_knowing(&env, "root said swordfish, then fish9 and a"),
        "root said ***, then *** and a"
    );
}

#[test]
fn ordinary_lines_stay_as_they_are() {
    for line in [
        "default via 10.0.0.1 dev eth0\n",
        "-A cali-INPUT -m comment --comment \"cali:msRIDfJRWnYwzW4g\" -j ACCEPT\n",
        "2018-01-01 12:00:00.000 [INFO][42] calc_graph.go 1: Policy update key=PolicyKey(name=web)\n",
        "-----BEGIN CERTIFICATE-----\nMIIC\n-----END CERTIFICATE-----\n",
        "etcd https://10.0.0.1:2379/v2/keys@x\n",
        "no newline at the end",
    ] {
        assert_eq!(masked(line), line);
    }
}
