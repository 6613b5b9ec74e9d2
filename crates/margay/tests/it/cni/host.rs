//! A throw-away host for the plugin: namespaces of containers, plugins by their names, and what there is to see.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::store::Store;

/// Where Debian puts the reference plugins.
pub(crate) const REFERENCE_PLUGINS: &str = "/usr/lib/cni";

/// The settings of an interface on the host that the recorded sessions show.
const SYSCTLS: [&str; 6] = [
    "ipv4/conf/X/proxy_arp",
    "ipv4/conf/X/forwarding",
    "ipv4/neigh/X/proxy_delay",
    "ipv6/conf/X/disable_ipv6",
    "ipv6/conf/X/proxy_ndp",
    "ipv6/conf/X/forwarding",
];

/// The host. The test that makes it is enclosed.
pub(crate) struct Host {
    folder: TempDir,
    namespaces: BTreeSet<String>,
}

/// What a plugin answered.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The exit status; none when a signal ended it.
    pub(crate) exit: Option<i32>,
    /// JSON, or null when it said nothing.
    pub(crate) stdout: Value,
    /// For people.
    pub(crate) stderr: String,
}

/// True when the reference plugins are installed. Otherwise says that the test is skipped, or fails it under `CI`.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
pub(crate) fn reference_plugins() -> bool {
    let there = Path::new(REFERENCE_PLUGINS).join("host-local").is_file();
    assert!(there || std::env::var_os("CI").is_none(), "the reference plugins are not installed");
    if !there {
        eprintln!("SKIPPED: {REFERENCE_PLUGINS} has no reference plugins");
    }
    there
}

// === impl Host ===

impl Host {
    /// A host with nothing on it but the plugins.
    pub(crate) fn new() -> Self {
        let folder = TempDir::with_prefix("margay-cni-").expect("a folder");
        std::fs::create_dir(folder.path().join("bin")).expect("a folder of plugins");
        for name in ["calico", "calico-ipam"] {
            symlink(env!("CARGO_BIN_EXE_margay"), folder.path().join("bin").join(name)).expect("a plugin");
        }
        shell("ip link set lo up");
        Self { folder, namespaces: BTreeSet::new() }
    }

    /// The folder of the test.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where the plugins are.
    pub(crate) fn plugins(&self) -> PathBuf {
        self.folder.path().join("bin")
    }

    /// Makes a container's namespace, if it is not there.
    pub(crate) fn container(&mut self, name: &str) -> String {
        if self.namespaces.insert(name.to_owned()) {
            shell(&format!("ip netns add {name}"));
        }
        format!("/var/run/netns/{name}")
    }

    /// Removes a container's namespace.
    pub(crate) fn kill_container(&mut self, name: &str) {
        if self.namespaces.remove(name) {
            shell(&format!("ip netns del {name}"));
        }
    }

    /// Writes a file of the test's folder; below `bin` it is a plugin.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("its folder");
        std::fs::write(&path, text).expect("a file");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("its mode");
    }

    /// A plugin's command, with nothing but these variables.
    pub(crate) fn command(&self, plugin: &str, env: &BTreeMap<String, String>) -> Command {
        self.command_at(&self.plugins().join(plugin), env)
    }

    /// As [`Host::command`], of a plugin that stands elsewhere.
    pub(crate) fn command_at(&self, plugin: &Path, env: &BTreeMap<String, String>) -> Command {
        let mut command = Command::new("unshare");
        command
            .args(["--uts", "sh", "-c", r#"hostname exam-host && exec "$@""#, "sh"])
            .arg(plugin)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs(env)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs a plugin.
    pub(crate) fn run(&self, plugin: &str, env: &BTreeMap<String, String>, stdin: &str) -> Answer {
        let mut child = self.command(plugin, env).spawn().expect("starting a plugin");
        // It may end without reading everything.
        let _ = child.stdin.take().expect("its stdin").write_all(stdin.as_bytes());
        Answer::of(&child.wait_with_output().expect("waiting for a plugin"))
    }

    /// Everything that a recorded session shows, but for exit status and answer.
    pub(crate) fn seen(&self, store: &Store) -> Value {
        let mut macs = BTreeMap::new();
        let namespaces: Map<String, Value> =
            self.namespaces.iter().map(|name| (name.clone(), namespace(name, &mut macs))).collect();
        let dump = store.dump("/calico");
        let mut records = dump.as_ref().map_or(Value::Null, |dump| Value::Object(records(dump)));
        let blocks = dump.as_ref().map_or_else(Vec::new, blocks);
        let mut seen = json!({
            "ns": namespaces, "host": host(), "files": files(&self.folder.path().join("seen")), "blocks": blocks
        });
        replace_macs(&mut records, &macs);
        replace_macs(&mut seen["ns"], &macs);
        seen["etcd"] = records;
        seen
    }

    /// Removes everything that a case left.
    pub(crate) fn reset(&mut self) {
        for name in std::mem::take(&mut self.namespaces) {
            shell(&format!("ip netns del {name}"));
        }
        for link in links(&[]) {
            let name = link["ifname"].as_str().unwrap_or_default();
            if name != "lo" && !link["linkinfo"].is_null() {
                let _ = Command::new("ip").args(["link", "del", name]).output();
            }
        }
        for left in ["/run/calico", "/var/run/calico"] {
            let _ = std::fs::remove_dir_all(left);
        }
        for entry in std::fs::read_dir(self.folder.path()).expect("the folder").flatten() {
            if entry.file_name() != "bin" {
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
        for entry in std::fs::read_dir(self.plugins()).expect("the plugins").flatten() {
            if !entry.file_type().is_ok_and(|kind| kind.is_symlink()) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // A test that failed has more to say than what it leaves in namespaces of its own.
        if !std::thread::panicking() {
            self.reset();
        }
    }
}

// === impl Answer ===

impl Answer {
    pub(crate) fn of(output: &Output) -> Self {
        let text = String::from_utf8_lossy(&output.stdout);
        let stdout = match text.trim() {
            "" => Value::Null,
            text => serde_json::from_str(text).unwrap_or_else(|_| json!(text)),
        };
        Self {
            exit: output.status.code(),
            stdout,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// Runs a line of shell that must succeed.
pub(crate) fn shell(line: &str) {
    let output = Command::new("sh").args(["-ec", line]).output().expect("starting a shell");
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
}

fn ip_json(args: &[&str]) -> Vec<Value> {
    let output = Command::new("ip").arg("-j").args(args).output().expect("starting ip");
    assert!(output.status.success(), "ip {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    if text.trim().is_empty() { Vec::new() } else { serde_json::from_str(&text).expect("JSON of ip") }
}

/// The links of a namespace, given as `-n NAME`.
pub(crate) fn links(namespace: &[&str]) -> Vec<Value> {
    ip_json(&[namespace, &["-d", "link", "show"]].concat())
}

fn link(value: &Value) -> Value {
    let up = value["flags"].as_array().is_some_and(|flags| flags.iter().any(|flag| flag == "UP"));
    json!({ "mac": value["address"], "mtu": value["mtu"], "up": up })
}

fn namespace(name: &str, macs: &mut BTreeMap<String, String>) -> Value {
    let inside = ["-n", name];
    let mut shown = Map::new();
    for value in links(&inside) {
        let ifname = value["ifname"].as_str().unwrap_or_default();
        if ifname != "lo" {
            let mac = value["address"].as_str().unwrap_or_default().to_owned();
            macs.insert(mac, format!("{{mac {name}/{ifname}}}"));
            shown.insert(ifname.to_owned(), link(&value));
        }
    }
    let mut addresses = Vec::new();
    for value in ip_json(&[&inside[..], &["addr", "show"]].concat()) {
        let ifname = value["ifname"].as_str().unwrap_or_default();
        for address in value["addr_info"].as_array().into_iter().flatten() {
            if ifname != "lo" && address["scope"] != "link" {
                addresses.push(format!(
                    "{ifname} {}/{}",
                    address["local"].as_str().unwrap_or_default(),
                    address["prefixlen"]
                ));
            }
        }
    }
    addresses.sort();
    json!({ "links": shown, "addresses": addresses, "routes": routes(&inside) })
}

/// The routes that somebody made, as the sessions spell them.
pub(crate) fn routes(namespace: &[&str]) -> Vec<String> {
    let mut shown = Vec::new();
    for family in ["4", "6"] {
        for route in ip_json(&[namespace, &[&format!("-{family}"), "route", "show"]].concat()) {
            let text = |name: &str| route[name].as_str().unwrap_or_default().to_owned();
            let dst = text("dst");
            if dst.starts_with("fe80:") || dst.starts_with("ff00:") {
                continue;
            }
            let mut line = if dst == "default" { format!("default-{family}") } else { dst };
            for (name, word) in [("gateway", "gateway"), ("dev", "dev"), ("scope", "scope")] {
                // IPv6 routes have no scope.
                let shows = name != "scope" || family == "4";
                if shows && !text(name).is_empty() {
                    line.push_str(&format!(" {word} {}", text(name)));
                }
            }
            shown.push(line);
        }
    }
    shown.sort();
    shown
}

fn host() -> Value {
    let (mut shown, mut sysctls) = (Map::new(), Map::new());
    for value in links(&[]) {
        let name = value["ifname"].as_str().unwrap_or_default();
        if name.starts_with("cali") {
            shown.insert(name.to_owned(), link(&value));
            for path in SYSCTLS {
                let path = path.replace('X', name);
                let text = std::fs::read_to_string(format!("/proc/sys/net/{path}")).unwrap_or_default();
                sysctls.insert(path, json!(text.trim()));
            }
        }
    }
    json!({ "links": shown, "routes": routes(&[]), "sysctls": sysctls })
}

fn files(folder: &Path) -> Value {
    let mut found = Map::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().is_some_and(|name| name != "lock") {
                let name = path.strip_prefix(folder).expect("below it").display().to_string();
                let text = std::fs::read_to_string(&path).unwrap_or_default().replace('\r', "");
                found.insert(format!("seen/{name}"), json!(text));
            }
        }
    }
    Value::Object(found)
}

/// The records of the datastore; blocks as the sessions show them.
pub(crate) fn records(dump: &BTreeMap<String, String>) -> Map<String, Value> {
    let read = |(key, text): (&String, &String)| {
        let value = serde_json::from_str(text).unwrap_or_else(|_| json!(text));
        let value = if key.contains("/ipam/v2/assignment/") { block(&value) } else { value };
        (key.clone(), value)
    };
    dump.iter().map(read).collect()
}

fn block(stored: &Value) -> Value {
    let mut taken = Map::new();
    let allocations = stored["allocations"].as_array().map_or(&[][..], Vec::as_slice);
    for (ordinal, index) in allocations.iter().enumerate() {
        if let Some(index) = index.as_u64().and_then(|index| usize::try_from(index).ok()) {
            taken.insert(ordinal.to_string(), stored["attributes"][index].clone());
        }
    }
    json!({
        "cidr": stored["cidr"], "affinity": stored["affinity"], "strictAffinity": stored["strictAffinity"],
        "size": allocations.len(), "taken": taken, "free": runs(&stored["unallocated"]),
    })
}

/// `1-63,0` for 1 to 63 and then 0.
fn runs(list: &Value) -> String {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for ordinal in list.as_array().into_iter().flatten().filter_map(Value::as_u64) {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == ordinal => *last = ordinal,
            _ => runs.push((ordinal, ordinal)),
        }
    }
    let text = |(first, last): &(u64, u64)| {
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    };
    runs.iter().map(text).collect::<Vec<_>>().join(",")
}

fn blocks(dump: &BTreeMap<String, String>) -> Vec<String> {
    let of = |key: &String| {
        key.strip_prefix("/calico/ipam/v2/assignment/")?
            .rsplit_once('/')
            .map(|(_, cidr)| cidr.replacen('-', "/", 1))
    };
    // The dump is sorted by key: versions first, then networks.
    dump.keys().filter_map(of).collect()
}

fn replace_macs(value: &mut Value, macs: &BTreeMap<String, String>) {
    match value {
        Value::String(text) => {
            if let Some(name) = macs.get(text.as_str()) {
                text.clone_from(name);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| replace_macs(item, macs)),
        Value::Object(members) => members.values_mut().for_each(|member| replace_macs(member, macs)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
