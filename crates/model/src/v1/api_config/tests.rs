use super::CalicoAPIConfig;

fn error(source: &str) -> String {
    CalicoAPIConfig::decode(source.as_bytes()).unwrap_err().to_string()
}

#[test]
fn a_file_is_read_as_yaml_or_json_with_every_field() {
    let yaml = "apiVersion: v1\nkind: calicoApiConfig\nmetadata:\nspec:\n  datastoreType: etcdv2\n  \
                etcdEndpoints: http://a:1,http://b:2\n  k8sInsecureSkipTLSVerify: true\n  sqlitePath: /x\n";
    let json = r#"{"apiVersion":"v1","kind":"calicoApiConfig","metadata":{},"spec":{"datastoreType":"etcdv2",
        "etcdEndpoints":"http://a:1,http://b:2","k8sInsecureSkipTLSVerify":true,"sqlitePath":"/x"}}"#;
    let config = CalicoAPIConfig::decode(yaml.as_bytes()).unwrap();
    assert_eq!(config.spec.datastore_type.as_deref(), Some("etcdv2"));
    assert_eq!(config.spec.etcd_endpoints, "http://a:1,http://b:2");
    assert!(config.spec.k8s_insecure_skip_tls_verify);
    assert_eq!(config.spec.sqlite_path, "/x");
    assert_eq!(CalicoAPIConfig::decode(json.as_bytes()).unwrap(), config);
}

#[test]
fn an_empty_type_differs_from_none() {
    let config =
        CalicoAPIConfig::decode(b"{apiVersion: v1, kind: calicoApiConfig, spec: {datastoreType: ''}}");
    assert_eq!(config.unwrap().spec.datastore_type.as_deref(), Some(""));
}

#[test]
fn faults_have_upstreams_text() {
    for (source, text) in [
        ("", "invalid config file: unknown APIVersion ''"),
        ("apiVersion: v2\nkind: calicoApiConfig\n", "invalid config file: unknown APIVersion 'v2'"),
        ("apiVersion: v1\nkind: node\n", "invalid config file: expected kind 'calicoApiConfig', got 'node'"),
        (
            "apiVersion: v1\nkind: calicoApiConfig\nspec:\n  etcdEndpoint: x\n",
            "error parsing document: field in document is not recognized or is in the wrong location: etcdEndpoint",
        ),
        (
            "apiVersion: v1\nkind: calicoApiConfig\nspec:\n  etcdEndpoints: [x]\n",
            "error parsing document: cannot parse array '[\"x\"]' into field CalicoAPIConfigSpec.etcdEndpoints \
             of type string",
        ),
    ] {
        assert_eq!(error(source), text, "{source}");
    }
    assert!(error("a: [\n").starts_with("error parsing document: yaml: line "), "{}", error("a: [\n"));
}

#[test]
fn a_slip_of_the_finger_is_located_and_corrected() {
    let error = CalicoAPIConfig::decode(b"spec:\n  etcdEndpoint: x\n").unwrap_err();
    assert_eq!(error.details, ["2:3: unknown field 'etcdEndpoint'"]);
    assert_eq!(error.hints, ["did you mean 'etcdEndpoints'?"]);
}
