#!/usr/bin/env bash
# Installs what building and testing need from the distribution, if it is missing; run by demo.sh and test.sh.
#   packages.sh build                to build and run
#   packages.sh build guests test    and to fetch guests and run all tests
#   packages.sh --list build         only names them
set -euo pipefail

build=(
  g++ cmake ninja-build nasm pkg-config
  libzydis-dev libasmjit-dev libsdl2-dev zlib1g-dev libpng-dev libcli11-dev nlohmann-json3-dev
  libre2-dev seabios
)
# The guests: downloaded and checked by apt, unpacked, and turned into an initramfs.
guests=(debian-archive-keyring dpkg cpio gzip)
test=(catch2 clang-format-14 acpica-tools e2fsprogs xvfb xauth xdotool libbenchmark-dev)
develop=(gcovr python3 clang-tidy-14)  # coverage.sh, tidy.sh
benchmark=(gcc-multilib qemu-system-x86 python3)  # benchmarks/guest

wanted=()
list=no
for group in "$@"; do
  case "$group" in
    --list) list=yes ;;
    build) wanted+=("${build[@]}") ;;
    guests) wanted+=("${guests[@]}") ;;
    test) wanted+=("${test[@]}") ;;
    develop) wanted+=("${develop[@]}") ;;
    benchmark) wanted+=("${benchmark[@]}") ;;
    *) echo "packages.sh: unknown group '$group'" >&2; exit 2 ;;
  esac
done
if [ $list = yes ]; then echo "${wanted[@]}"; exit 0; fi

missing=()
for package in "${wanted[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
    missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "packages.sh: needs root or sudo to install: ${missing[*]}" >&2; exit 3; }
  as_root=(sudo)
fi
echo "Installing: ${missing[*]}"
"${as_root[@]}" apt-get update -qq
DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends \
  "${missing[@]}" >/dev/null
