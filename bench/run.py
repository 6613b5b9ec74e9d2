#!/usr/bin/env python3
"""Measures calicoctl and margay beside bare peers in one run, and writes docs/benchmarks.md.

Figures are medians; what counts is the ratio to the peer measured in the same run (machines are noisy). Needs a
release build, etcd, curl and sqlite; starts its own etcd in a temporary folder on free ports.
Usage: bench/run.py BINARY [--sizes 1000,10000,100000] [--output docs/benchmarks.md]
"""
import argparse, json, os, resource, shutil, socket, statistics, subprocess, sys, tempfile, time, urllib.parse, urllib.request


LIMITS = """## What limits these

- **A rule, or an element that leads to a chain** (0.35 ms beside 20,000 rules, 6 ms for the two programmes and the rules
  of a policy that many use): at each such change the kernel walks every chain that can be reached
  (`nft_chain_validate`). Members of sets are not walked: 30 µs bare, 40 µs through the dataplane.
- **Cold load** (1 s for 9.5 MB): the kernel finds sets by walking a list of names; short lists are therefore rules.
- **Event to kernel with 100,000 endpoints and 10,000 policies** (1 ms): the two sets that a changed label touches, and
  the transaction itself beside 33,000 rules.
- **Memory with 100,000 endpoints**: labels and selectors of the calculation (32 MB), compiled policies in use (8 MB), the
  rendered table (15 MB); the peak is the snapshot on its way in.
- **DEL of a container**: the kernel waits for readers before an interface goes (16 ms of it here, also for the peers)."""


def endpoint(i):
    return {
        "apiVersion": "v1", "kind": "workloadEndpoint",
        "metadata": {"node": f"node{i % 1000:04}", "orchestrator": "k8s", "workload": f"ns{i % 50}.pod-{i:06}",
                     "name": "eth0", "labels": {"app": f"app{i % 20}", "calico/k8s_ns": f"ns{i % 50}"}},
        "spec": {"interfaceName": f"cali{i:011x}", "ipNetworks": [f"10.{i >> 16 & 255}.{i >> 8 & 255}.{i & 255}/32"],
                 "mac": f"02:00:5e:{i >> 16 & 255:02x}:{i >> 8 & 255:02x}:{i & 255:02x}",
                 "profiles": [f"k8s_ns.ns{i % 50}"]},
    }


def key_and_value(i):
    d = endpoint(i)
    m, s = d["metadata"], d["spec"]
    key = f"/calico/v1/host/{m['node']}/workload/k8s/{m['workload']}/endpoint/eth0"
    value = {"state": "active", "name": s["interfaceName"], "active_instance_id": "", "mac": s["mac"],
             "profile_ids": s["profiles"], "ipv4_nets": s["ipNetworks"], "ipv6_nets": [], "labels": m["labels"]}
    return key, json.dumps(value, separators=(",", ":"))


def yaml_of(documents):
    parts = []
    for d in documents:
        m, s = d["metadata"], d["spec"]
        labels = "".join(f"    {k}: {v}\n" for k, v in m["labels"].items())
        parts.append(
            f"---\napiVersion: v1\nkind: workloadEndpoint\nmetadata:\n  node: {m['node']}\n  orchestrator: k8s\n"
            f"  workload: {m['workload']}\n  name: eth0\n  labels:\n{labels}spec:\n"
            f"  interfaceName: {s['interfaceName']}\n  ipNetworks:\n  - {s['ipNetworks'][0]}\n  mac: {s['mac']}\n"
            f"  profiles:\n  - {s['profiles'][0]}\n")
    return "".join(parts)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Etcd:
    def __init__(self, folder):
        self.port, peer = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        peer_url = f"http://127.0.0.1:{peer}"
        self.process = subprocess.Popen(
            ["etcd", "--enable-v2=true", "--data-dir", os.path.join(folder, "etcd"), "--listen-client-urls", self.url,
             "--advertise-client-urls", self.url, "--listen-peer-urls", peer_url,
             "--initial-advertise-peer-urls", peer_url, "--initial-cluster", f"default={peer_url}"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(200):
            try:
                urllib.request.urlopen(self.url + "/health", timeout=1).read()
                return
            except OSError:
                time.sleep(0.05)
        raise SystemExit("etcd did not start")

    def stop(self):
        self.process.kill()
        self.process.wait()

    def wipe(self):
        request = urllib.request.Request(self.url + "/v2/keys/calico?recursive=true", method="DELETE")
        try:
            urllib.request.urlopen(request).read()
        except urllib.error.HTTPError:
            pass

    def put_script(self, path, numbers):
        """A curl configuration that puts the endpoints over one connection."""
        with open(path, "w") as out:
            for position, i in enumerate(numbers):
                key, value = key_and_value(i)
                out.write("next\n" if position else "")
                out.write(f'url = "{self.url}/v2/keys{key}"\nrequest = "PUT"\noutput = "/dev/null"\n')
                out.write("data-urlencode = " + json.dumps("value=" + value) + "\nsilent\n")

    def fill(self, folder, size):
        path = os.path.join(folder, "fill.curl")
        self.put_script(path, range(size))
        subprocess.run(["curl", "-s", "-K", path], check=True)


def run(args, env=None, stdout=subprocess.DEVNULL):
    """Wall seconds and peak MiB of one command, which must succeed."""
    started = time.perf_counter()
    process = subprocess.Popen(args, stdout=stdout, stderr=subprocess.PIPE, env={**os.environ, **(env or {})})
    stderr = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    if status:
        raise SystemExit(f"{args} failed: {stderr.decode()[:500]}")
    return seconds, usage.ru_maxrss / 1024


def median(count, measure):
    runs = [measure() for _ in range(count)]
    return statistics.median(r[0] for r in runs), max(r[1] for r in runs)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("--sizes", default="1000,10000,100000")
    parser.add_argument("--output")
    options = parser.parse_args()
    sizes = [int(size) for size in options.sizes.split(",")]
    folder = tempfile.mkdtemp(prefix="margay-bench-")
    calicoctl = os.path.join(folder, "calicoctl")
    shutil.copy(options.binary, calicoctl)
    lines = []

    def say(text=""):
        print(text, flush=True)
        lines.append(text)

    etcd = Etcd(folder)
    try:
        to_etcd = {"ETCD_ENDPOINTS": etcd.url, "DATASTORE_TYPE": "etcdv2"}
        listing = etcd.url + "/v2/keys/calico/v1/host?quorum=true&recursive=true&sorted=true"
        fetched = os.path.join(folder, "fetched.json")
        say("| endpoints | curl the list | `get wep` etcd | ratio | `get wep` SQLite | ratio | MiB table | MiB json | MiB yaml |")
        say("|---|---|---|---|---|---|---|---|---|")
        for size in sizes:
            count = 5 if size < 100000 else 3
            etcd.wipe()
            etcd.fill(folder, size)
            database = os.path.join(folder, f"{size}.db")
            to_sqlite = {"DATASTORE_TYPE": "sqlite", "SQLITE_PATH": database}
            run([options.binary, "datastore", "copy", "--from", "etcd:" + etcd.url, "--to", "sqlite:" + database])
            curl, _ = median(count, lambda: run(["curl", "-s", "-o", fetched, listing]))
            table, table_mib = median(count, lambda: run([calicoctl, "get", "wep"], to_etcd))
            sqlite, _ = median(count, lambda: run([calicoctl, "get", "wep"], to_sqlite))
            _, json_mib = median(1, lambda: run([calicoctl, "get", "wep", "-o", "json"], to_etcd))
            _, yaml_mib = median(1, lambda: run([calicoctl, "get", "wep", "-o", "yaml"], to_etcd))
            say(f"| {size:,} | {curl:.3f} s | {table:.3f} s | {table / curl:.2f} | {sqlite:.3f} s | {sqlite / curl:.2f} "
                f"| {table_mib:.0f} | {json_mib:.0f} | {yaml_mib:.0f} |")
        say()
        say("| writing | peer | time | `apply` | ratio |")
        say("|---|---|---|---|---|")
        for size in [s for s in sizes if s <= 10000]:
            documents = os.path.join(folder, f"{size}.json")
            with open(documents, "w") as out:
                json.dump([endpoint(i) for i in range(size)], out)
            script = os.path.join(folder, "puts.curl")
            etcd.put_script(script, range(size))

            def puts():
                etcd.wipe()
                return run(["curl", "-s", "-K", script])

            def applies():
                etcd.wipe()
                return run([calicoctl, "apply", "-f", documents], to_etcd)

            def applies_sqlite():
                path = os.path.join(folder, f"apply-{time.monotonic_ns()}.db")
                return run([calicoctl, "apply", "-f", documents], {"DATASTORE_TYPE": "sqlite", "SQLITE_PATH": path})

            bare, _ = median(3, puts)
            ours, _ = median(3, applies)
            embedded, _ = median(3, applies_sqlite)
            say(f"| {size:,} to etcd | curl, one connection | {bare:.2f} s | {ours:.2f} s | {ours / bare:.2f} |")
            say(f"| {size:,} to SQLite | | | {embedded:.2f} s | |")
    finally:
        etcd.stop()
    documents = os.path.join(folder, "docs.yaml")
    text = yaml_of(endpoint(i) for i in range(10000))
    with open(documents, "w") as out:
        out.write(text)
    validate, _ = median(5, lambda: run([options.binary, "validate", "-f", documents]))
    true, _ = median(20, lambda: run(["/bin/true"]))
    nothing = {"DATASTORE_TYPE": "etcdv2", "ETCD_ENDPOINTS": "http://127.0.0.1:1"}
    version, _ = median(20, lambda: run([calicoctl, "version"], nothing))
    say()
    say("| other | |")
    say("|---|---|")
    say(f"| 10,000 YAML documents parsed and validated | {len(text) / 1e6 / validate:.0f} MB/s |")
    say(f"| `calicoctl version`, nothing to contact | {version * 1000:.1f} ms (`/bin/true`: {true * 1000:.1f} ms) |")
    selectors = os.path.join(os.path.dirname(os.path.abspath(__file__)), "target", "release", "selectors")
    if os.path.exists(selectors):
        say("| selector evaluations per core-second | " + subprocess.check_output([selectors]).decode().strip() + " |")
    policy = os.path.join(os.path.dirname(selectors), "policy")
    if os.path.exists(policy):
        say()
        say("The calculation of the agent on one core, without datastore and kernel:")
        for size in (["100000", "100"], ["100000", "1000"], ["100000", "10000"]):
            say()
            say("```text")
            say(subprocess.check_output([policy, *size]).decode().strip())
            say("```")
    ipam = os.path.join(os.path.dirname(selectors), "ipam")
    if os.path.exists(ipam):
        say()
        say("Assigning addresses (handle, block, release after four more); every process has a connection of its own:")
        say()
        etcd = Etcd(os.path.join(folder, "for-ipam"))
        try:
            say(subprocess.check_output([ipam, etcd.url]).decode().strip())
        finally:
            etcd.stop()
    here = os.path.dirname(os.path.abspath(__file__))
    host = [
        ("nftables over netlink beside `nft`, 2,000 sets, 2,000 chains, 20,000 rules", [os.path.join(os.path.dirname(selectors), "nftables")]),
        ("The dataplane on this kernel beside `nft`, growth over local endpoints", [os.path.join(os.path.dirname(selectors), "dataplane")]),
        ("One interface made and unmade beside a bare pair", [os.path.join(os.path.dirname(selectors), "wiring")]),
        ("The agent: 100,000 endpoints (1,000 local), 10,000 policies, SQLite",
         [sys.executable, os.path.join(here, "agent.py"), options.binary]),
        ("The agent: 1,000 endpoints (100 local), 100 policies, etcd",
         [sys.executable, os.path.join(here, "agent.py"), options.binary, "--workloads", "1000", "--policies", "100",
          "--local", "100", "--apps", "100", "--store", "etcd"]),
    ]
    for title, command in host:
        if os.path.exists(command[-1] if len(command) == 1 else command[1]):
            say()
            say(f"{title}:")
            say()
            say("```text")
            done = subprocess.run(command, capture_output=True, text=True)
            say(done.stdout.strip() if done.returncode == 0 else f"not measured here: {done.stderr.strip()[-300:]}")
            say("```")
    # This one prints tables of its own.
    containers = subprocess.run([sys.executable, os.path.join(here, "cni.py"), options.binary], capture_output=True, text=True)
    say()
    say(containers.stdout.strip() if containers.returncode == 0 else f"Containers: not measured here: {containers.stderr.strip()[-300:]}")
    say()
    say(LIMITS)
    shutil.rmtree(folder, ignore_errors=True)
    if options.output:
        write(options.output, lines)


def write(path, lines):
    with open(path, "w") as out:
        out.write("# Benchmarks\n\nWritten by `make bench`: medians of one run, each beside its peer in the same run. "
                  "Absolute figures move with the machine; the ratios count.\n\n")
        cpu = next((l.split(":", 1)[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), "?")
        out.write(f"Machine: {os.cpu_count()} × {cpu}, Linux {os.uname().release}.\n\n")
        out.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
