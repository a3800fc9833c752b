#!/usr/bin/env bash
# disk_full.sh RINGSHIFT: when the host's disk is full the guest sees an I/O error, the person one line, and
# both go on.
source "$(dirname "$0")/lib.sh"
linux_arguments kernel-686-pae
mkdir "$work/small"
cat >"$work/inside" <<'S'
set -e
mount -t tmpfs -o size=4M none "$1"
truncate -s 32M "$1/disk.img"
shift
exec "$@"
S
namespace=(unshare --mount)
"${namespace[@]}" true 2>/dev/null || namespace=(unshare --user --map-root-user --mount)
"${namespace[@]}" true 2>/dev/null ||
  { echo "no mount namespace to be had: no small file system to fill"; exit 77; }
log=$work/log
"${namespace[@]}" bash "$work/inside" "$work/small" "$ringshift" run --display none "${linux[@]}" --serial stdio \
  --append "console=ttyS0" --timeout 600 --disk "$work/small/disk.img" \
  --expect 'guest# ' --send 'dd if=/dev/urandom of=/dev/sda bs=1M count=16; sync; echo wrote=$?\n' \
  --expect 'I/O error' --expect 'wrote=[0-9]' --expect 'guest# ' --send 'echo still $((1 + 1)) alive\n' --expect 'still 2 alive' --expect 'guest# ' \
  --send 'poweroff\n' >"$log" 2>&1 </dev/null
status=$?
wants 0
[ "$(grep -a -c '^ringshift: .*disk.img.*No space left' "$log")" -eq 1 ] || die "not one line for the person:"$'\n'"$(grep -a ringshift: "$log")"
