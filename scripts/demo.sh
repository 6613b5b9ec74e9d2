#!/usr/bin/env bash
# What Margay does, on real documents and a datastore that goes away afterwards. No server, no network, no root.
# Usage: scripts/demo.sh path/to/margay
set -euo pipefail
binary=$(realpath "$1")
cd "$(dirname "$0")/.."

# This file goes before every variable, so what follows would work on a real cluster.
if [ -e /etc/calico/calicoctl.cfg ]; then
    printf 'this machine has /etc/calico/calicoctl.cfg; the demo does not touch a configured cluster\n' >&2
    exit 1
fi
unset ${!CALICO_@}

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
ln -s "$binary" "$folder/margay"
export PATH="$folder:$PATH" SQLITE_PATH="$folder/demo.db" DATASTORE_TYPE=sqlite

# Prints a command, then runs it. The second form expects it to fail.
show() {
    printf '\n$ %s\n' "$*"
    "$@" 2>&1
}
refused() {
    printf '\n$ %s\n' "$*"
    if "$@" 2>&1; then
        printf 'the demo expected a refusal here\n' >&2
        exit 1
    fi
}
say() {
    printf '\n== %s\n' "$*"
}

say 'Apply a small site: pool, nodes, peer, profile, policy, endpoints'
show margay validate -f examples/all.yaml
show margay apply -f examples/all.yaml

say 'Look at it'
show margay get workloadEndpoint -o wide
show margay get workloadEndpoint eth0 --node=rack1-host1 --orchestrator=k8s --workload=default.frontend-5gs43 -o yaml

say 'Change one of them: see what would happen, then do it'
sed -e 's/app: frontend$/app: checkout/' examples/workload-endpoint.yaml >"$folder/changed.yaml"
printf '\n$ margay diff -f changed.yaml\n'
# 1 = there are differences.
(cd "$folder" && margay diff -f changed.yaml) || [ $? -eq 1 ]
printf '\n$ margay apply -f changed.yaml\n'
(cd "$folder" && margay apply -f changed.yaml)

say 'A document with faults: each one with its place, and nothing is written'
refused margay validate -f examples/refused/policy.yaml
refused margay apply -f examples/refused/several-documents.yaml

say 'Ask what a field means'
show margay explain-field policy.spec.ingress.action

say 'Take everything along'
printf '\n$ margay datastore export -f site.jsonl\n'
(cd "$folder" && margay datastore export -f site.jsonl 2>&1)
printf '\n$ head -n 3 site.jsonl\n'
head -n 3 "$folder/site.jsonl"
printf '\n$ SQLITE_PATH=copy.db margay datastore import -f site.jsonl\n'
(cd "$folder" && SQLITE_PATH="$folder/copy.db" margay datastore import -f site.jsonl 2>&1)
