//! Runtimes that others wrote call the plugin: containerd by its CRI and by `ctr`, podman, and the CNI project's own library.
//!
//! Each test has a host with a way out, an embedded datastore and, where policy counts, the agent.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use margay_testkit::lab::enclosed;
use serde_json::{Value, json};

use super::host::{REFERENCE_PLUGINS, links, routes, shell};

/// Programs of the peers.
const PEERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/cni/peers");

/// Where Debian's Python is, for which Debian packages grpc.
const PYTHON: &str = "/usr/bin/python3";

/// How long a runtime may take to start, and a change of policy to count.
const DEADLINE: Duration = Duration::from_secs(30);

/// A host with plugins, configuration and a way out. What runs on it ends with it.
struct Node {
    folder: PathBuf,
    children: Vec<Child>,
}

/// True when every one of these files is there. Otherwise says that the test is skipped, or fails it under `CI`.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn installed(files: &[&str]) -> bool {
    let missing: Vec<&&str> = files.iter().filter(|file| !Path::new(file).exists()).collect();
    assert!(missing.is_empty() || std::env::var_os("CI").is_none(), "not installed: {missing:?}");
    if !missing.is_empty() {
        eprintln!("SKIPPED: not installed: {missing:?}");
    }
    missing.is_empty()
}

/// Waits until something is so.
fn until(what: &str, mut is: impl FnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !is() {
        assert!(Instant::now() < end, "{what}: not in time");
        std::thread::sleep(Duration::from_millis(50));
    }
}

// === impl Node ===

impl Node {
    /// Below /run, which is the test's own: paths of sockets must be short.
    fn new() -> Self {
        let folder = PathBuf::from("/run/t");
        for name in ["bin", "net.d", "cache", "log"] {
            std::fs::create_dir_all(folder.join(name)).expect("a folder");
        }
        for name in ["calico", "calico-ipam", "calico-felix", "margay"] {
            symlink(env!("CARGO_BIN_EXE_margay"), folder.join("bin").join(name)).expect("a program");
        }
        for name in ["loopback", "portmap", "bandwidth", "tuning", "firewall"] {
            let _ = std::fs::copy(Path::new(REFERENCE_PLUGINS).join(name), folder.join("bin").join(name));
        }
        shell(
            "ip link set lo up; ip netns add outside
             ip link add up0 type veth peer name up1 netns outside; ip link set up0 up
             ip addr add 172.17.0.2/24 dev up0; ip route add default via 172.17.0.1
             ip -n outside addr add 172.17.0.1/24 dev up1; ip -n outside link set up1 up
             echo 1 > /proc/sys/net/ipv4/ip_forward",
        );
        let node = Self { folder, children: Vec::new() };
        let calico = json!({
            "type": "calico", "nodename": "h1", "datastore_type": "sqlite", "sqlite_path": "/run/t/d.db",
            "log_level": "info", "log_file_path": "/run/t/cni.log", "ipam": { "type": "calico-ipam" }
        });
        let portmap = json!({ "type": "portmap", "snat": true, "capabilities": { "portMappings": true } });
        let bandwidth = json!({ "type": "bandwidth", "capabilities": { "bandwidth": true } });
        let list = json!({ "cniVersion": "1.0.0", "name": "net1", "plugins": [calico, portmap, bandwidth] });
        std::fs::write(node.folder.join("net.d/10-calico.conflist"), list.to_string())
            .expect("a configuration");
        node.apply("{apiVersion: v1, kind: ipPool, metadata: {cidr: 10.65.0.0/24}}");
        node
    }

    fn apply(&self, document: &str) {
        std::fs::write(self.folder.join("document"), document).expect("a document");
        self.succeed(self.folder.join("bin/margay"), &["apply", "-f", "/run/t/document"]);
    }

    fn command(&self, program: impl AsRef<Path>, args: &[&str]) -> Command {
        let mut command = Command::new(program.as_ref());
        command
            .args(args)
            .env("DATASTORE_TYPE", "sqlite")
            .env("SQLITE_PATH", "/run/t/d.db")
            .env("CONTAINERS_CONF", "/run/t/containers.conf")
            .env("CONTAINERS_STORAGE_CONF", "/run/t/storage.conf");
        command
    }

    /// Runs a program that must succeed; what it wrote to stdout.
    fn succeed(&self, program: impl AsRef<Path>, args: &[&str]) -> String {
        let output = self.command(program, args).output().expect("starting a program");
        let (stdout, stderr) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let log = std::fs::read_to_string(self.folder.join("cni.log")).unwrap_or_default();
        assert!(output.status.success(), "{args:?}: {stdout}{stderr}\n{log}");
        stdout.into_owned()
    }

    /// Starts a program that stays.
    fn start(&mut self, program: impl AsRef<Path>, args: &[&str], variables: &[(&str, &str)]) {
        let log =
            std::fs::File::create(self.folder.join(format!("{}.log", self.children.len()))).expect("a log");
        let child = self
            .command(program, args)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("the log"))
            .stderr(log)
            .spawn();
        self.children.push(child.expect("starting a program"));
    }

    /// Starts the agent; from now on ADD waits for its word.
    fn start_agent(&mut self) {
        let variables = [
            ("FELIX_FELIXHOSTNAME", "h1"),
            ("FELIX_DATASTORETYPE", "sqlite"),
            ("FELIX_SQLITEPATH", "/run/t/d.db"),
            ("FELIX_LOGFILEPATH", "/run/t/agent.log"),
        ];
        self.start(self.folder.join("bin/calico-felix"), &[], &variables);
        until("the agent", || Path::new("/run/calico/endpoint-status").is_dir());
    }

    /// Starts containerd with an image of busybox, on this host or in the namespace of another.
    fn start_containerd(&mut self, place: &str) {
        let folder = self.folder.join(place).display().to_string();
        std::fs::create_dir_all(&folder).expect("a folder");
        let conf_dir = if place.is_empty() { "/run/t/net.d".to_owned() } else { format!("{folder}/net.d") };
        let conf = r#"version = 2
root = "FOLDER/root"
state = "FOLDER/state"
[grpc]
  address = "FOLDER/c.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "FOLDER/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:lab"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "native"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/run/t/bin"
    conf_dir = "CONF_DIR"
"#;
        let conf = conf.replace("FOLDER", folder.trim_end_matches('/')).replace("CONF_DIR", &conf_dir);
        let file = format!("{folder}/containerd.toml");
        std::fs::write(&file, conf).expect("a configuration");
        if place.is_empty() {
            self.start("/usr/bin/containerd", &["-c", &file], &[]);
        } else {
            let net = format!("--net=/run/netns/{place}");
            self.start("nsenter", &[&net, "/usr/bin/containerd", "-c", &file], &[]);
        }
        self.succeed(PYTHON, &[&format!("{PEERS}/image.py"), "/run/t/pause.tar", "localhost/pause:lab"]);
        let socket = format!("{}/c.sock", folder.trim_end_matches('/'));
        let args = ["-a", &socket, "version"];
        until("containerd", || self.command("ctr", &args).output().is_ok_and(|out| out.status.success()));
        let import = [
            "-a",
            &socket,
            "-n",
            "k8s.io",
            "images",
            "import",
            "--snapshotter",
            "native",
            "/run/t/pause.tar",
        ];
        self.succeed("ctr", &import);
    }

    fn cri(&self, args: &[&str]) -> Value {
        self.cri_of("", args)
    }

    fn cri_of(&self, place: &str, args: &[&str]) -> Value {
        let (script, socket) =
            (format!("{PEERS}/cri.py"), self.folder.join(place).join("c.sock").display().to_string());
        let said = self.succeed(PYTHON, &[&[script.as_str(), &socket], args].concat());
        serde_json::from_str(&said).expect("JSON")
    }

    /// A root file system of busybox, for runtimes without images.
    fn make_rootfs(&self) {
        shell(
            "mkdir -p /run/t/rootfs; cd /run/t/rootfs; mkdir -p bin etc proc sys dev tmp run
             cp /bin/busybox bin; for n in sh sleep ip ping nc cat true; do ln -s busybox bin/$n; done",
        );
    }

    /// Nothing is left of any container, in the kernel, in the datastore, in the journal.
    fn assert_clean(&self) {
        let names = links(&[]).into_iter().filter_map(|link| link["ifname"].as_str().map(str::to_owned));
        let left: Vec<String> =
            names.filter(|name| name.starts_with("cali") || name.starts_with("bwp")).collect();
        assert!(left.is_empty(), "{left:?}");
        let left: Vec<String> = routes(&[]).into_iter().filter(|route| route.starts_with("10.65.")).collect();
        assert!(left.is_empty(), "{left:?}");
        let checked = self.succeed(self.folder.join("bin/margay"), &["ipam", "check"]);
        assert!(checked.contains("found 0 problems"), "{checked}");
        let endpoints =
            self.succeed(self.folder.join("bin/margay"), &["get", "workloadEndpoint", "-o", "json"]);
        assert_eq!(endpoints.trim(), "[]", "{endpoints}");
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        for child in &mut self.children {
            // It may have ended.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn pods_of_containerd_talk_until_a_policy_forbids_it() {
    let needs = ["/usr/bin/containerd", "/usr/sbin/runc", "/bin/busybox", "/usr/lib/cni/portmap", PYTHON];
    if !installed(&needs) || !enclosed("cni::runtimes::pods_of_containerd_talk_until_a_policy_forbids_it") {
        return;
    }
    let mut node = Node::new();
    node.start_agent();
    node.start_containerd("");
    let (client, server) = (node.cri(&["run", "client"]), node.cri(&["run", "server", "30080:8080"]));
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let (client_id, address) = (text(&client["container"]), text(&server["address"]));
    let talk = || node.cri(&["exec", &client_id, "nc", "-w", "1", &address, "8080"])["stdout"] == "hello\n";
    until("the server", talk);
    let outside = ["netns", "exec", "outside", "/bin/busybox", "nc", "-w", "1", "172.17.0.2", "30080"];
    let from_outside = || node.command("ip", &outside).output().is_ok_and(|out| out.stdout == b"hello\n");
    until("the server by the host's port", from_outside);
    node.apply(
        "{apiVersion: v1, kind: policy, metadata: {name: closed}, spec: {selector: all(), types: [ingress],
          ingress: [{action: deny}]}}",
    );
    until("silence", || !talk());
    let log = std::fs::read_to_string("/run/t/cni.log").expect("the plugin's log");
    assert!(!log.contains("has not said in time"), "ADD returns when the policy is in the kernel: {log}");
    node.cri(&["stop", &text(&client["sandbox"]), &text(&server["sandbox"])]);
    node.assert_clean();
}

#[test]
fn pods_of_two_nodes_reach_each_other() {
    let needs = ["/usr/bin/containerd", "/usr/sbin/runc", "/bin/busybox", "/usr/lib/cni/portmap", PYTHON];
    if !installed(&needs) || !enclosed("cni::runtimes::pods_of_two_nodes_reach_each_other") {
        return;
    }
    let mut node = Node::new();
    shell(
        "ip netns add n1; ip netns add n2; ip link add up0 netns n1 type veth peer name up0 netns n2
         for n in 1 2; do
           ip -n n$n link set lo up; ip -n n$n link set up0 up; ip -n n$n addr add 172.18.0.$n/24 dev up0
           ip -n n$n route add default via 172.18.0.$((3 - n))
           ip netns exec n$n sysctl -qw net.ipv4.ip_forward=1
         done",
    );
    let list = std::fs::read_to_string("/run/t/net.d/10-calico.conflist").expect("the configuration");
    for name in ["n1", "n2"] {
        let folder = node.folder.join(name).join("net.d");
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("10-calico.conflist"), list.replace("\"h1\"", &format!("\"{name}\"")))
            .expect("a configuration");
        node.start_containerd(name);
    }
    // Each knows the way to the other's block by its default route.
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let (one, two) = (node.cri_of("n1", &["run", "one"]), node.cri_of("n2", &["run", "two"]));
    let block = |address: &str| {
        let last: u8 = address.rsplit('.').next().and_then(|part| part.parse().ok()).expect("an address");
        last / 64
    };
    let (first, second) = (text(&one["address"]), text(&two["address"]));
    assert_ne!(block(&first), block(&second), "each node has a block of its own");
    for (place, pod, other) in [("n1", &one, &second), ("n2", &two, &first)] {
        let answer =
            node.cri_of(place, &["exec", &text(&pod["container"]), "ping", "-c", "1", "-W", "2", other]);
        assert_eq!(answer["exit"], 0, "{place} to {other}: {answer}");
    }
    node.cri_of("n1", &["stop", &text(&one["sandbox"])]);
    node.cri_of("n2", &["stop", &text(&two["sandbox"])]);
    for name in ["n1", "n2"] {
        let left = routes(&["-n", name]);
        assert!(left.iter().all(|route| !route.starts_with("10.65.")), "{name}: {left:?}");
    }
    node.assert_clean();
}

#[test]
fn a_container_of_ctr_is_joined_and_gone() {
    let needs = ["/usr/bin/containerd", "/usr/bin/ctr", "/usr/sbin/runc", "/bin/busybox", PYTHON];
    if !installed(&needs) || !enclosed("cni::runtimes::a_container_of_ctr_is_joined_and_gone") {
        return;
    }
    let mut node = Node::new();
    node.start_containerd("");
    node.make_rootfs();
    // The client runs the plugins itself, from fixed places.
    let script = "mkdir -p /etc/cni/net.d /opt/cni/bin
        mount --bind /run/t/net.d /etc/cni/net.d; mount --bind /run/t/bin /opt/cni/bin
        exec ctr -a /run/t/c.sock run --rm --cni --rootfs /run/t/rootfs one /bin/ip addr show eth0";
    let shown = node.succeed("unshare", &["-m", "sh", "-ec", script]);
    assert!(shown.contains("inet 10.65.0."), "{shown}");
    node.assert_clean();
}

#[test]
fn a_container_of_podman_is_joined_and_gone() {
    let needs = ["/usr/bin/podman", "/usr/sbin/runc", "/bin/busybox"];
    if !installed(&needs) || !enclosed("cni::runtimes::a_container_of_podman_is_joined_and_gone") {
        return;
    }
    let node = Node::new();
    node.make_rootfs();
    let conf = r#"[network]
network_backend = "cni"
cni_plugin_dirs = ["/run/t/bin"]
network_config_dir = "/run/t/net.d"
default_network = "net1"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
[containers]
default_ulimits = ["nofile=1024:1024","nproc=1024:1024"]
"#;
    std::fs::write("/run/t/containers.conf", conf).expect("a configuration");
    let storage = "[storage]\ndriver=\"vfs\"\ngraphroot=\"/run/t/pod\"\nrunroot=\"/run/t/podrun\"\n";
    std::fs::write("/run/t/storage.conf", storage).expect("a configuration");
    let asked =
        ["run", "--rm", "--network", "net1:ip=10.65.0.77", "--rootfs", "/run/t/rootfs", "/bin/ip", "addr"];
    let shown = node.succeed("podman", &asked);
    assert!(shown.contains("inet 10.65.0.77/32"), "{shown}");
    let any = ["run", "--rm", "--network", "net1", "--rootfs", "/run/t/rootfs", "/bin/ip", "route"];
    let shown = node.succeed("podman", &any);
    assert!(shown.contains("default via 169.254.1.1 dev eth0"), "{shown}");
    node.assert_clean();
}

#[test]
fn the_cni_librarys_own_driver_adds_checks_and_deletes() {
    let sources = "/usr/share/gocode/src/github.com/containernetworking/cni/libcni";
    let name = "cni::runtimes::the_cni_librarys_own_driver_adds_checks_and_deletes";
    if !installed(&["/usr/bin/go", sources]) || !enclosed(name) {
        return;
    }
    let node = Node::new();
    let build = "cp $0 /run/t/main.go && GO111MODULE=off GOPATH=/usr/share/gocode GOCACHE=/run/t/go HOME=/run/t \
                 go build -o /run/t/libcni /run/t/main.go";
    node.succeed("sh", &["-ec", build, &format!("{PEERS}/libcni.go")]);
    shell("ip netns add box");
    let call = |args: &[&str]| {
        node.command("/run/t/libcni", args)
            .env("NETCONFPATH", "/run/t/net.d")
            .env("CNI_PATH", "/run/t/bin")
            .env("CNI_CACHE", "/run/t/cache")
            .env("CNI_CONTAINERID", "box1")
            // CHECK of the bandwidth plugin ends in a fault of its own when no rate is set.
            .env("CAP_ARGS", r#"{"bandwidth":{"ingressRate":80000000,"ingressBurst":80000000,"egressRate":80000000,"egressBurst":80000000}}"#)
            .env("CNI_ARGS", "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=p1")
            .output()
            .expect("starting the driver")
    };
    let said = |args: &[&str]| {
        let output = call(args);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{args:?}: {text}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let netns = "/var/run/netns/box";
    let result: Value = serde_json::from_str(&said(&["add", "net1", netns])).expect("a result");
    // The third is of the bandwidth plugin.
    assert_eq!(result["interfaces"].as_array().map(Vec::len), Some(3), "{result}");
    said(&["check", "net1", netns]);
    let address = result["ips"][0]["address"].as_str().expect("an address");
    shell(&format!("ip route del {address}"));
    let broken = call(&["check", "net1", netns]);
    assert!(!broken.status.success());
    assert!(String::from_utf8_lossy(&broken.stderr).contains("the host lacks route"), "{broken:?}");
    said(&["del", "net1", netns]);
    said(&["del", "net1", ""]);
    node.assert_clean();
}
