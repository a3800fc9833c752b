#!/bin/bash
# Builds a small userland for a kernel that fetch.sh has fetched: busybox and the kernel's own modules for
# IDE disks, CDs, floppies, keyboard and mouse, packed as an initramfs. Needs no privileges.
#
#   scripts/guests/make_initramfs.sh [KERNEL [OUTPUT]]
#
# KERNEL is kernel-686-pae (default) or kernel-686; OUTPUT defaults to KERNEL/initramfs.gz in the guest cache.
#
# The guest prints "ringshift guest: ready" and runs a shell on the console the kernel was given last.
# `poweroff` and `reboot` work with and without -f. On the kernel's command line:
#   modules=none         loads no modules (quickest boot); the default is the storage modules
#   modules=NAME,NAME    loads these and what they depend on; later, `load NAME` does the same
#   run=COMMAND          runs one command (no spaces; commas separate words) before the shell
set -euo pipefail

fail() { echo "make_initramfs.sh: $*" >&2; exit 1; }
for tool in cpio gzip; do command -v "$tool" >/dev/null || fail "needs $tool"; done

cache=$("$(dirname "$0")/fetch.sh" --print-cache)
kernel=${1:-kernel-686-pae}
output=${2:-$cache/$kernel/initramfs.gz}
[[ -f $cache/busybox && -d $cache/$kernel/modules ]] || fail "no guests in $cache: run scripts/guests/fetch.sh first"

storage=(ata_piix ata_generic sd_mod sr_mod isofs ext4 crc32c_generic)
others=(floppy psmouse evdev loop vfat nls_cp437 nls_ascii e1000 8139cp ne2k_pci virtio_pci virtio_blk virtio_net
  uhci_hcd qemu_fw_cfg pvpanic_mmio parport_pc lp bochs pcspkr)

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root"/{bin,sbin,dev,proc,sys,etc,mnt,tmp,root,lib/modules}
cp "$cache/busybox" "$root/bin/busybox"
chmod 755 "$root/bin/busybox"

# --- Modules, flat in one folder, with their dependencies resolved now ---------------------------------

declare -A path_of order_of
while IFS= read -r path; do
  name=$(basename "$path" .ko)
  path_of[${name//-/_}]=$path
done < <(find "$cache/$kernel/modules" -name '*.ko')

# order NAME: sets order_of[NAME] to what must be loaded for it, in order, itself last.
order() {
  local name=${1//-/_} needed result="" dependency
  [[ -n ${order_of[$name]:-} || -z ${path_of[$name]:-} ]] && return
  needed=$(grep -z -a '^depends=' "${path_of[$name]}" | tr -d '\0' | sed 's/^depends=//; s/,/ /g')
  # ext4 asks for its checksum by name at run time instead of depending on it.
  [[ $name == ext4 ]] && needed+=" crc32c_generic"
  for dependency in $needed; do
    order "$dependency"
    result+="${order_of[${dependency//-/_}]:-} "
  done
  order_of[$name]=$(echo "$result$name" | tr -s ' ' '\n' | awk 'NF && !seen[$0]++' | tr '\n' ' ')
}
for name in "${storage[@]}" "${others[@]}"; do
  order "$name"
  [[ -n ${order_of[$name]:-} ]] || continue  # built into this kernel
  echo "$name: ${order_of[$name]}" >>"$root/lib/modules/order"
  for member in ${order_of[$name]}; do cp -n "${path_of[$member]}" "$root/lib/modules/$member.ko"; done
done
echo "${storage[*]}" >"$root/lib/modules/storage"

# --- The userland ------------------------------------------------------------------------------------

cat >"$root/init" <<'INIT'
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin:/sbin
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev 2>/dev/null
mkdir -p /dev/pts
mount -t devpts none /dev/pts
exec /bin/init
INIT

cat >"$root/etc/inittab" <<'INITTAB'
::sysinit:/etc/start
::respawn:/etc/console
::ctrlaltdel:/bin/reboot
::shutdown:/etc/stop
INITTAB

cat >"$root/etc/stop" <<'STOP'
#!/bin/sh
# Leaves disks clean; what can't be unmounted (the root) holds nothing.
sync
umount -a -r 2>/dev/null
STOP

cat >"$root/etc/start" <<'START'
#!/bin/sh
. /etc/profile
modules=storage run=
for word in $(cat /proc/cmdline); do
  case $word in
    modules=*) modules=${word#modules=} ;;
    run=*) run=${word#run=} ;;
  esac
done
case $modules in
  none) ;;
  storage) load $(cat /lib/modules/storage) ;;
  *) load $(echo "$modules" | tr , ' ') ;;
esac
echo "ringshift guest: Linux $(uname -r) on $(uname -m)"
[ -z "$run" ] || eval "$(echo "$run" | tr , ' ')"
echo "ringshift guest: ready"
START

cat >"$root/etc/console" <<'CONSOLE'
#!/bin/sh
. /etc/profile
cd /root
exec cttyhack /bin/sh
CONSOLE

cat >"$root/etc/profile" <<'PROFILE'
export PATH=/bin:/sbin HOME=/root PS1='guest# ' TERM=${TERM:-linux}
PROFILE

cat >"$root/sbin/load" <<'LOAD'
#!/bin/sh
# load NAME…: inserts modules and what they depend on; those that are there already are skipped.
for wanted; do
  for module in $(sed -n "s/^$wanted: //p" /lib/modules/order); do
    grep -q "^$module " /proc/modules || insmod /lib/modules/$module.ko || echo "load: $module failed"
  done
done
LOAD

# The usual name of what this busybox calls mke2fs.
printf '#!/bin/sh\nexec mke2fs "$@"\n' >"$root/sbin/mkfs.ext2"

chmod 755 "$root"/{init,sbin/mkfs.ext2,etc/start,etc/stop,etc/console,sbin/load}
(cd "$root" && find . -mindepth 1 | LC_ALL=C sort | cpio --quiet --create --format=newc --owner=0:0 --reproducible) |
  gzip -9n >"$output.part"
mv "$output.part" "$output"
echo "$output"
