#!/usr/bin/env python3
"""Measures the CNI plugin beside Debian's bridge with host-local and beside a bare pair, in one run.

Prints a section of docs/benchmarks.md. Figures are of whole processes, as a runtime starts them. Needs root (it makes
namespaces of its own), etcd, sqlite3 and the reference plugins.
Usage: bench/cni.py BINARY [--containers 200]
"""
import argparse, json, os, re, resource, shutil, socket, subprocess, sys, tempfile, threading, time
from concurrent.futures import ThreadPoolExecutor

REFERENCE = "/usr/lib/cni"
INSIDE = "MARGAY_BENCH_INSIDE"


def enclose():
    """Runs this script again in namespaces of its own, where everything goes with it."""
    if os.environ.get(INSIDE):
        subprocess.run("mount -t tmpfs tmpfs /run && ip link set lo up", shell=True, check=True)
        return
    flags = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    sys.exit(subprocess.run(["unshare", *flags, sys.executable, *sys.argv], env={**os.environ, INSIDE: "1"}).returncode)


def quantile(values, part):
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


class Plugin:
    """A plugin with its configuration, called as a runtime does."""

    def __init__(self, folder, name, conf):
        self.program, self.path, self.conf = os.path.join(folder, name), folder, json.dumps(conf).encode()

    def call(self, verb, container):
        env = {"CNI_COMMAND": verb, "CNI_CONTAINERID": container, "CNI_NETNS": f"/var/run/netns/{container}",
               "CNI_IFNAME": "eth0", "CNI_PATH": self.path, "PATH": os.environ["PATH"]}
        begun = time.perf_counter()
        answer = subprocess.run([self.program], input=self.conf, env=env, capture_output=True)
        took = time.perf_counter() - begun
        if answer.returncode != 0:
            sys.exit(f"{verb} {container}: {answer.stdout.decode()} {answer.stderr.decode()}")
        return took * 1000

    def pairs(self, containers):
        """Each container is added and taken off; times of both."""
        return [(self.call("ADD", c), self.call("DEL", c)) for c in containers]

    def per_second(self, containers, side_by_side):
        begun = time.perf_counter()
        with ThreadPoolExecutor(side_by_side) as pool:
            list(pool.map(lambda c: self.call("ADD", c), containers))
        rate = len(containers) / (time.perf_counter() - begun)
        for container in containers:
            self.call("DEL", container)
        return rate

    def peak(self, container):
        """Peak resident memory of one ADD in MiB."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        script = ("import resource,subprocess,sys,os;subprocess.run([sys.argv[1]],stdout=subprocess.DEVNULL,check=True);"
                  "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)")
        env = {"CNI_COMMAND": "ADD", "CNI_CONTAINERID": container, "CNI_NETNS": f"/var/run/netns/{container}",
               "CNI_IFNAME": "eth0", "CNI_PATH": self.path, "PATH": os.environ["PATH"]}
        said = subprocess.run([sys.executable, "-c", script, self.program], input=self.conf, env=env,
                              capture_output=True, check=True)
        self.call("DEL", container)
        del before
        return int(said.stdout) / 1024


class Counter:
    """A relay in front of etcd that counts requests, and rounds: times at which nothing was under way before."""

    def __init__(self, port):
        self.port_behind, self.lock = port, threading.Lock()
        self.requests = self.rounds = self.open = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            near, _ = self.listener.accept()
            far = socket.create_connection(("127.0.0.1", self.port_behind))
            for source, sink, asks in ((near, far, True), (far, near, False)):
                threading.Thread(target=self.pump, args=(source, sink, asks), daemon=True).start()

    def pump(self, source, sink, asks):
        first = re.compile(rb"^(GET|PUT|DELETE|POST) /v2/" if asks else rb"^HTTP/1.1 ", re.M)
        while data := source.recv(65536):
            count = len(first.findall(data))
            with self.lock:
                if asks and count:
                    self.requests += count
                    self.rounds += self.open == 0
                    self.open += count
                elif not asks:
                    self.open -= count
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


def etcd(folder):
    port, peer = free_port(), free_port()
    url, peer_url = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{peer}"
    process = subprocess.Popen(
        ["etcd", "--enable-v2=true", "--log-level=error", "--data-dir", os.path.join(folder, "etcd"),
         "--listen-client-urls", url, "--advertise-client-urls", url, "--listen-peer-urls", peer_url,
         "--initial-advertise-peer-urls", peer_url, "--initial-cluster", f"default={peer_url}"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            break
        except OSError:
            time.sleep(0.05)
    subprocess.run(["curl", "-s", "-o", "/dev/null", "-X", "PUT", f"{url}/v2/keys/calico/v1/Ready", "-d", "value=true"],
                   check=True)
    return process, port


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def bare(containers):
    """A pair, its address and route, and its end again, by `ip -batch`: the kernel's work and one process."""
    times = []
    for number, container in enumerate(containers):
        make = (f"link add bare{number} type veth peer name eth0 netns {container}\nlink set bare{number} up\n"
                f"route add 10.99.{number >> 8}.{number & 255}/32 dev bare{number}\nlink del bare{number}\n")
        begun = time.perf_counter()
        subprocess.run(["ip", "-batch", "-"], input=make.encode(), check=True)
        times.append((time.perf_counter() - begun) * 1000)
    return times


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("--containers", type=int, default=200)
    args = parser.parse_args()
    enclose()
    binary, containers = os.path.abspath(args.binary), [f"c{i}" for i in range(args.containers)]
    folder = tempfile.mkdtemp(prefix="margay-bench-")
    bin_dir = os.path.join(folder, "bin")
    os.mkdir(bin_dir)
    for name in ("calico", "calico-ipam"):
        os.link(binary, os.path.join(bin_dir, name)) if os.stat(binary).st_dev == os.stat(bin_dir).st_dev \
            else os.symlink(binary, os.path.join(bin_dir, name))
    for container in containers:
        subprocess.run(["ip", "netns", "add", container], check=True)
    base = {"cniVersion": "1.0.0", "name": "net1", "type": "calico", "nodename": "h1", "ipam": {"type": "calico-ipam"}}
    pool = b"{apiVersion: v1, kind: ipPool, metadata: {cidr: 10.65.0.0/16}}"
    database = os.path.join(folder, "datastore.db")
    server, port = etcd(folder)
    counter = Counter(port)
    for settings in ({"DATASTORE_TYPE": "sqlite", "SQLITE_PATH": database},
                     {"DATASTORE_TYPE": "etcdv2", "ETCD_ENDPOINTS": f"http://127.0.0.1:{port}"}):
        subprocess.run([binary, "apply", "-f", "-"], input=pool, env={**os.environ, **settings}, check=True,
                       stdout=subprocess.DEVNULL)
    ours = Plugin(bin_dir, "calico", {**base, "datastore_type": "sqlite", "sqlite_path": database})
    on_etcd = Plugin(bin_dir, "calico", {**base, "etcd_endpoints": f"http://127.0.0.1:{port}"})
    counted = Plugin(bin_dir, "calico", {**base, "etcd_endpoints": f"http://127.0.0.1:{counter.port}"})
    bridge = Plugin(REFERENCE, "bridge", {
        "cniVersion": "1.0.0", "name": "lab", "type": "bridge", "bridge": "cnilab0", "isGateway": True,
        "ipam": {"type": "host-local", "dataDir": os.path.join(folder, "ipam"), "ranges": [[{"subnet": "10.77.0.0/16"}]],
                 "routes": [{"dst": "0.0.0.0/0"}]}})
    for plugin in (ours, on_etcd, counted, bridge):
        plugin.pairs(containers[:3])

    print("\n## Containers\n")
    print(f"{len(containers)} containers one after the other, whole processes; median / p99 in ms.\n")
    print("| | ADD | DEL | pair |\n|---|---|---|---|")
    rows = [("Margay, embedded store", ours), ("Margay, etcd", on_etcd), ("bridge + host-local", bridge)]
    # By turns, so that whatever else the machine does falls on all of them.
    times = {name: [] for name, _ in rows}
    for start in range(0, len(containers), 20):
        for name, plugin in rows:
            times[name].extend(plugin.pairs(containers[start:start + 20]))
    for name, _ in rows:
        added, deleted = zip(*times[name])
        both = [a + d for a, d in times[name]]
        cells = [f"{quantile(v, .5):.1f} / {quantile(v, .99):.1f}" for v in (added, deleted, both)]
        print(f"| {name} | " + " | ".join(cells) + " |")
    alone = bare(containers)
    print(f"| bare pair, `ip -batch` | | | {quantile(alone, .5):.1f} / {quantile(alone, .99):.1f} |")
    pair = lambda name: quantile([a + d for a, d in times[name]], .5)
    ratio = pair("Margay, embedded store") / pair("bridge + host-local")
    versions = [ours.call("VERSION", c) for c in containers]
    counter.requests = counter.rounds = 0
    counted.call("ADD", containers[0])
    requests, rounds = counter.requests, counter.rounds
    counted.call("DEL", containers[0])
    print("\n| | |\n|---|---|")
    print(f"| pair, beside bridge + host-local | {ratio:.2f} times |")
    print(f"| VERSION | {quantile(versions, .5):.1f} / {quantile(versions, .99):.1f} ms |")
    print(f"| peak memory of ADD | {ours.peak(containers[0]):.1f} MiB |")
    print(f"| a warm ADD on etcd | {rounds} round trips, {requests} requests |")
    for side_by_side in (1, 4, 16):
        rates = [f"{plugin.per_second(containers, side_by_side):.0f}" for plugin in (ours, on_etcd, bridge)]
        print(f"| ADDs/s, {side_by_side} side by side: embedded, etcd, bridge | {', '.join(rates)} |")
    server.kill()
    shutil.rmtree(folder, ignore_errors=True)


main()
