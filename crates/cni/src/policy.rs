//! Waiting until the agent says that an endpoint's policy is in the kernel: by a file that it writes
//! (`spec/agent.md` 9, `spec/cni.md` 6.6).

use std::path::PathBuf;
use std::time::{Duration, Instant};

use margay_net::{Cidr, Mac};
use serde_json::Value;

use crate::config::NetConf;
use crate::identity::{Identity, Workload};

/// How long ADD waits where the agent runs and nobody has said how long.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often the file is looked for.
const PACE: Duration = Duration::from_millis(2);

/// What the file must say: one of an earlier life of the endpoint says something else.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) mac: Mac,
    pub(crate) addresses: &'a [Cidr],
}

/// Waits as long as the configuration says; false when the agent has said nothing by then. Where nothing is configured,
/// waits only on hosts where an agent writes such files.
pub(crate) fn wait(conf: &NetConf, identity: &Identity, wanted: &Wanted<'_>, limit: Duration) -> bool {
    let patience = match conf.policy_setup_timeout {
        Some(seconds) => Duration::from_secs(u64::try_from(seconds).unwrap_or_default()),
        None if conf.endpoint_status_dir.is_dir() => PATIENCE,
        None => Duration::ZERO,
    };
    if patience.is_zero() {
        return true;
    }
    let end = Instant::now() + patience.min(limit);
    let files = files(conf, identity);
    loop {
        if files.iter().any(|file| says(file, wanted)) {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        std::thread::sleep(PACE);
    }
}

/// The file under the endpoint's identifiers, and for a pod also under those of version 3.
fn files(conf: &NetConf, identity: &Identity) -> Vec<PathBuf> {
    let mut workloads = vec![identity.workload.id()];
    if let Workload::Pod { namespace, name } = &identity.workload {
        workloads.push(format!("{namespace}/{name}"));
    }
    let orchestrator = identity.workload.orchestrator();
    let name = |workload: &String| {
        format!("{orchestrator} {} {}", escape(workload), escape(identity.ifname.as_str()))
    };
    workloads.iter().map(|workload| conf.endpoint_status_dir.join(name(workload))).collect()
}

/// As Go's `url.PathEscape`.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~$&+=:@".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

/// True when the file is about this interface; what it does not say cannot contradict.
fn says(file: &PathBuf, wanted: &Wanted<'_>) -> bool {
    let Ok(text) = std::fs::read_to_string(file) else { return false };
    let Ok(value) = serde_json::from_str::<Value>(&text) else { return text.is_empty() };
    let mac = value["mac"].as_str().filter(|mac| !mac.is_empty());
    let same_mac = mac.is_none_or(|mac| mac.parse() == Ok(wanted.mac));
    let nets: Vec<Cidr> = ["ipv4Nets", "ipv6Nets"]
        .iter()
        .filter_map(|member| value[member].as_array())
        .flatten()
        .filter_map(|net| net.as_str()?.parse().ok())
        .collect();
    same_mac && (nets.is_empty() || wanted.addresses.iter().all(|address| nets.contains(address)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::{Wanted, wait};
    use crate::args::Args;
    use crate::config::NetConf;
    use crate::identity::{Identity, Workload};
    use crate::request::ContainerId;

    const LONG: Duration = Duration::from_secs(60);

    fn conf(seconds: Option<i64>, directory: &std::path::Path) -> NetConf {
        let conf =
            json!({ "name": "n", "policy_setup_timeout_seconds": seconds, "endpoint_status_dir": directory });
        NetConf::parse(conf.to_string().as_bytes()).unwrap()
    }

    fn identity(args: &str) -> Identity {
        let container = ContainerId::parse("c1").unwrap();
        Identity {
            node: "h1".to_owned(),
            workload: Workload::of(&Args::parse(args).unwrap(), &container),
            container,
            ifname: "eth0".parse().unwrap(),
        }
    }

    #[test]
    fn a_file_about_this_interface_ends_the_wait() {
        let directory = tempfile::tempdir().unwrap();
        let pod = identity("K8S_POD_NAMESPACE=default;K8S_POD_NAME=p1");
        let mac = "02:00:00:00:00:01".parse().unwrap();
        let addresses = ["10.65.0.1/32".parse().unwrap()];
        let wanted = Wanted { mac, addresses: &addresses };
        for (file, identity) in [
            ("cni c1 eth0", identity("")),
            ("k8s default.p1 eth0", pod.clone()),
            ("k8s default%2Fp1 eth0", pod),
        ] {
            let conf = conf(Some(60), directory.path());
            let path = directory.path().join(file);
            let about =
                |mac: &str, net: &str| json!({ "mac": mac, "ipv4Nets": [net], "ipv6Nets": [] }).to_string();
            std::fs::write(&path, about("02:00:00:00:00:01", "10.65.0.1/32")).unwrap();
            assert!(wait(&conf, &identity, &wanted, LONG), "{file}");
            for other in
                [about("02:00:00:00:00:02", "10.65.0.1/32"), about("02:00:00:00:00:01", "10.65.0.2/32")]
            {
                std::fs::write(&path, other).unwrap();
                assert!(!wait(&conf, &identity, &wanted, Duration::ZERO), "{file}: an earlier life");
            }
            std::fs::remove_file(&path).unwrap();
        }
    }

    #[test]
    fn nothing_is_waited_for_where_nobody_writes() {
        let directory = tempfile::tempdir().unwrap();
        let wanted = Wanted { mac: [2, 0, 0, 0, 0, 1].into(), addresses: &[] };
        let nowhere = directory.path().join("nowhere");
        assert!(wait(&conf(None, &nowhere), &identity(""), &wanted, LONG));
        assert!(wait(&conf(Some(0), directory.path()), &identity(""), &wanted, LONG));
        assert!(!wait(&conf(None, directory.path()), &identity(""), &wanted, Duration::ZERO));
    }
}
