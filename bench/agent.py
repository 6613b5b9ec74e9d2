#!/usr/bin/env python3
"""Measures the agent as a whole on a throw-away host: cold start, restart, event to kernel, memory, idle CPU.

A cluster of WORKLOADS endpoints and POLICIES policies, LOCAL of the endpoints on this host. Needs a release build, ip,
nft, and root or user namespaces. Usage: bench/agent.py BINARY [--workloads 100000] [--policies 10000] [--local 1000]
[--store sqlite|etcd]
"""
import argparse, json, os, re, shutil, signal, statistics, subprocess, sys, tempfile, time, urllib.parse, urllib.request

from run import Etcd, free_port


def enclose():
    """Runs this script again in namespaces that end with it."""
    if os.environ.get("MARGAY_BENCH_ENCLOSED"):
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        return
    command = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if os.geteuid() != 0:
        command[1:1] = ["--user", "--map-root-user"]
    os.environ["MARGAY_BENCH_ENCLOSED"] = "1"
    os.execvp("unshare", command + [sys.executable] + sys.argv)


def address(i):
    return f"10.{128 + (i >> 16)}.{i >> 8 & 255}.{i & 255}"


def endpoint(i, options, role=None):
    host = "h1" if i < options.local else f"node{i % 500:03}"
    labels = {"app": f"app{i % options.apps}", "role": role or f"role{i % 7}"}
    key = f"/calico/v1/host/{host}/workload/k8s/ns{i % 50}.pod-{i:06}/endpoint/eth0"
    value = {"state": "active", "name": f"cali{i:06}", "mac": None, "profile_ids": [f"k8s_ns.ns{i % 50}"],
             "ipv4_nets": [address(i) + "/32"], "ipv6_nets": [], "labels": labels}
    return key, value


def policy(i, options):
    app = i % options.apps
    rule = {"action": "allow", "protocol": "tcp", "src_selector": f"app == 'app{(app + 1) % options.apps}'",
            "dst_ports": [80 + i // options.apps, 443]}
    value = {"order": 100 + i % 10, "selector": f"app == 'app{app}'", "types": ["ingress"], "inbound_rules": [rule, {
        "action": "deny", "src_nets": ["192.0.2.0/24"]}], "outbound_rules": []}
    return f"/calico/v1/policy/tier/default/policy/policy-{i:05}", value


def records(options):
    yield "/calico/v1/Ready", "true"
    for i in range(50):
        yield f"/calico/v1/policy/profile/k8s_ns.ns{i}/labels", json.dumps({"ns": f"ns{i}"})
        yield f"/calico/v1/policy/profile/k8s_ns.ns{i}/tags", "[]"
        yield f"/calico/v1/policy/profile/k8s_ns.ns{i}/rules", json.dumps(
            {"inbound_rules": [{"action": "allow"}], "outbound_rules": [{"action": "allow"}]})
    for i in range(options.workloads):
        key, value = endpoint(i, options)
        yield key, json.dumps(value, separators=(",", ":"))
    for i in range(options.policies):
        key, value = policy(i, options)
        yield key, json.dumps(value, separators=(",", ":"))


class Host:
    def __init__(self, binary, folder, options):
        self.folder, self.options, self.process = folder, options, None
        for name in ("margay", "calico-felix"):
            os.symlink(binary, os.path.join(folder, name))
        self.etcd = Etcd(folder) if options.store == "etcd" else None
        self.metrics_port = free_port()
        self.env = dict(os.environ, FELIX_FELIXHOSTNAME="h1", FELIX_LOGFILEPATH="none", FELIX_LOGSEVERITYSCREEN="WARNING",
                        FELIX_PROMETHEUSMETRICSENABLED="true", FELIX_PROMETHEUSMETRICSPORT=str(self.metrics_port))
        if self.etcd:
            self.env.update(FELIX_ETCDENDPOINTS=self.etcd.url, DATASTORE_TYPE="etcdv2", ETCD_ENDPOINTS=self.etcd.url)
        else:
            path = os.path.join(folder, "store.db")
            self.env.update(FELIX_DATASTORETYPE="sqlite", FELIX_SQLITEPATH=path, DATASTORE_TYPE="sqlite", SQLITE_PATH=path)

    def margay(self, *args, stdin=None):
        return subprocess.run([os.path.join(self.folder, "margay"), *args], env=self.env, input=stdin, text=True,
                              capture_output=True)

    def fill(self):
        lines = ['{"format":"margay-datastore","version":1,"root":"/calico"}']
        lines += [json.dumps({"key": key, "value": value}) for key, value in records(self.options)]
        lines.append(json.dumps({"end": True, "keys": len(lines) - 1, "revision": 1}))
        return "\n".join(lines) + "\n"

    def start(self):
        self.started = time.monotonic()
        self.process = subprocess.Popen(self.options.wrap.split() + [os.path.join(self.folder, "calico-felix")], env=self.env,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def wait_well(self, seconds=120):
        result = self.margay("status", f"--wait={seconds}s", "-o", "json")
        if result.returncode != 0:
            raise SystemExit(f"the agent is not well:\n{result.stdout[-2000:]}{result.stderr}")
        return time.monotonic() - self.started, json.loads(result.stdout)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()

    def cpu(self):
        fields = open(f"/proc/{self.process.pid}/stat").read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self):
        text = open(f"/proc/{self.process.pid}/status").read()
        return tuple(int(re.search(rf"{name}:\s+(\d+)", text).group(1)) / 1024 for name in ("VmRSS", "VmHWM"))

    def metrics(self):
        return urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics").read().decode()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("--workloads", type=int, default=100_000)
    parser.add_argument("--policies", type=int, default=10_000)
    parser.add_argument("--local", type=int, default=1_000)
    parser.add_argument("--apps", type=int, default=2_000)
    parser.add_argument("--events", type=int, default=1_000)
    parser.add_argument("--store", choices=["sqlite", "etcd"], default="sqlite")
    parser.add_argument("--wrap", default="", help="a command to start the agent with: strace, perf")
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON object")
    options = parser.parse_args()
    enclose()
    folder = tempfile.mkdtemp(prefix="margay-bench-")
    try:
        figures = measure(Host(os.path.realpath(options.binary), folder, options), options)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if options.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:<40} {value}")


def measure(host, options):
    figures = {}
    filled = host.margay("datastore", "import", "-f", "-", stdin=host.fill())
    if filled.returncode != 0:
        raise SystemExit(filled.stdout + filled.stderr)
    links = "".join(f"link add cali{i:06} type veth peer name peer{i:06}\nlink set cali{i:06} up\nlink set peer{i:06} up\n"
                    for i in range(options.local))
    subprocess.run(["ip", "-batch", "-"], input=links, text=True, check=True)

    host.start()
    seconds, status = host.wait_well()
    figures["cold start to well, s"] = round(seconds, 3)
    figures["cold start CPU, s"] = host.cpu()
    figures["kernel"] = status.get("kernel")
    figures["memory after start, MiB (now, peak)"] = [round(value, 1) for value in host.memory()]
    # What follows a start (the table's seal, memory given back) is not idleness.
    time.sleep(5)
    before = host.cpu()
    time.sleep(10)
    figures["CPU in 10 idle seconds, s"] = round(host.cpu() - before, 3)

    # Each event changes a label of an endpoint elsewhere, so a set on this host gains or loses a member.
    for n in range(options.events):
        i = options.local + n % (options.workloads - options.local)
        key, value = endpoint(i, options)
        value["labels"]["app"] = f"app{n % options.local + 1}"
        put(host, key, json.dumps(value))
        time.sleep(0.002)
    time.sleep(1)
    page = host.metrics()
    for quantile in ("0.5", "0.9", "0.99"):
        found = re.search(rf'felix_endpoint_programming_seconds{{quantile="{quantile}"}} (\S+)', page)
        figures[f"event to kernel, {quantile}, ms"] = round(float(found.group(1)) * 1000, 3) if found else None
    figures["memory after events, MiB (now, peak)"] = [round(value, 1) for value in host.memory()]
    host.stop()

    host.start()
    seconds, status = host.wait_well()
    figures["restart on a correct table to well, s"] = round(seconds, 3)
    figures["memory after restart, MiB (now, peak)"] = [round(value, 1) for value in host.memory()]
    host.stop()
    return figures


def put(host, key, value):
    if host.etcd:
        data = urllib.parse.urlencode({"value": value}).encode()
        request = urllib.request.Request(host.etcd.url + "/v2/keys" + key, data=data, method="PUT")
        urllib.request.urlopen(request).read()
        return
    _, _, _, _, node, _, orchestrator, workload, _, name = key.split("/")
    record = json.loads(value)
    document = {"apiVersion": "v1", "kind": "workloadEndpoint",
                "metadata": {"node": node, "orchestrator": orchestrator, "workload": workload, "name": name,
                             "labels": record["labels"]},
                "spec": {"interfaceName": record["name"], "ipNetworks": record["ipv4_nets"],
                         "profiles": record["profile_ids"]}}
    result = host.margay("apply", "-f", "-", stdin=json.dumps(document))
    if result.returncode != 0:
        raise SystemExit(result.stdout + result.stderr)


if __name__ == "__main__":
    main()
