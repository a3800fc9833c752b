#!/bin/bash
# Fetches the real guests that the tests boot: unmodified Debian 12 i386 packages, as plain files from the
# Debian mirror that this machine is configured for. Nothing is installed and no privileges are needed: apt
# works on a private state folder, checks the archive's signatures and every file's SHA-256.
#
#   scripts/guests/fetch.sh [--update] [--print-cache]
#
# Guests are kept in ${RINGSHIFT_GUEST_CACHE:-${XDG_CACHE_HOME:-~/.cache}/ringshift/guests}. When all of them
# are there and match the recorded checksums nothing is fetched, so tests also run without a network;
# --update looks for newer versions. --print-cache prints the folder and does nothing else.
#
# What is there afterwards:
#   kernel-686-pae/{vmlinuz,config,modules/}   linux-image-686-pae     kernel-686/…   linux-image-686
#   busybox                                    busybox-static
#   grub/{grub-rescue-floppy.img,grub-rescue-cdrom.iso}                grub-rescue-pc
#   memtest/{memtest.bin,memtest.iso}          memtest86+ (32-bit)
#   netboot/{linux,initrd.gz}                  debian-installer-12-netboot-i386
set -euo pipefail

suite=bookworm
cache=${RINGSHIFT_GUEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ringshift/guests}
# Kernels are metapackages: their one dependency names the package with the current version.
kernels=(linux-image-686-pae linux-image-686)
packages=(busybox-static grub-rescue-pc memtest86+ debian-installer-12-netboot-i386)

fail() { echo "fetch.sh: $*" >&2; exit 1; }

update=no
for argument in "$@"; do
  case $argument in
    --update) update=yes ;;
    --print-cache) echo "$cache"; exit 0 ;;
    *) fail "unknown argument '$argument' (usage: fetch.sh [--update] [--print-cache])" ;;
  esac
done

mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
exec 9>"$cache/.lock"
flock 9

complete() {
  [[ -f $cache/SHA256SUMS ]] && (cd "$cache" && sha256sum --check --quiet --strict SHA256SUMS) >/dev/null 2>&1
}

if [[ $update == no ]] && complete; then
  echo "guests are complete in $cache"
  exit 0
fi

for tool in apt-get apt-cache apt-config dpkg-deb sha256sum; do
  command -v "$tool" >/dev/null || fail "needs $tool (a Debian host)"
done

# --- A private apt ---------------------------------------------------------------------------------

apt_home=$cache/apt
mkdir -p "$apt_home"/{parts,preferences,trusted,lists/partial,archives/partial,log}
: >"$apt_home/status"

# The mirrors this machine uses for Debian itself, whatever release it runs.
host_uris() {
  cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null |
    sed -nE 's/^[[:space:]]*deb[[:space:]]+(\[[^]]*\][[:space:]]*)?([^[:space:]]+).*/\2/p' || true
  cat /etc/apt/sources.list.d/*.sources 2>/dev/null | sed -nE 's/^URIs:[[:space:]]*//Ip' | tr -s ' ' '\n' || true
}
mirror=$(host_uris | grep -E '/debian/?$|/archive/debian/[0-9TZ]+/?$' | head -n 1 || true)
security=$(host_uris | grep -E '/debian-security/?$|/archive/debian-security/[0-9TZ]+/?$' | head -n 1 || true)
mirror=${mirror:-http://deb.debian.org/debian}
security=${security:-http://deb.debian.org/debian-security}

keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[[ -f $keyring ]] || keyring=$(ls /usr/share/keyrings/debian-archive-keyring.* 2>/dev/null | head -n 1 || true)
[[ -n $keyring ]] || fail "needs the package debian-archive-keyring"

# sources SUITE…: what apt shall read; the security archive has a URI of its own.
sources() {
  local name
  for name in "$@"; do
    case $name in
      *-security) echo "deb [signed-by=$keyring] $security $name main" ;;
      *) echo "deb [signed-by=$keyring] $mirror $name main" ;;
    esac
  done >"$apt_home/sources.list"
}

# The host's proxies and network settings, and nothing else of its configuration: hooks and pins that
# are meant for the host's own packages have no business here.
{
  apt-config dump | grep -E '^Acquire::(https?|ftp|socks|Retries|ForceIPv[46]|Queue-Mode)(::|[[:space:]])' || true
  cat <<CONFIGURATION
APT::Architecture "i386";
APT::Architectures { "i386"; };
APT::Get::List-Cleanup "true";
APT::Install-Recommends "false";
APT::Sandbox::User "$(id -un)";
Acquire::Languages "none";
Dir::State "$apt_home";
Dir::State::lists "$apt_home/lists";
Dir::State::status "$apt_home/status";
Dir::State::extended_states "$apt_home/extended_states";
Dir::Cache "$apt_home";
Dir::Cache::archives "$apt_home/archives";
Dir::Log "$apt_home/log";
Dir::Etc::sourcelist "$apt_home/sources.list";
Dir::Etc::sourceparts "-";
Dir::Etc::main "-";
Dir::Etc::parts "$apt_home/parts";
Dir::Etc::preferences "-";
Dir::Etc::preferencesparts "$apt_home/preferences";
Dir::Etc::trusted "-";
Dir::Etc::trustedparts "$apt_home/trusted";
CONFIGURATION
} >"$apt_home/apt.conf"
export APT_CONFIG=$apt_home/apt.conf

echo "reading the package lists of $mirror and $security"
sources "$suite" "$suite-updates" "$suite-security"
if ! apt-get -qq update; then
  # The archive for updates may be in the middle of a mirror run; the release itself never changes.
  echo "continuing with $suite alone" >&2
  sources "$suite"
  apt-get -qq update || fail "could not read the package lists of $mirror"
fi

for meta in "${kernels[@]}"; do
  current=$(apt-cache depends --important "$meta" | sed -nE 's/^ *Depends: (linux-image-[0-9].*)$/\1/p' | head -n 1)
  [[ -n $current ]] || fail "$meta names no kernel package"
  packages+=("$current")
done

# --- Download and extract into a fresh folder, then put it in place ----------------------------------

fresh=$cache/fresh
rm -rf "$fresh"
mkdir -p "$fresh/packages"
echo "downloading ${packages[*]}"
(cd "$fresh/packages" && apt-get -qq download "${packages[@]}") || fail "the download failed"

extract() { # extract PACKAGE: prints the folder
  local deb=("$fresh"/packages/"$1"_*.deb) into=$fresh/extracted/$1
  [[ -f ${deb[0]} ]] || fail "$1 was not downloaded"
  mkdir -p "$into"
  dpkg-deb -x "${deb[0]}" "$into"
  echo "$into"
}
# first FILE…: the first of several places that exists
first() {
  local candidate
  for candidate in "$@"; do
    if [[ -f $candidate ]]; then echo "$candidate"; return; fi
  done
  fail "none of these files is in its package: $*"
}

for package in "${packages[@]}"; do
  root=$(extract "$package")
  case $package in
    linux-image-*)
      case $package in
        *-686-pae) into=$fresh/kernel-686-pae ;;
        *) into=$fresh/kernel-686 ;;
      esac
      mkdir -p "$into"
      cp "$root"/boot/vmlinuz-* "$into/vmlinuz"
      cp "$root"/boot/config-* "$into/config"
      mv "$root"/lib/modules "$into/modules"
      basename "$into"/modules/* >"$into/version"
      ;;
    busybox-static)
      cp "$(first "$root/bin/busybox" "$root/usr/bin/busybox")" "$fresh/busybox"
      ;;
    grub-rescue-pc)
      mkdir -p "$fresh/grub"
      cp "$root"/usr/lib/grub-rescue/* "$fresh/grub/"
      ;;
    memtest86+)
      mkdir -p "$fresh/memtest"
      cp "$(first "$root"/boot/memtest86+ia32.bin "$root"/boot/memtest86+.bin)" "$fresh/memtest/memtest.bin"
      cp "$(first "$root"/usr/lib/memtest86+/memtest86+ia32.iso "$root"/usr/lib/memtest86+/memtest32.iso \
        "$root"/usr/lib/memtest86+/memtest86+*32*.iso "$root"/usr/lib/memtest86+/*.iso)" "$fresh/memtest/memtest.iso"
      ;;
    debian-installer-*)
      mkdir -p "$fresh/netboot"
      images=$(dirname "$(find "$root" -type f -path '*/text/*' -name initrd.gz | head -n 1)")
      [[ -f $images/initrd.gz ]] || images=$(dirname "$(find "$root" -type f -name initrd.gz | head -n 1)")
      cp "$images/initrd.gz" "$images/linux" "$fresh/netboot/"
      ;;
  esac
done
rm -rf "$fresh/extracted"

(cd "$fresh" && find . -type f ! -name SHA256SUMS ! -path '*/modules/*' -printf '%P\0' | sort -z |
  xargs -0 sha256sum >SHA256SUMS)
for entry in "$fresh"/*; do
  rm -rf "${cache:?}/$(basename "$entry")"
  mv "$entry" "$cache/"
done
rmdir "$fresh"
rm -rf "$apt_home/archives"
complete || fail "the guests in $cache do not match their checksums"
echo "guests are complete in $cache"
