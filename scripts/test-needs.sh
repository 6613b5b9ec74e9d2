#!/usr/bin/env bash
# Installs what the tests start beside the compiler: an etcd server that still speaks the v2 protocol, openssl for its
# certificates, ip and nft for laboratories of network namespaces, container runtimes and the reference CNI plugins. Does
# nothing when they are there; otherwise needs apt-get, and root or sudo.
set -euo pipefail

# Where a user's own path may not lead.
PATH=$PATH:/usr/sbin:/sbin

missing=()
command -v etcd >/dev/null || missing+=(etcd-server)
command -v cc >/dev/null || missing+=(build-essential)
command -v openssl >/dev/null || missing+=(openssl)
command -v ip >/dev/null || missing+=(iproute2)
command -v nft >/dev/null || missing+=(nftables)
command -v iptables >/dev/null || missing+=(iptables)
# Runtimes and reference plugins that the CNI plugin is tested under.
[ -x /usr/lib/cni/host-local ] || missing+=(containernetworking-plugins)
[ -x /bin/busybox ] || missing+=(busybox-static)
command -v runc >/dev/null || missing+=(runc)
command -v containerd >/dev/null || missing+=(containerd)
command -v podman >/dev/null || missing+=(podman)
/usr/bin/python3 -c 'import grpc, google.protobuf' 2>/dev/null || missing+=(python3-grpcio python3-protobuf)
command -v go >/dev/null || missing+=(golang-go)
[ -d /usr/share/gocode/src/github.com/containernetworking/cni ] || missing+=(golang-github-appc-cni-dev)

if [ "${#missing[@]}" -eq 0 ]; then
    exit 0
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    as_root=(sudo)
fi
if ! command -v apt-get >/dev/null || { [ "${#as_root[@]}" -ne 0 ] && ! command -v sudo >/dev/null; }; then
    printf 'the tests need: %s (Debian package names); install them and try again\n' "${missing[*]}" >&2
    exit 1
fi
printf 'installing for the tests: %s\n' "${missing[*]}" >&2
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}"
