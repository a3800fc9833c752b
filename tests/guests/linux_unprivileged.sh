#!/usr/bin/env bash
# linux_unprivileged.sh RINGSHIFT [ARGUMENTS...]: a user without any privilege boots to the prompt, under the
# host's usual limit of mappings, and the guest can use its page 0 though the host's processes can't.
source "$(dirname "$0")/lib.sh"
[ "$(sysctl -n vm.max_map_count 2>/dev/null || cat /proc/sys/vm/max_map_count)" -le 65530 ] ||
  echo "note: vm.max_map_count is above its default here"
linux_arguments kernel-686-pae
as_nobody=()
if [ "$(id -u)" -eq 0 ]; then
  command -v setpriv >/dev/null || { echo "skipped: root, and no setpriv"; exit 77; }
  as_nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all)
  # What it may not read where it lies.
  cp "$ringshift" "$guests/kernel-686-pae/vmlinuz" "$guests/kernel-686-pae/initramfs.gz" "$work"
  chmod 755 "$work" "$work/$(basename "$ringshift")"
  chmod 644 "$work/vmlinuz" "$work/initramfs.gz"
  ringshift=$work/$(basename "$ringshift")
  linux=(--memory 256M --kernel "$work/vmlinuz" --initrd "$work/initramfs.gz")
fi
log=$work/log
"${as_nobody[@]}" "$ringshift" run --display none "${linux[@]}" --serial stdio --append "console=ttyS0" \
  --timeout 600 --expect 'guest# ' --send 'echo $((6 * 7))x; sha256sum /bin/busybox\n' --expect '^42x' \
  --expect "$(sha256sum <"$guests/busybox" | cut -d' ' -f1)" --expect 'guest# ' --send 'poweroff\n' \
  "$@" >"$log" 2>&1 </dev/null
status=$?
wants 0
