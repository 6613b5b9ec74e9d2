//! Commands beside the recorded ones, each with every byte of its standard output, in process and in memory.

use std::collections::BTreeMap;

use margay_testkit::conformance::{Call, Stage as _};

use crate::stages::InProcess;

/// One resource of every kind.
const EVERY_KIND: &str = "\
- {apiVersion: v1, kind: workloadEndpoint, metadata: {node: rack1, orchestrator: k8s, workload: w, name: eth0}, spec: {interfaceName: cali1}}
- {apiVersion: v1, kind: hostEndpoint, metadata: {node: rack1, name: h}, spec: {interfaceName: eth0}}
- {apiVersion: v1, kind: profile, metadata: {name: p, tags: [b, a]}}
- {apiVersion: v1, kind: policy, metadata: {name: q}, spec: {order: 1000000}}
- {apiVersion: v1, kind: ipPool, metadata: {cidr: 10.1.0.0/16}, spec: {nat-outgoing: true}}
- {apiVersion: v1, kind: node, metadata: {name: rack9}, spec: {bgp: {ipv4Address: 10.0.0.9/24}}}
- {apiVersion: v1, kind: bgpPeer, metadata: {scope: global, peerIP: 192.0.2.1}, spec: {asNumber: \"1.10\"}}
";

const POLICY: &str = "apiVersion: v1\nkind: policy\nmetadata: {name: a}\n";

const TEMPLATE: &str = "{{range .}}{{.Kind}}={{join .Items \"+\"}},{{end}}{{config \"ASNumber\"}}";

/// Arguments, one blank between; everything on standard output, `|` for the end of each line; the exit status.
type Step = (&'static str, &'static str, i32);

/// Plays the steps on one datastore, in a folder with `files`.
fn play(files: &[(&str, &str)], steps: &[Step]) {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, content) in files {
        std::fs::write(folder.path().join(name), content).expect("a file");
    }
    let mut stage = InProcess::default();
    stage.prepare(&BTreeMap::new());
    let env = stage.env();
    for (args, stdout, exit) in steps {
        let call = Call {
            args: args.split(' ').map(str::to_owned).collect(),
            stdin: Vec::new(),
            env: env.clone(),
            cwd: folder.path().to_path_buf(),
        };
        let outcome = stage.run(&call);
        let shown = String::from_utf8(outcome.stdout).expect("text").replace('\n', "|\n");
        assert_eq!((shown.as_str(), outcome.exit), (*stdout, *exit), "$ calicoctl {args}");
    }
}

#[test]
fn several_kinds_are_counted_together() {
    play(
        &[("all.yaml", EVERY_KIND)],
        &[
            (
                "replace -f all.yaml",
                "Failed to replace any resources: resource does not exist: WorkloadEndpoint(node=rack1, orchestrator=k8s, workload=w, name=eth0)|\n",
                1,
            ),
            ("create -f all.yaml", "Successfully created 7 resource(s)|\n", 0),
            (
                "create -f all.yaml",
                "Failed to create any resources: resource already exists: WorkloadEndpoint(node=rack1, orchestrator=k8s, workload=w, name=eth0)|\n",
                1,
            ),
            ("create --skip-exists -f all.yaml", "Successfully created 7 resource(s)|\n", 0),
            ("apply -f all.yaml", "Successfully applied 7 resource(s)|\n", 0),
            ("delete profile p", "Successfully deleted 1 'profile' resource(s)|\n", 0),
            (
                "replace -f all.yaml",
                "Partial success: replaced the first 2 out of 7 resources:|\nHit error: resource does not exist: Profile(name=p)|\n",
                1,
            ),
            (
                "delete -f all.yaml",
                "Partial success: deleted the first 2 out of 7 resources:|\nHit error: resource does not exist: Profile(name=p)|\n",
                1,
            ),
            ("delete -s -f all.yaml", "Successfully deleted 7 resource(s)|\n", 0),
        ],
    );
}

#[test]
fn a_file_of_every_kind_gives_a_table_for_each() {
    play(
        &[("all.yaml", EVERY_KIND), ("t.tmpl", TEMPLATE)],
        &[
            ("create -f all.yaml", "Successfully created 7 resource(s)|\n", 0),
            (
                "get -f all.yaml -o wide",
                "\
NODE    ORCHESTRATOR   WORKLOAD   NAME   NETWORKS   NATS   INTERFACE   PROFILES   |
rack1   k8s            w          eth0                     cali1                  |
|
NODE    NAME   INTERFACE   IPS   PROFILES   |
rack1   h      eth0                         |
|
NAME   TAGS   |
p      b,a    |
|
NAME   ORDER   SELECTOR   |
q      1e+06              |
|
CIDR          NAT    IPIP    |
10.1.0.0/16   true   false   |
|
NAME    ASN       IPV4          IPV6   |
rack9   (64512)   10.0.0.9/24          |
|
SCOPE    PEERIP      NODE   ASN     |
global   192.0.2.1          65546   |
|
",
                0,
            ),
            (
                "get -f all.yaml -o custom-columns=NODE,NAME",
                "NODE    NAME   |\nrack1   eth0   |\n|\nNODE    NAME   |\nrack1   h      |\n|\n",
                1,
            ),
            (
                "get -f all.yaml -ogo-template-file=t.tmpl",
                "workloadEndpointList=WorkloadEndpoint(Node=rack1, Orchestrator=k8s, Workload=w, Name=eth0),\
                 hostEndpointList=HostEndpoint(Node=rack1, Name=h),profileList=Profile(Name=p),policyList=Policy(Name=q),\
                 ipPoolList=IPPool(CIDR=10.1.0.0/16),nodeList=Node(Name=rack9),\
                 bgpPeerList=BGPPeer(PeerIP=192.0.2.1, Scope=global, Node=),64512",
                0,
            ),
        ],
    );
}

#[test]
fn output_formats_are_refused_before_anything_is_read() {
    for (format, text) in [
        ("custom-columns", "need to specify at least one column"),
        ("custom-columns=", "need to specify at least one column"),
        ("go-template", "need to specify a template"),
        ("go-template=", "need to specify a template"),
        ("go-template-file", "need to specify a template file"),
        ("go-template-file=", "need to specify a template file"),
        ("YAML", "unrecognized output format 'YAML'"),
        ("wide=x", "unrecognized output format 'wide=x'"),
        ("", "unrecognized output format ''"),
    ] {
        let args = format!("get -f absent -o {format}").leak();
        play(&[], &[(args, format!("{text}|\n").leak(), 1)]);
    }
}

#[test]
fn what_a_separator_line_carries_goes_with_it() {
    let stream =
        format!("{POLICY}---foo\n{}--- # b\n{}---", POLICY.replace("a}", "b}"), POLICY.replace("a}", "c}"));
    play(
        &[("s.yaml", &stream)],
        &[
            ("create -f s.yaml", "Successfully created 3 'policy' resource(s)|\n", 0),
            ("get policy", "NAME   |\na      |\nb      |\nc      |\n|\n", 0),
        ],
    );
}

#[test]
fn a_settings_file_that_is_not_there_is_told_without_a_prefix() {
    let line = "Error reading config file: absent|\n";
    play(
        &[("p.yaml", POLICY)],
        &[
            ("get policy -c absent", line, 1),
            ("create -f p.yaml -c absent", line, 1),
            ("config get ipip -c absent", line, 1),
            ("ipam release --ip=10.0.0.1 -c absent", line, 1),
            ("node run --dryrun -c absent", line, 1),
            ("get policy --config=", "Error reading config file: |\n", 1),
            ("get policy -c .", "Failed to create Calico API client: read .: is a directory|\n", 1),
            ("node run --dryrun -c .", "Error executing command: invalid config file|\n", 1),
        ],
    );
}

#[test]
fn a_value_of_the_wrong_type_names_the_field_as_upstream_does() {
    let rule = |fields: &str| format!("{{kind: policy, apiVersion: v1, spec: {{ingress: [{fields}]}}}}");
    let spec = |kind: &str, fields: &str| format!("{{kind: {kind}, apiVersion: v1, spec: {{{fields}}}}}");
    for (document, text) in [
        (
            rule("{action: deny, source: {nets: 5}}"),
            "number '5' into field EntityRule.nets of type []*net.IPNet",
        ),
        (
            rule("{action: deny, destination: {notNets: a}}"),
            "string 'a' into field EntityRule.notNets of type []*net.IPNet",
        ),
        (
            rule("{action: deny, source: {ports: {}}}"),
            "object '{}' into field EntityRule.ports of type []numorstring.Port",
        ),
        (rule("{action: deny, icmp: [8]}"), "array '[8]' into field Rule.icmp of type api.ICMPFields"),
        (rule("{action: deny, ipVersion: 4.5}"), "number '4.5' into field Rule.ipVersion of type int"),
        (rule("deny"), "string 'deny' into field PolicySpec.ingress of type api.Rule"),
        (spec("policy", "types: x"), "string 'x' into field PolicySpec.types of type []api.PolicyType"),
        (spec("policy", "types: [[]]"), "array '[]' into field PolicySpec.types of type api.PolicyType"),
        (
            spec("ipPool", "ipip: {mode: []}"),
            "array '[]' into field IPIPConfiguration.mode of type ipip.Mode",
        ),
        (spec("node", "orchRefs: {}"), "object '{}' into field NodeSpec.orchRefs of type []api.OrchRef"),
        (
            spec("hostEndpoint", "expectedIPs: 1"),
            "number '1' into field HostEndpointSpec.expectedIPs of type []net.IP",
        ),
        (
            spec("workloadEndpoint", "ipNetworks: 1"),
            "number '1' into field WorkloadEndpointSpec.ipNetworks of type []net.IPNet",
        ),
        (
            spec("workloadEndpoint", "ipNATs: true"),
            "bool 'true' into field WorkloadEndpointSpec.ipNATs of type []api.IPNAT",
        ),
        (
            "{kind: bgpPeer, apiVersion: v1, metadata: {scope: []}}".to_owned(),
            "array '[]' into field BGPPeerMetadata.scope of type scope.Scope",
        ),
        (
            "{kind: profile, apiVersion: v1, metadata: {labels: []}}".to_owned(),
            "array '[]' into field ProfileMetadata.labels of type map[string]string",
        ),
    ] {
        let line =
            format!("Failed to execute command: error parsing document: cannot parse {text}|\n").leak();
        play(&[("x.yaml", &document)], &[("create -f x.yaml", line, 1)]);
    }
}
