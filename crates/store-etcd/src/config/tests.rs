//! Endpoints and what is wrong with them.

use super::*;

fn parsed(text: &str) -> (String, String, u16, bool, String) {
    let endpoint = Endpoint::parse(text).unwrap();
    (endpoint.url, endpoint.host, endpoint.port, endpoint.tls_name.is_some(), endpoint.base)
}

fn refused(text: &str) -> String {
    Endpoint::parse(text).unwrap_err().to_string()
}

#[test]
fn endpoints_are_urls_with_the_scheme_and_port_filled_in() {
    let cases = [
        ("http://127.0.0.1:2379", ("http://127.0.0.1:2379", "127.0.0.1", 2379, false, "")),
        ("127.0.0.1:2379", ("http://127.0.0.1:2379", "127.0.0.1", 2379, false, "")),
        ("etcd", ("http://etcd:80", "etcd", 80, false, "")),
        ("HTTPS://etcd.example.org/", ("https://etcd.example.org:443", "etcd.example.org", 443, true, "")),
        ("https://[fd80::1]:2379", ("https://[fd80::1]:2379", "fd80::1", 2379, true, "")),
        ("http://[::1]", ("http://[::1]:80", "::1", 80, false, "")),
        ("http://gateway/etcd/one/", ("http://gateway:80", "gateway", 80, false, "/etcd/one")),
    ];
    for (text, (url, host, port, secure, base)) in cases {
        assert_eq!(parsed(text), (url.to_owned(), host.to_owned(), port, secure, base.to_owned()), "{text}");
    }
}

#[test]
fn bad_endpoints_are_named() {
    assert_eq!(refused("ftp://x:1"), "etcd endpoint 'ftp://x:1': the scheme must be http or https");
    assert_eq!(
        refused("http://name:pass@x:1"),
        "etcd endpoint 'http://***@x:1': user and password belong into etcdUsername and etcdPassword"
    );
    for text in [
        "http://",
        "http://:2379",
        "http://x:0",
        "http://x:65536",
        "http://x:1x",
        "http://::1:2379",
        "http://[::1",
    ] {
        let expected =
            format!("etcd endpoint '{text}': it has no host, or a port that is no number from 1 to 65535");
        assert_eq!(refused(text), expected);
    }
    for text in ["http://a b", "http://x/?a", "http://x#a", "http://x/%41", "http://a,http://b c"] {
        let expected = format!("etcd endpoint '{text}': it must be scheme, host, port and at most a path");
        assert_eq!(refused(text), expected);
    }
    assert!(refused("http://a\u{e9}:1").ends_with("its host is neither a name nor an address"));
}

#[test]
fn endpoints_are_trimmed_and_one_is_needed() {
    let config = |endpoints: &[&str]| EtcdConfig {
        endpoints: endpoints.iter().map(|text| (*text).to_owned()).collect(),
        ..EtcdConfig::default()
    };
    let urls: Vec<String> =
        config(&[" http://a:1 ", "", " b:2"]).parse_endpoints().unwrap().into_iter().map(|e| e.url).collect();
    assert_eq!(urls, ["http://a:1", "http://b:2"]);
    for none in [&[][..], &["", " "]] {
        let error = config(none).parse_endpoints().unwrap_err();
        assert_eq!(error.to_string(), "no etcd authority or endpoints specified");
    }
}
