//! `margay doctor`: what would keep this host from joining containers, why it matters, and what mends it.
//!
//! Everything is only looked at. The kernel is tried in a namespace of its own, which goes again.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use margay_client::{DatastoreKind, ExitCode, Invocation, Settings};
use margay_kernel::nft::{ChainPolicy, Detail, Family, Hook, Nft, Nftables as _, TableId};
use margay_kernel::{
    Namespace, ProcSys, Request, Route, RtSocket, Rtnetlink as _, Sysctl, Sysctls as _, Veth, VethEnd,
};
use margay_net::IfName;
use margay_store::Datastore as _;
use serde_json::{Value, json};

use crate::call::{chain, check_ready, runtime};
use crate::config::NetConf;
use crate::identity::node_name;

/// How long the datastore may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// How to look, and how to say it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DoctorOptions {
    /// Print JSON.
    pub json: bool,
    /// Where runtimes look for plugins.
    pub bin_dir: PathBuf,
    /// Where runtimes look for configurations.
    pub conf_dir: PathBuf,
}

/// How bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Grade {
    Good,
    Warning,
    Bad,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    what: &'static str,
    grade: Grade,
    found: String,
    /// Why it matters; empty for what is good.
    why: &'static str,
    /// The command that mends it; empty for what is good.
    mend: String,
}

// === impl DoctorOptions ===

impl Default for DoctorOptions {
    fn default() -> Self {
        Self { json: false, bin_dir: "/opt/cni/bin".into(), conf_dir: "/etc/cni/net.d".into() }
    }
}

// === impl Grade, Finding ===

impl Grade {
    const fn word(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Warning => "warning",
            Self::Bad => "error",
        }
    }
}

impl Finding {
    fn good(what: &'static str, found: impl Into<String>) -> Self {
        Self { what, grade: Grade::Good, found: found.into(), why: "", mend: String::new() }
    }

    fn bad(what: &'static str, found: impl Into<String>, why: &'static str, mend: impl Into<String>) -> Self {
        Self { what, grade: Grade::Bad, found: found.into(), why, mend: mend.into() }
    }

    fn warning(
        what: &'static str,
        found: impl Into<String>,
        why: &'static str,
        mend: impl Into<String>,
    ) -> Self {
        Self { grade: Grade::Warning, ..Self::bad(what, found, why, mend) }
    }

    fn to_json(&self) -> Value {
        json!({
            "what": self.what, "grade": self.grade.word(), "found": self.found, "why": self.why, "mend": self.mend
        })
    }
}

/// Looks at this host; exit status 1 when something is in the way.
pub fn doctor(options: &DoctorOptions, invocation: &mut Invocation<'_>) -> ExitCode {
    let mut findings = kernel();
    findings.extend(sysctls());
    findings.push(forward_policy());
    findings.extend(network());
    findings.extend(plugins(&options.bin_dir));
    let (conf, of_conf) = configuration(&options.conf_dir);
    findings.push(of_conf);
    findings.extend(datastore(conf.as_ref(), invocation));
    let text = if options.json {
        let all: Vec<Value> = findings.iter().map(Finding::to_json).collect();
        json!({ "findings": all }).to_string() + "\n"
    } else {
        readable(&findings)
    };
    // Nobody is left to tell when stdout is closed.
    let _ = invocation.stdout.write_all(text.as_bytes()).and_then(|()| invocation.stdout.flush());
    let worst = findings.iter().map(|finding| finding.grade).max();
    if worst == Some(Grade::Bad) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn readable(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let _ = writeln!(text, "{:<8} {}: {}", finding.grade.word(), finding.what, finding.found);
        if finding.grade != Grade::Good {
            let _ = writeln!(text, "         why: {}\n         do:  {}", finding.why, finding.mend);
        }
    }
    text
}

/// Tries a pair and nftables in a namespace of their own.
fn kernel() -> Vec<Finding> {
    let tried = Namespace::create().map_err(|error| chain(&error)).and_then(|namespace| {
        let visit = || (try_veth(), Nft::open(PATIENCE).map(|nft| nft.features()).map_err(|e| chain(&e)));
        namespace.run(visit).map_err(|error| chain(&error))
    });
    let (veth, nft) = match tried {
        Ok(tried) => tried,
        Err(reason) => {
            let why = "the kernel can only be tried by who may make network namespaces";
            return vec![Finding::warning("kernel", reason, why, "run margay doctor as root")];
        }
    };
    let veth = match veth {
        Ok(()) => Finding::good("kernel: veth", "pairs can be made"),
        Err(reason) => Finding::bad(
            "kernel: veth",
            reason,
            "each container is joined by a pair of interfaces",
            "modprobe veth",
        ),
    };
    let nft = match nft {
        Ok(features) if features.fib => Finding::good("kernel: nftables", features.to_string()),
        Ok(features) => Finding::bad(
            "kernel: nftables",
            features.to_string(),
            "policy needs to look routes up in rules",
            "modprobe nft_fib_inet",
        ),
        Err(reason) => {
            Finding::bad("kernel: nftables", reason, "policy is nftables rules", "modprobe nf_tables")
        }
    };
    vec![veth, nft]
}

fn try_veth() -> Result<(), String> {
    let end = |name: &str| VethEnd { name: name.parse().expect("a name"), mac: None };
    let veth = Veth {
        near: end("try0"),
        far: end("try1"),
        near_up: false,
        far_namespace: None,
        mtu: None,
        queues: None,
    };
    let mut socket = RtSocket::open().map_err(|error| chain(&error))?;
    let outcomes = socket.submit(&[Request::AddVeth(veth)]).map_err(|error| chain(&error))?;
    outcomes.into_iter().try_for_each(|outcome| outcome.map(|_| ()).map_err(|error| chain(&error)))
}

fn sysctls() -> Vec<Finding> {
    let read =
        |path: &[&str]| ProcSys.read(&Sysctl::new(path.iter().copied())).map_err(|error| chain(&error));
    let mut findings = Vec::new();
    let forwarding = "packets between containers and hosts are forwarded by this host";
    for (what, path, name) in [
        ("sysctl: IPv4 forwarding", ["net", "ipv4", "ip_forward"].as_slice(), "net.ipv4.ip_forward"),
        (
            "sysctl: IPv6 forwarding",
            &["net", "ipv6", "conf", "all", "forwarding"],
            "net.ipv6.conf.all.forwarding",
        ),
    ] {
        let mend = format!("sysctl -w {name}=1");
        findings.push(match read(path) {
            Ok(value) if value == "1" => Finding::good(what, "on"),
            Ok(_) if name.contains("ipv6") => Finding::warning(
                what,
                "off",
                "IPv6 packets are forwarded by this host, where it has any",
                mend,
            ),
            Ok(_) => Finding::bad(what, "off", forwarding, mend),
            Err(reason) => Finding::warning(what, reason, forwarding, mend),
        });
    }
    let what = "sysctl: reverse path filter";
    findings.push(match read(&["net", "ipv4", "conf", "all", "rp_filter"]) {
        Ok(value) if value == "2" => Finding::bad(
            what,
            "loose",
            "a container could send packets with another one's address",
            "sysctl -w net.ipv4.conf.all.rp_filter=1",
        ),
        Ok(value) => Finding::good(what, value),
        Err(reason) => Finding::warning(
            what,
            reason,
            "it keeps containers from using foreign addresses",
            "mount -t proc proc /proc",
        ),
    });
    findings
}

/// A chain of somebody else that drops what is forwarded and that nobody of us can see past.
fn forward_policy() -> Finding {
    let what = "foreign FORWARD policy";
    let why = "somebody else's rules drop what this host forwards, whatever our policy says";
    let mut nft = match Nft::open(PATIENCE) {
        Ok(nft) => nft,
        Err(error) => return Finding::warning(what, chain(&error), why, "run margay doctor as root"),
    };
    for (family, word, tool) in
        [(Family::Ip, "ip", "iptables"), (Family::Ip6, "ip6", "ip6tables"), (Family::Inet, "inet", "nft")]
    {
        let table = TableId { family, name: "filter".parse().expect("a name") };
        let Ok(dump) = nft.dump(&table, Detail::Names) else { continue };
        for (name, chain) in dump.contents.into_iter().flat_map(|contents| contents.chains) {
            let drops =
                chain.base.as_ref().is_some_and(|b| b.hook == Hook::Forward && b.policy == ChainPolicy::Drop);
            if drops {
                let mend = match tool {
                    "nft" => format!("nft add chain inet filter {name} '{{ policy accept; }}'"),
                    tool => format!("{tool} -P {name} ACCEPT"),
                };
                return Finding::warning(what, format!("table {word} filter, chain {name}: drop"), why, mend);
            }
        }
    }
    let legacy = std::fs::read_to_string("/proc/net/ip_tables_names").unwrap_or_default();
    if legacy.lines().any(|table| table == "filter") {
        let found = "rules of the old iptables exist, which cannot be read from here";
        return Finding::warning(what, found, why, "iptables-legacy -S FORWARD");
    }
    Finding::good(what, "none")
}

/// Routes and MTU of the host itself.
fn network() -> Vec<Finding> {
    let what = "default route";
    let why = "the host answers for a container's gateway 169.254.1.1 only when it has a route to it";
    let seen = RtSocket::open().and_then(|mut socket| Ok((socket.routes()?, socket.links()?)));
    let (routes, links) = match seen {
        Ok(seen) => seen,
        Err(error) => return vec![Finding::bad(what, chain(&error), why, "run margay doctor as root")],
    };
    let default: Option<&Route> = routes.iter().find(|route| {
        route.destination.prefix() == 0 && route.destination.address().get().is_ipv4() && route.link.is_some()
    });
    let Some(default) = default else {
        return vec![Finding::bad(what, "none", why, "ip route add default via GATEWAY")];
    };
    let link = links.iter().find(|link| Some(link.index) == default.link);
    let name = link.map_or_else(|| "?".to_owned(), |link| link.name.to_string());
    let mut findings = vec![Finding::good(what, format!("by {name}"))];
    if let Some(link) = link {
        let larger: Vec<&IfName> = links
            .iter()
            .filter(|other| other.name.as_str().starts_with("cali") && other.mtu > link.mtu)
            .map(|other| &other.name)
            .collect();
        findings.push(match larger.first() {
            None => Finding::good("MTU", link.mtu.to_string()),
            Some(first) => Finding::warning(
                "MTU",
                format!("{first} has more than {name}"),
                "packets that are too large for the network vanish",
                format!("set \"mtu\" of the CNI configuration to {} or less", link.mtu),
            ),
        });
    }
    findings
}

fn plugins(directory: &Path) -> Vec<Finding> {
    use std::os::unix::fs::PermissionsExt as _;
    let why = "runtimes start the plugins by these names";
    let mend = format!("margay cni install --bin-dir {} --conf-dir /etc/cni/net.d", directory.display());
    [("plugin calico", "calico"), ("plugin calico-ipam", "calico-ipam")]
        .map(|(what, name)| {
            let path = directory.join(name);
            match std::fs::metadata(&path) {
                Ok(meta) if meta.is_file() && meta.permissions().mode() & 0o111 != 0 => {
                    Finding::good(what, path.display().to_string())
                }
                Ok(_) => Finding::bad(what, format!("{} cannot be run", path.display()), why, mend.clone()),
                Err(error) => Finding::bad(what, format!("{}: {error}", path.display()), why, mend.clone()),
            }
        })
        .into()
}

/// The first configuration by name is the one that runtimes take.
fn configuration(directory: &Path) -> (Option<NetConf>, Finding) {
    let what = "CNI configuration";
    let why = "runtimes take the first file of this folder by name";
    let mend = format!("margay cni install --bin-dir /opt/cni/bin --conf-dir {}", directory.display());
    let is_conf = |path: &PathBuf| {
        path.extension().is_some_and(|ext| ["conf", "conflist", "json"].iter().any(|known| ext == *known))
    };
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory)
        .map(|entries| entries.filter_map(Result::ok).map(|entry| entry.path()).filter(is_conf).collect())
        .unwrap_or_default();
    files.sort();
    let Some(first) = files.first() else {
        return (None, Finding::bad(what, format!("none in {}", directory.display()), why, mend));
    };
    let list: Value =
        std::fs::read(first).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    let mut plugin = list.get("plugins").map_or(&list, |plugins| &plugins[0]).clone();
    if plugin["type"] != "calico" {
        let found = format!("{} does not begin with calico", first.display());
        return (None, Finding::bad(what, found, why, mend));
    }
    for name in ["name", "cniVersion"] {
        if plugin.get(name).is_none() {
            plugin[name] = list[name].clone();
        }
    }
    match NetConf::parse(plugin.to_string().as_bytes()) {
        Ok(conf) => (Some(conf), Finding::good(what, first.display().to_string())),
        Err(failure) => (
            None,
            Finding::bad(
                what,
                format!("{}: {}", first.display(), failure.msg),
                why,
                format!("edit {}", first.display()),
            ),
        ),
    }
}

/// The datastore that the configuration names, else the environment.
fn datastore(conf: Option<&NetConf>, invocation: &Invocation<'_>) -> Vec<Finding> {
    let what = "datastore";
    let why = "every container needs an address and a record from it";
    let env: &BTreeMap<String, OsString> = &invocation.env;
    let settings = match conf {
        Some(conf) => conf.settings(&invocation.cwd, env),
        None => Settings::of_environment(&invocation.cwd, env, DatastoreKind::Sqlite),
    };
    let opened = settings.map_err(|error| error.to_string()).and_then(|settings| {
        let fill = invocation.random;
        let random = std::sync::Arc::new(move || {
            let mut bytes = [0; 16];
            fill(&mut bytes);
            bytes
        });
        let store = margay_client::open_existing(&settings, random).map_err(|error| error.to_string())?;
        Ok((settings, store))
    });
    let (settings, store) = match opened {
        Ok(opened) => opened,
        Err(reason) => return vec![Finding::bad(what, reason, why, "name it in the CNI configuration")],
    };
    let described: Vec<String> =
        settings.describe().iter().map(|(name, value)| format!("{name} {value}")).collect();
    let described = described.join(", ");
    let node = match conf {
        Some(conf) => node_name(conf, &mut |_| {}).map_err(|failure| failure.msg),
        None => Ok(rustix::system::uname().nodename().to_string_lossy().into_owned()),
    };
    let Ok(runtime) = runtime() else { return Vec::new() };
    runtime.block_on(async {
        let ready = tokio::time::timeout(PATIENCE, check_ready(&store)).await;
        match ready {
            Ok(Ok(())) => {}
            Ok(Err(failure)) => {
                return vec![Finding::bad(
                    what,
                    format!("{described}: {}", failure.msg),
                    why,
                    "margay apply, or start its server",
                )];
            }
            Err(_) => {
                return vec![Finding::bad(what, format!("{described}: no answer"), why, "start its server")];
            }
        }
        let mut findings = vec![Finding::good(what, described)];
        findings.push(of_node(&store, node).await);
        let room = margay_ipam::pools(&store).await;
        let usable = room.map(|pools| pools.iter().filter(|pool| pool.enabled).count());
        findings.push(match usable {
            Ok(0) => Finding::bad(
                "pools",
                "no enabled pool",
                "containers get their addresses from pools",
                "margay apply -f - <<< '{apiVersion: v1, kind: ipPool, metadata: {cidr: 192.168.0.0/16}}'",
            ),
            Ok(count) => Finding::good("pools", format!("{count} enabled")),
            Err(error) => Finding::bad("pools", error.to_string(), why, "margay get ipPool"),
        });
        findings
    })
}

async fn of_node(store: &margay_client::AnyStore, node: Result<String, String>) -> Finding {
    let what = "node name";
    let why = "endpoints are recorded under the node's name; the agent must use the same";
    let node = match node {
        Ok(node) => node,
        Err(reason) => return Finding::bad(what, reason, why, "set nodename in the CNI configuration"),
    };
    match store.get(&margay_model::Identity::Node(node.clone())).await {
        Ok(_) => Finding::good(what, node),
        Err(margay_store::datastore::Error::DoesNotExist { .. }) => Finding::warning(
            what,
            format!("{node}, which the datastore does not know"),
            why,
            format!("margay apply -f - <<< '{{apiVersion: v1, kind: node, metadata: {{name: {node}}}}}'"),
        ),
        Err(error) => Finding::warning(what, error.to_string(), why, "margay get node"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Finding, Grade, configuration, plugins, readable};

    #[test]
    fn a_finding_says_why_it_matters_and_what_mends_it() {
        let findings = [Finding::good("a", "fine"), Finding::bad("b", "broken", "it matters", "mend it")];
        assert_eq!(
            readable(&findings),
            "ok       a: fine\nerror    b: broken\n         why: it matters\n         do:  mend it\n"
        );
        assert_eq!(findings[1].to_json()["grade"], "error");
    }

    #[test]
    fn the_first_configuration_by_name_must_be_ours() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(configuration(directory.path()).1.grade, Grade::Bad);
        let list = r#"{"name":"n","cniVersion":"1.0.0","plugins":[{"type":"calico","sqlite_path":"/x"}]}"#;
        std::fs::write(directory.path().join("10-calico.conflist"), list).unwrap();
        let (conf, finding) = configuration(directory.path());
        assert_eq!((conf.unwrap().name.as_str(), finding.grade), ("n", Grade::Good));
        std::fs::write(directory.path().join("00-other.conf"), r#"{"name":"o","type":"bridge"}"#).unwrap();
        let (conf, finding) = configuration(directory.path());
        assert!(conf.is_none() && finding.found.ends_with("does not begin with calico"), "{finding:?}");
    }

    #[test]
    fn plugins_must_be_there_and_run() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("calico"), "").unwrap();
        let found = plugins(directory.path());
        assert!(found[0].found.ends_with("cannot be run"), "{found:?}");
        assert_eq!(found[1].grade, Grade::Bad);
        assert!(plugins(Path::new("/nowhere"))[0].mend.starts_with("margay cni install"));
    }
}
