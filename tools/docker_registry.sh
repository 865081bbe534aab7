#!/bin/sh
# Fetches Debian's docker-registry for the tests, unless it is there. It is unpacked below .cache, not installed.
set -eu
cd "$(dirname "$0")/.."
target=.cache/docker-registry

if command -v docker-registry >/dev/null || [ -x "$target/usr/bin/docker-registry" ]; then
    exit 0
fi
command -v apt-get >/dev/null || { echo "docker-registry can be fetched on Debian and its kin only" >&2; exit 1; }
mkdir -p "$target"
cd "$target"
if ! apt-get download --quiet docker-registry; then
    # the lists of packages may be missing or too old, which only root can mend
    [ "$(id -u)" -eq 0 ] && apt-get update --quiet && apt-get download --quiet docker-registry
fi
dpkg --extract docker-registry_*.deb .
rm docker-registry_*.deb
