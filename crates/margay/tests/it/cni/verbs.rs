//! What the verbs do where upstream's plugin does nothing, or something else: the "ours" of `spec/cni.md` 20.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::Command;

use serde_json::{Value, json};

use super::bench::{Bench, run_on_both};
use super::host::{Answer, links, routes, shell};

/// A call with its own configuration and variables.
fn call(bench: &mut Bench, verb: &str, container: &str, more: &Value, variables: &[(&str, &str)]) -> Answer {
    let netns = bench.host.container(container);
    let mut env = bench.env(verb, container, &netns);
    env.extend(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let conf = with(&bench.conf, more);
    bench.host.run("calico", &env, &conf.to_string())
}

fn with(conf: &Value, more: &Value) -> Value {
    let mut conf = conf.clone();
    for (name, value) in more.as_object().expect("an object") {
        conf[name] = value.clone();
    }
    conf
}

fn msg(answer: &Answer) -> &str {
    answer.stdout["msg"].as_str().unwrap_or_default()
}

const POD: [(&str, &str); 1] =
    [("CNI_ARGS", "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=p1;K8S_POD_UID=u1")];

#[test]
fn check_finds_what_is_missing_and_names_it() {
    run_on_both("cni::verbs::check_finds_what_is_missing_and_names_it", |bench| {
        let result = bench.succeed("ADD", "c1");
        let check = |bench: &mut Bench| call(bench, "CHECK", "c1", &json!({ "prevResult": result }), &[]);
        let good = check(bench);
        assert_eq!((good.exit, &good.stdout), (Some(0), &Value::Null), "{good:?}");
        let address = result["ips"][0]["address"].as_str().expect("an address").to_owned();
        for (breakage, mend, code, part) in [
            (
                "ip -n c1 addr del A dev eth0",
                "ip -n c1 addr add A dev eth0; ip -n c1 route replace 169.254.1.1 dev eth0 scope link
                 ip -n c1 route replace default via 169.254.1.1 dev eth0",
                111,
                "lacks address",
            ),
            ("ip route del A", "ip route add A dev calic1 scope link", 114, "lacks"),
            (
                "ip link set calic1 down",
                "ip link set calic1 up; ip route add A dev calic1 scope link",
                113,
                "is down",
            ),
        ] {
            shell(&breakage.replace('A', &address));
            let bad = check(bench);
            assert_eq!(bad.stdout["code"], code, "{breakage}: {bad:?}");
            assert!(msg(&bad).contains(part), "{breakage}: {bad:?}");
            shell(&mend.replace('A', &address));
            assert_eq!(check(bench).exit, Some(0), "{mend}");
        }
        bench.store.delete("/calico/v1/host/h1/workload/cni/c1");
        assert_eq!(check(bench).stdout["code"], 115);
        let bare = call(bench, "CHECK", "c1", &json!({}), &[]);
        assert_eq!((&bare.stdout["code"], msg(&bare)), (&json!(7), "required prevResult missing"));
        bench.succeed("DEL", "c1");
    });
}

#[test]
fn gc_takes_off_what_is_not_listed_and_nothing_else() {
    run_on_both("cni::verbs::gc_takes_off_what_is_not_listed_and_nothing_else", |bench| {
        let old = json!({ "cniVersion": "1.1.0" });
        for container in ["c1", "c2", "c3"] {
            assert_eq!(call(bench, "ADD", container, &old, &[]).exit, Some(0));
        }
        let other = with(&old, &json!({ "name": "other" }));
        assert_eq!(call(bench, "ADD", "c4", &other, &[]).exit, Some(0));
        // What is younger than a minute may be an ADD at work: make it old.
        for (key, value) in bench.store.dump("/calico/ipam/v2/assignment").expect("it is up") {
            let mut block: Value = serde_json::from_str(&value).expect("a block");
            for attribute in block["attributes"].as_array_mut().expect("attributes") {
                attribute["secondary"]["timestamp"] = json!("2020-01-01 00:00:00 +0000 UTC");
            }
            bench.store.put(&key, &block.to_string());
        }
        let silent = call(bench, "GC", "c1", &old, &[]);
        assert_eq!(
            (silent.exit, &silent.stdout),
            (Some(0), &Value::Null),
            "no list, nothing to do: {silent:?}"
        );
        assert_eq!(links(&[]).iter().filter(|link| link["ifname"] != "lo").count(), 4);
        let listed =
            json!([{ "containerID": "c2", "ifname": "eth0" }, { "containerID": "c3", "ifname": "eth9" }]);
        let collected =
            call(bench, "GC", "c1", &with(&old, &json!({ "cni.dev/valid-attachments": listed })), &[]);
        assert_eq!((collected.exit, &collected.stdout), (Some(0), &Value::Null), "{collected:?}");
        let left = bench.left().join("\n");
        for gone in ["calic1", "calic3", "/cni/c1/", "net1.c1", "net1.c3"] {
            assert!(!left.contains(gone), "{gone} in\n{left}");
        }
        for kept in ["calic2", "calic4", "/cni/c2/", "/cni/c4/", "net1.c2", "other.c4"] {
            assert!(left.contains(kept), "{kept} not in\n{left}");
        }
        bench.succeed("DEL", "c2");
        assert_eq!(call(bench, "DEL", "c4", &other, &[]).exit, Some(0));
        bench.assert_clean("all");
    });
}

#[test]
fn status_says_whether_a_container_could_be_added() {
    run_on_both("cni::verbs::status_says_whether_a_container_could_be_added", |bench| {
        let new = json!({ "cniVersion": "1.1.0" });
        let good = call(bench, "STATUS", "c1", &new, &[]);
        assert_eq!((good.exit, &good.stdout), (Some(0), &Value::Null), "{good:?}");
        bench.store.put("/calico/v1/Ready", "false");
        let unready = call(bench, "STATUS", "c1", &new, &[]);
        assert_eq!(unready.stdout["code"], 50, "{unready:?}");
        bench.store.put("/calico/v1/Ready", "true");
        bench.store.delete("/calico/v1/ipam/v4/pool/10.65.0.0-24");
        assert_eq!(call(bench, "STATUS", "c1", &new, &[]).stdout["code"], 50);
        let old = call(bench, "STATUS", "c1", &json!({}), &[]);
        assert_eq!((&old.stdout["code"], msg(&old)), (&json!(1), "config version does not allow STATUS"));
        bench.store.stop();
        let away = call(bench, "STATUS", "c1", &new, &[]);
        assert_eq!(away.stdout["code"], 50, "{away:?}");
        bench.store.start();
    });
}

#[test]
fn an_interface_that_is_there_is_refused_before_an_address_is_assigned() {
    run_on_both("cni::verbs::an_interface_that_is_there_is_refused_before_an_address_is_assigned", |bench| {
        bench.host.container("c1");
        shell("ip -n c1 link add eth0 type veth peer name other");
        let refused = bench.call("ADD", "c1");
        assert_eq!(refused.exit, Some(1));
        assert!(msg(&refused).contains("already exists"), "{refused:?}");
        bench.assert_clean("a refusal");
        let own = bench.env("ADD", "c2", "/proc/self/ns/net");
        let refused = bench.host.run("calico", &own, &bench.conf.to_string());
        assert_eq!(refused.stdout["code"], 8, "{refused:?}");
        bench.assert_clean("a refusal");
    });
}

#[test]
fn two_interfaces_of_a_container_come_and_go_alone() {
    run_on_both("cni::verbs::two_interfaces_of_a_container_come_and_go_alone", |bench| {
        let first = bench.succeed("ADD", "c1");
        let eth1 = [("CNI_IFNAME", "eth1")];
        let second = call(bench, "ADD", "c1", &json!({}), &eth1);
        assert_eq!(second.exit, Some(0), "{second:?}");
        let interface = |result: &Value| result["interfaces"][0]["name"].clone();
        assert_ne!(interface(&first), interface(&second.stdout));
        assert_ne!(first["ips"][0]["address"], second.stdout["ips"][0]["address"]);
        assert_eq!(call(bench, "DEL", "c1", &json!({}), &eth1).exit, Some(0));
        let left = bench.left().join("\n");
        let address =
            first["ips"][0]["address"].as_str().expect("an address").trim_end_matches("/32").to_owned();
        assert!(
            left.contains("calic1") && left.contains(&address) && left.contains("endpoint/eth0"),
            "{left}"
        );
        assert!(!left.contains("eth1"), "{left}");
        bench.succeed("DEL", "c1");
        bench.assert_clean("both");
    });
}

#[test]
fn a_pod_that_starts_again_keeps_nothing_of_its_old_sandbox() {
    run_on_both("cni::verbs::a_pod_that_starts_again_keeps_nothing_of_its_old_sandbox", |bench| {
        let old = call(bench, "ADD", "x", &json!({}), &POD);
        assert_eq!(old.exit, Some(0), "{old:?}");
        assert_eq!(old.stdout["interfaces"][0]["name"], "cali182c452fe96");
        let failing = [POD[0], ("MARGAY_CNI_FAULT", "fail:add-profiled")];
        assert_eq!(call(bench, "ADD", "z", &json!({}), &failing).exit, Some(1));
        assert!(bench.left().join("\n").contains("net1.x"), "the old sandbox keeps its address");
        let new = call(bench, "ADD", "y", &json!({}), &POD);
        assert_eq!(new.exit, Some(0), "{new:?}");
        assert_ne!(old.stdout["ips"][0]["address"], new.stdout["ips"][0]["address"]);
        assert_eq!(call(bench, "DEL", "x", &json!({}), &POD).exit, Some(0));
        let left = bench.left().join("\n");
        assert!(left.contains("k8s/default.p1/endpoint/eth0") && left.contains("net1.y"), "{left}");
        assert!(!left.contains("net1.x") && left.contains("cali182c452fe96"), "{left}");
        assert_eq!(call(bench, "DEL", "y", &json!({}), &POD).exit, Some(0));
        bench.assert_clean("both");
    });
}

#[test]
fn a_route_that_an_abandoned_interface_holds_is_taken() {
    run_on_both("cni::verbs::a_route_that_an_abandoned_interface_holds_is_taken", |bench| {
        let asked = json!({ "runtimeConfig": { "ips": ["10.65.0.7"] } });
        shell(
            "ip link add caliold type veth peer name old0; ip link set caliold up; ip link set old0 up
             ip route add 10.65.0.7/32 dev caliold scope link",
        );
        let added = call(bench, "ADD", "c1", &asked, &[]);
        assert_eq!(added.exit, Some(0), "{added:?}");
        assert_eq!(added.stdout["ips"][0]["address"], "10.65.0.7/32");
        let seen = bench.host.seen(&bench.store);
        assert_eq!(seen["host"]["routes"], json!(["10.65.0.7 dev calic1 scope link"]));
        assert_eq!(call(bench, "DEL", "c1", &asked, &[]).exit, Some(0));
        shell("ip link del caliold");
        bench.assert_clean("all");
    });
}

#[test]
fn results_of_every_version_are_in_its_shape() {
    run_on_both("cni::verbs::results_of_every_version_are_in_its_shape", |bench| {
        for version in ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"] {
            let conf = json!({ "cniVersion": version, "mtu": 1400 });
            let added = call(bench, "ADD", "c1", &conf, &[]);
            assert_eq!(added.exit, Some(0), "{added:?}");
            assert_eq!(added.stdout["cniVersion"], version);
            let old = added.stdout["ip4"]["ip"].is_string();
            assert_eq!(old, version < "0.3.0", "{added:?}");
            let interfaces = added.stdout["interfaces"].as_array().map(Vec::len);
            assert_eq!(interfaces, (!old).then_some(2), "{added:?}");
            if version >= "1.0.0" {
                assert_eq!(added.stdout["interfaces"][1]["mtu"], 1400);
            }
            assert_eq!(call(bench, "DEL", "c1", &conf, &[]).exit, Some(0));
        }
        bench.assert_clean("every version");
    });
}

#[test]
fn secrets_of_the_configuration_are_never_shown() {
    run_on_both("cni::verbs::secrets_of_the_configuration_are_never_shown", |bench| {
        let secret = "canary-token-7f3a";
        let log = bench.host.folder().join("cni.log");
        let more = json!({
            "policy": { "type": "k8s", "k8s_auth_token": secret }, "log_level": "debug", "log_file_path": log,
            "kubernetes": { "kubeconfig": "/nowhere" }
        });
        let mut shown = String::new();
        for (verb, variables) in
            [("ADD", &POD[..]), ("ADD", &[]), ("DEL", &POD), ("DEL", &[]), ("CHECK", &[])]
        {
            let answer = call(bench, verb, "c1", &more, variables);
            shown.push_str(&format!("{} {}", answer.stdout, answer.stderr));
        }
        let broken = with(&more, &json!({ "mtu": secret, "policy": { "k8s_auth_token": [secret] } }));
        let answer = call(bench, "ADD", "c1", &broken, &[]);
        assert_eq!(answer.exit, Some(1));
        shown.push_str(&format!("{} {}", answer.stdout, answer.stderr));
        shown.push_str(&std::fs::read_to_string(&log).expect("the log"));
        for file in std::fs::read_dir("/run/calico/cni/pending-del").into_iter().flatten().flatten() {
            shown.push_str(&std::fs::read_to_string(file.path()).unwrap_or_default());
        }
        assert!(shown.contains("cannot ask a Kubernetes API server"), "{shown}");
        assert!(!shown.contains(secret), "{shown}");
        bench.assert_clean("all");
    });
}

#[test]
fn another_plugin_on_the_path_is_called_with_everything() {
    run_on_both("cni::verbs::another_plugin_on_the_path_is_called_with_everything", |bench| {
        let script = "#!/bin/sh\ncat >/dev/null\necho \"$CNI_COMMAND $CNI_ARGS\" >> {calls}\n\
                      [ $CNI_COMMAND = ADD ] || exit 0\necho '{\"ips\":[{\"address\":\"10.80.0.5/24\"}]}'\n";
        let calls = bench.host.folder().join("calls");
        bench.host.write("bin/odd-ipam", &script.replace("{calls}", &calls.display().to_string()));
        let conf = json!({ "ipam": { "type": "odd-ipam" } });
        let added = call(bench, "ADD", "c1", &conf, &[("CNI_ARGS", "IP=10.80.0.5")]);
        assert_eq!(added.stdout["ips"][0]["address"], "10.80.0.5/32", "{added:?}");
        let result = added.stdout.clone();
        assert_eq!(
            call(bench, "CHECK", "c1", &with(&conf, &json!({ "prevResult": result })), &[]).exit,
            Some(0)
        );
        let failing = [("MARGAY_CNI_FAULT", "fail:wiring-created")];
        assert_eq!(call(bench, "ADD", "c2", &conf, &failing).exit, Some(1));
        assert_eq!(call(bench, "DEL", "c1", &conf, &[]).exit, Some(0));
        let said = std::fs::read_to_string(&calls).expect("what it was told");
        let told: Vec<&str> = said.lines().collect();
        assert_eq!(
            told,
            [
                "ADD IgnoreUnknown=1;IP=10.80.0.5",
                "CHECK IgnoreUnknown=1",
                "ADD IgnoreUnknown=1",
                "DEL IgnoreUnknown=1",
                "DEL IgnoreUnknown=1"
            ]
        );
        bench.assert_clean("all");
    });
}

#[test]
fn add_waits_for_the_agents_word() {
    run_on_both("cni::verbs::add_waits_for_the_agents_word", |bench| {
        let folder = bench.host.folder().join("endpoint-status");
        std::fs::create_dir(&folder).expect("the agent's folder");
        let mac = "02:00:00:00:00:77";
        let said = json!({ "ifaceName": "calic1", "mac": mac, "ipv4Nets": ["10.65.0.7/32"], "ipv6Nets": [] });
        std::fs::write(folder.join("cni c1 eth0"), said.to_string()).expect("the agent's word");
        let conf = json!({
            "endpoint_status_dir": folder, "policy_setup_timeout_seconds": 60,
            "runtimeConfig": { "ips": ["10.65.0.7"], "mac": mac }
        });
        let added = call(bench, "ADD", "c1", &conf, &[]);
        assert_eq!(added.exit, Some(0), "{added:?}");
        assert!(!added.stderr.contains("has not said in time"), "{added:?}");
        let impatient = with(&conf, &json!({ "policy_setup_timeout_seconds": 1, "runtimeConfig": {} }));
        let added = call(bench, "ADD", "c2", &impatient, &[]);
        assert_eq!(added.exit, Some(0));
        assert!(added.stderr.contains("has not said in time"), "{added:?}");
        let backwards = with(&conf, &json!({ "policy_setup_timeout_seconds": -1 }));
        assert_eq!(msg(&call(bench, "ADD", "c3", &backwards, &[])), "invalid pod startup delay of -1");
        for container in ["c1", "c2"] {
            bench.succeed("DEL", container);
        }
        std::fs::remove_dir_all(&folder).expect("the agent's folder");
        bench.assert_clean("all");
    });
}

#[test]
fn an_environment_without_a_command_is_an_error_object() {
    run_on_both("cni::verbs::an_environment_without_a_command_is_an_error_object", |bench| {
        let answer = bench.host.run("calico", &BTreeMap::new(), "");
        assert_eq!((answer.exit, msg(&answer)), (Some(1), "required env variables [CNI_COMMAND] missing"));
    });
}

/// Makes the addresses of one handle look as old versions assigned them: under another one, with nothing noted.
fn make_legacy(bench: &Bench, handle: &str, legacy: &str) {
    for (key, value) in bench.store.dump("/calico/ipam/v2").expect("it is up") {
        if key.ends_with(&format!("/handle/{handle}")) {
            bench.store.put(&key.replace(handle, legacy), &value);
            bench.store.delete(&key);
        } else if key.contains("/assignment/") {
            let mut block: Value = serde_json::from_str(&value).expect("a block");
            for attribute in block["attributes"].as_array_mut().expect("attributes") {
                if attribute["handle_id"] == handle {
                    *attribute = json!({ "handle_id": legacy, "secondary": null });
                }
            }
            bench.store.put(&key, &block.to_string());
        }
    }
}

#[test]
fn addresses_under_the_handle_of_old_versions_go_unless_a_newer_container_lives() {
    let name = "cni::verbs::addresses_under_the_handle_of_old_versions_go_unless_a_newer_container_lives";
    run_on_both(name, |bench| {
        bench.succeed("ADD", "c1");
        make_legacy(bench, "net1.c1", "c1");
        bench.succeed("DEL", "c1");
        bench.assert_clean("a container");
        assert_eq!(call(bench, "ADD", "y", &json!({}), &POD).exit, Some(0));
        make_legacy(bench, "net1.y", "default.p1");
        assert_eq!(call(bench, "DEL", "x", &json!({}), &POD).exit, Some(0));
        assert!(bench.left().join("\n").contains("default.p1"), "it may be the newer container's");
        assert_eq!(call(bench, "DEL", "y", &json!({}), &POD).exit, Some(0));
        bench.assert_clean("a pod");
    });
}

#[test]
fn routes_of_host_local_count_where_version_3_is_meant() {
    run_on_both("cni::verbs::routes_of_host_local_count_where_version_3_is_meant", |bench| {
        let script = "#!/bin/sh\ncat >/dev/null; [ $CNI_COMMAND = ADD ] || exit 0\n\
                      echo '{\"ips\":[{\"version\":\"4\",\"address\":\"10.80.0.5/24\"}]}'\n";
        bench.host.write("bin/host-local", script);
        let default = "default-4 gateway 169.254.1.1 dev eth0";
        let asked = "10.9.0.0/16 gateway 169.254.1.1 dev eth0";
        for (version, defaults, wanted) in [
            ("0.3.1", Value::Null, &[default][..]),
            ("0.3.1", json!(false), &[asked]),
            ("1.0.0", Value::Null, &[asked]),
            ("1.0.0", json!(true), &[asked, default]),
        ] {
            let conf = json!({
                "cniVersion": version, "include_default_routes": defaults,
                "ipam": { "type": "host-local", "routes": [{ "dst": "10.9.0.0/16" }] }
            });
            assert_eq!(call(bench, "ADD", "c1", &conf, &[]).exit, Some(0), "{conf}");
            let mut routes = routes(&["-n", "c1"]);
            routes.retain(|route| !route.starts_with("169.254.1.1"));
            assert_eq!(routes, wanted, "{conf}");
            assert_eq!(call(bench, "DEL", "c1", &conf, &[]).exit, Some(0));
        }
        bench.assert_clean("all");
    });
}

#[test]
fn a_pod_without_policy_gets_the_networks_profile_and_replaces_what_has_its_name() {
    let name = "cni::verbs::a_pod_without_policy_gets_the_networks_profile_and_replaces_what_has_its_name";
    run_on_both(name, |bench| {
        shell("ip link add cali182c452fe96 type veth peer name left0; ip link set cali182c452fe96 up");
        let added = call(bench, "ADD", "x", &json!({}), &POD);
        assert_eq!(added.exit, Some(0), "{added:?}");
        let seen = bench.host.seen(&bench.store);
        let endpoint = &seen["etcd"]["/calico/v1/host/h1/workload/k8s/default.p1/endpoint/eth0"];
        assert_eq!(endpoint["name"], "cali182c452fe96");
        assert_eq!(endpoint["active_instance_id"], "x");
        assert_eq!(endpoint["profile_ids"], json!(["net1"]));
        assert_eq!(
            seen["etcd"]["/calico/v1/policy/profile/net1/rules"],
            json!({ "inbound_rules": [{ "action": "allow" }], "outbound_rules": [{ "action": "allow" }] })
        );
        assert_eq!(call(bench, "DEL", "x", &json!({}), &POD).exit, Some(0));
        bench.assert_clean("all");
    });
}

#[test]
fn a_container_that_is_joined_is_not_wired_again() {
    run_on_both("cni::verbs::a_container_that_is_joined_is_not_wired_again", |bench| {
        let first = bench.succeed("ADD", "c1");
        let before = bench.store.dump("/calico");
        let mut env = bench.env("ADD", "c1", "/var/run/netns/nowhere");
        let again = bench.host.run("calico", &env, &bench.conf.to_string());
        assert_eq!(again.exit, Some(0), "{again:?}");
        assert_eq!(again.stdout["ips"], first["ips"]);
        assert_eq!(bench.store.dump("/calico"), before);
        env.insert("CNI_CONTAINERID".to_owned(), "c2".to_owned());
        let other = bench.host.run("calico", &env, &bench.conf.to_string());
        assert_eq!(other.exit, Some(1), "a new one needs its namespace: {other:?}");
        assert_eq!(bench.store.dump("/calico"), before);
        bench.succeed("DEL", "c1");
        bench.assert_clean("all");
    });
}

#[test]
fn what_was_installed_joins_a_container_and_doctor_finds_it() {
    run_on_both("cni::verbs::what_was_installed_joins_a_container_and_doctor_finds_it", |bench| {
        let (bin, conf) = (bench.host.folder().join("opt/bin"), bench.host.folder().join("net.d"));
        let [bin_text, conf_text] = [&bin, &conf].map(|path| path.display().to_string());
        let margay = |args: &[&str], variables: &[(&str, &str)]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_margay"));
            command.args(args).envs(bench.store.environment()).envs(variables.iter().copied());
            command.output().expect("starting margay")
        };
        let network = json!({ "name": "net1", "cniVersion": "1.0.0", "plugins": [bench.conf] }).to_string();
        let install = ["cni", "install", "--bin-dir", &bin_text, "--conf-dir", &conf_text];
        let installed = margay(&install, &[("CNI_NETWORK_CONFIG", &network)]);
        assert!(installed.status.success(), "{installed:?}");
        let written = std::fs::read(conf.join("10-calico.conflist")).expect("a configuration");
        let written: Value = serde_json::from_slice(&written).expect("JSON");
        let netns = bench.host.container("c1");
        let mut env = bench.env("ADD", "c1", &netns);
        env.insert("CNI_PATH".to_owned(), bin_text.clone());
        let mut child = bench.host.command_at(&bin.join("calico"), &env).spawn().expect("the plugin");
        let stdin = written["plugins"][0].to_string();
        child.stdin.take().expect("its stdin").write_all(stdin.as_bytes()).expect("its input");
        let added = Answer::of(&child.wait_with_output().expect("its end"));
        assert_eq!(added.exit, Some(0), "{added:?}");
        let said = margay(&["doctor", "--output", "json"], &[]);
        let findings: Value = serde_json::from_slice(&said.stdout).expect("JSON");
        let graded = |what: &str| {
            let all = findings["findings"].as_array().expect("findings");
            all.iter().find(|finding| finding["what"] == what).map(|finding| finding["grade"].clone())
        };
        assert_eq!(graded("kernel: veth"), Some(json!("ok")), "{findings}");
        assert_eq!(graded("datastore"), Some(json!("ok")), "{findings}");
        assert_eq!(graded("pools"), Some(json!("ok")), "{findings}");
        assert_eq!(graded("default route"), Some(json!("error")), "{findings}");
        assert_eq!(said.status.code(), Some(1));
        bench.succeed("DEL", "c1");
        bench.assert_clean("all");
    });
}
