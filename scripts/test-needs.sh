#!/usr/bin/env bash
# Installs what the tests start beside the compiler: an etcd server that still speaks the v2 protocol, openssl for its
# certificates, ip and nft for laboratories of network namespaces. Does nothing when they are there; otherwise needs apt-get, and root or sudo.
set -euo pipefail

# Where a user's own path may not lead.
PATH=$PATH:/usr/sbin:/sbin

missing=()
command -v etcd >/dev/null || missing+=(etcd-server)
command -v cc >/dev/null || missing+=(build-essential)
command -v openssl >/dev/null || missing+=(openssl)
command -v ip >/dev/null || missing+=(iproute2)
command -v nft >/dev/null || missing+=(nftables)

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
