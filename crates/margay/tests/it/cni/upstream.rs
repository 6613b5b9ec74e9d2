//! What upstream's plugins do where no session was recorded: derived from sessions and specification.

use serde_json::{Value, json};

use super::bench::{Bench, run_on_both};
use super::host::{Answer, shell};

/// A call with changes of the configuration, where `null` takes a member away, and more variables.
fn call(bench: &mut Bench, plugin: &str, verb: &str, more: &Value, variables: &[(&str, &str)]) -> Answer {
    let netns = bench.host.container("c1");
    let mut env = bench.env(verb, "c1", &netns);
    env.extend(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let mut conf = bench.conf.as_object().expect("an object").clone();
    for (name, value) in more.as_object().expect("an object") {
        match value {
            Value::Null => drop(conf.remove(name)),
            value => drop(conf.insert(name.clone(), value.clone())),
        }
    }
    bench.host.run(plugin, &env, &Value::Object(conf).to_string())
}

fn refused(answer: &Answer, part: &str) {
    let msg = answer.stdout["msg"].as_str().unwrap_or_default();
    assert!(answer.exit == Some(1) && msg.contains(part), "{part}: {answer:?}");
}

#[test]
fn every_version_answers_for_every_family() {
    run_on_both("cni::upstream::every_version_answers_for_every_family", |bench| {
        let key = "/calico/v1/ipam/v6/pool/fd80:24e2:f998:72d6::-122";
        let pool = json!({
            "cidr": "fd80:24e2:f998:72d6::/122", "ipip": "", "ipip_mode": "", "masquerade": false, "ipam": true,
            "disabled": false
        });
        bench.store.put(key, &pool.to_string());
        for version in [json!(null), json!("0.1.0"), json!("0.2.0"), json!("0.3.0"), json!("0.3.1")] {
            for (v4, v6) in [(true, false), (false, true), (true, true)] {
                let flags = json!({
                    "type": "calico-ipam", "assign_ipv4": v4.to_string(), "assign_ipv6": v6.to_string()
                });
                let conf = json!({ "cniVersion": version, "ipam": flags });
                for plugin in ["calico", "calico-ipam"] {
                    let added = call(bench, plugin, "ADD", &conf, &[]);
                    assert_eq!(added.exit, Some(0), "{plugin} {conf}: {added:?}");
                    let old = version.as_str().is_none_or(|version| version < "0.3");
                    let families: Vec<&str> = if old {
                        ["4", "6"]
                            .into_iter()
                            .filter(|family| {
                                let ip = &added.stdout[format!("ip{family}")]["ip"];
                                let bits = if *family == "4" { "/32" } else { "/128" };
                                ip.as_str().is_some_and(|ip| ip.ends_with(bits))
                            })
                            .collect()
                    } else {
                        let ips = added.stdout["ips"].as_array().expect("addresses");
                        ips.iter().filter_map(|ip| ip["version"].as_str()).collect()
                    };
                    let wanted: Vec<&str> = v4.then_some("4").into_iter().chain(v6.then_some("6")).collect();
                    assert_eq!(families, wanted, "{plugin} {conf}: {added:?}");
                    assert_eq!(added.stdout["dns"], json!({}));
                    let deleted = call(bench, plugin, "DEL", &conf, &[]);
                    assert_eq!(
                        (deleted.exit, &deleted.stdout),
                        (Some(0), &Value::Null),
                        "{conf}: {deleted:?}"
                    );
                    bench.assert_clean(&format!("{plugin} {conf}"));
                }
            }
        }
    });
}

#[test]
fn a_second_network_by_name_shares_the_interface_until_one_of_them_goes() {
    run_on_both(
        "cni::upstream::a_second_network_by_name_shares_the_interface_until_one_of_them_goes",
        |bench| {
            let first = bench.succeed("ADD", "c1");
            let other = json!({ "name": "other" });
            let second = call(bench, "calico", "ADD", &other, &[]);
            assert_eq!(second.stdout["ips"], first["ips"], "{second:?}");
            assert_eq!(call(bench, "calico", "DEL", &other, &[]).exit, Some(0));
            let seen = bench.host.seen(&bench.store);
            assert_eq!((&seen["ns"]["c1"]["links"], &seen["host"]["links"]), (&json!({}), &json!({})));
            assert!(bench.left().iter().any(|left| left.contains("net1.c1")), "its address stays with net1");
            bench.succeed("DEL", "c1");
            bench.assert_clean("both");
        },
    );
}

#[test]
fn what_no_endpoint_may_be_called_is_refused_without_a_trace() {
    run_on_both("cni::upstream::what_no_endpoint_may_be_called_is_refused_without_a_trace", |bench| {
        let long = "c".repeat(129);
        let label = |key: &str, value: &str| {
            let labels = json!({ "labels": { "labels": [{ "key": key, "value": value }] } });
            json!({ "args": { "org.apache.mesos": { "network_info": labels } } })
        };
        let none = json!({});
        for (conf, variables, part) in [
            (&none, &[("CNI_CONTAINERID", long.as_str())][..], "error with field workload = 'ccc"),
            (&none, &[("CNI_IFNAME", "ü")], "error with field name = 'ü'"),
            (&json!({ "nodename": "h 1" }), &[], "error with field node = 'h 1'"),
            (&label("///", "x"), &[], "error with field labels = 'map[:x]'"),
            (&label("x", &"v".repeat(64)), &[], "error with field labels = 'map[x:vvv"),
            (&json!({ "name": "n".repeat(129) }), &[], ""),
            (&json!({ "type": 5 }), &[], "failed to load netconf: /type"),
        ] {
            refused(&call(bench, "calico", "ADD", conf, variables), part);
            bench.assert_clean(part);
        }
        assert!(bench.store.dump("/calico/ipam").expect("it is up").is_empty(), "no block was claimed");
    });
}

#[test]
fn an_endpoint_that_nobody_could_write_is_not_joined() {
    run_on_both("cni::upstream::an_endpoint_that_nobody_could_write_is_not_joined", |bench| {
        let key = "/calico/v1/host/h1/workload/cni/c1/endpoint/eth0";
        for (record, part) in [
            ("{}", "error with field interfaceName = ''"),
            (
                r#"{"state":"active","name":"calic1","profile_ids":["net1"],"ipv4_nets":["10.65.0.9/24"]}"#,
                "(IP network contains multiple addresses)",
            ),
        ] {
            bench.store.put(key, record);
            refused(&bench.call("ADD", "c1"), part);
            let dump = bench.store.dump("/calico").expect("it is up");
            assert_eq!(dump[key], record, "as it was");
            assert!(!dump.keys().any(|key| key.contains("/profile/")), "{dump:?}");
        }
        bench.succeed("DEL", "c1");
        bench.assert_clean("all");
    });
}

#[test]
fn an_address_whose_handle_is_lost_goes_with_its_container() {
    run_on_both("cni::upstream::an_address_whose_handle_is_lost_goes_with_its_container", |bench| {
        let handle = "/calico/ipam/v2/handle/net1.c1";
        for broken in [None, Some("junk")] {
            bench.succeed("ADD", "c1");
            match broken {
                Some(text) => bench.store.put(handle, text),
                None => bench.store.delete(handle),
            }
            bench.succeed("DEL", "c1");
            bench.store.delete(handle);
            bench.assert_clean("a lost handle");
        }
    });
}

#[test]
fn an_answer_of_an_ipam_plugin_that_cannot_be_used_is_taken_back() {
    run_on_both("cni::upstream::an_answer_of_an_ipam_plugin_that_cannot_be_used_is_taken_back", |bench| {
        let conf = json!({ "cniVersion": "0.3.1", "ipam": { "type": "odd-ipam" } });
        let calls = bench.host.folder().join("calls");
        for (answer, status, part) in [
            ("hello", 0, ""),
            ("{}", 0, "IPAM plugin returned missing IP config"),
            (r#"{"ips":[]}"#, 0, "IPAM plugin returned missing IP config"),
            (r#"{"ips":[{"version":"4","address":"10.80.0.5"}]}"#, 0, "invalid CIDR address: 10.80.0.5"),
            (r#"{"code":7,"msg":"no room"}"#, 1, "no room"),
            ("boom", 1, "netplugin failed but error parsing its diagnostic message \"boom"),
        ] {
            let script = format!(
                "#!/bin/sh\ncat >/dev/null\necho $CNI_COMMAND >> {}\n[ $CNI_COMMAND = ADD ] || exit 0\n\
                 echo '{answer}'\nexit {status}\n",
                calls.display()
            );
            bench.host.write("bin/odd-ipam", &script);
            let _ = std::fs::remove_file(&calls);
            refused(&call(bench, "calico", "ADD", &conf, &[]), part);
            let told = std::fs::read_to_string(&calls).expect("what it was told");
            assert_eq!(told, "ADD\nDEL\n", "{answer}");
            bench.assert_clean(answer);
        }
        bench.host.write("bin/odd-ipam", "#!/bin/sh\necho boom\ncat\nexit 1\n");
        let mut armed = conf.clone();
        armed["policy"] = json!({ "k8s_auth_token": "canary-7f3a" });
        let answer = call(bench, "calico", "ADD", &armed, &[]);
        refused(&answer, "\"boom");
        assert!(!format!("{answer:?}").contains("canary-7f3a"), "{answer:?}");
        assert!(answer.stdout["msg"].as_str().is_some_and(|msg| msg.contains("***")), "{answer:?}");
        let two =
            r#"{"ips":[{"version":"4","address":"10.80.0.5/24"},{"version":"4","address":"10.80.0.6/24"}]}"#;
        bench
            .host
            .write("bin/odd-ipam", &format!("#!/bin/sh\n[ $CNI_COMMAND = ADD ] && echo '{two}'\nexit 0\n"));
        let added = call(bench, "calico", "ADD", &conf, &[]);
        assert_eq!(added.stdout["ips"][1]["address"], "10.80.0.6/32", "{added:?}");
        shell("ip route get 10.80.0.6 | grep -q calic1");
        assert_eq!(call(bench, "calico", "DEL", &conf, &[]).exit, Some(0));
        bench.assert_clean("two addresses");
    });
}

#[test]
fn arguments_of_the_ipam_plugin_are_its_own() {
    run_on_both("cni::upstream::arguments_of_the_ipam_plugin_are_its_own", |bench| {
        let none = json!({ "cniVersion": "0.3.1" });
        let ipam = |bench: &mut Bench, verb: &str, arguments: &str| {
            call(bench, "calico-ipam", verb, &none, &[("CNI_ARGS", arguments)])
        };
        let pod = "K8S_POD_NAMESPACE=default;K8S_POD_NAME=p1";
        refused(&ipam(bench, "ADD", pod), "ARGS: unknown args [");
        refused(&ipam(bench, "ADD", "IP=10.65.0.3;"), "ARGS: invalid pair \"\"");
        refused(&ipam(bench, "ADD", "IP=10.65.0.3/26"), "ARGS: error parsing value of pair");
        refused(&ipam(bench, "ADD", "IP=10.99.0.3"), "is not in a configured pool");
        let got = ipam(bench, "ADD", &format!("IgnoreUnknown=1;{pod};IP=10.65.0.3"));
        assert_eq!(got.stdout["ips"], json!([{ "version": "4", "address": "10.65.0.3/32" }]), "{got:?}");
        refused(&ipam(bench, "DEL", "FOO"), "ARGS: invalid pair \"FOO\"");
        bench.assert_clean("a release with arguments that nobody understands");
        assert_eq!(ipam(bench, "DEL", pod).exit, Some(0));
    });
}
