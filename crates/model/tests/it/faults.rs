//! Every fault of a document is reported, each at its place.

use margay_model::document::load;
use margay_model::validate::Scope;

fn faults(source: &str) -> Vec<String> {
    let refusal = load(source.as_bytes(), Scope::All).expect_err("a refused document");
    refusal
        .faults
        .iter()
        .map(|f| {
            let hint = f.hint.as_deref().map(|hint| format!(" [{hint}]")).unwrap_or_default();
            format!("{}:{}:{}: {}: {}{hint}", f.document, f.span.line, f.span.column, f.path, f.message)
        })
        .collect()
}

#[test]
fn decoding_faults_are_all_reported_with_places_and_hints() {
    let source = "apiVersion: v1
kind: policy
metadata:
  name: p
  lables: {a: b}
spec:
  order: \"10\"
  ingress:
  - action: allow
    source:
      nets: [10.0.0.0/8, 10.0.0.0/33]
      ports: [\"20:10\"]
";
    assert_eq!(
        faults(source),
        [
            "1:5:3: metadata.lables: unknown field 'lables'",
            "1:7:10: spec.order: expected a number, found a string",
            "1:11:26: spec.ingress[0].source.nets[1]: invalid IP address: 10.0.0.0/33",
            "1:12:15: spec.ingress[0].source.ports[0]: minimum port number (20) is greater than maximum port number (10) in port range",
        ]
    );
}

#[test]
fn validation_faults_are_all_reported_with_places_and_hints() {
    let source = "---
# a comment
apiVersion: v1
kind: policy
metadata: {name: a b}
spec:
  selector: role = 'db'
  ingress:
  - {action: alow, protocol: tpc}
---
apiVersion: v1
kind: hostEndpoint
metadata: {node: n, name: h}
";
    assert_eq!(
        faults(source),
        [
            "1:5:18: metadata.name: 'a b' is not allowed here: 1 to 128 of a-z A-Z 0-9 _ . - /",
            "1:7:13: spec.selector: selector, column 6: expected '==', found '=' [write '==']",
            "1:9:14: spec.ingress[0].action: 'alow' is not one of allow, deny, log, pass [did you mean 'allow'?]",
            "1:9:30: spec.ingress[0].protocol: protocol name invalid [did you mean 'tcp'?]",
            "2:11:1: spec.interfaceName: neither interfaceName nor expectedIPs is given [name the host's interface, or an address it has]",
        ]
    );
}

#[test]
fn several_documents_report_the_first_line_and_all_faults() {
    let source = "{kind: policy, apiVersion: v1, metadata: {name: ok}}\n---\n{kind: polcy, apiVersion: v1}\n---\n{kind: node, apiVersion: v2}\n";
    let refusal = load(source.as_bytes(), Scope::All).unwrap_err();
    assert_eq!(refusal.upstream, "Unknown resource type (polcy) and/or version (v1)");
    assert_eq!(refusal.faults.len(), 2);
    assert_eq!(refusal.faults[0].hint.as_deref(), Some("did you mean 'policy'?"));
    assert_eq!(refusal.faults[1].message, "unknown apiVersion 'v2'");
}
