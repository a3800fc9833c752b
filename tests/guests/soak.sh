#!/usr/bin/env bash
# soak.sh RINGSHIFT [SECONDS [ARGUMENTS...]]: half an hour (or SECONDS) of compiling, forking, packing and
# sorting in a Linux guest under timers of 250 and 1000 Hz. Every round must have the same results, and the
# monitor's memory must not grow after the first third. Not among ctest's tests, for its length. Needs
# gcc -m32 and, the first time, a network for a compiler that runs in the guest (Debian's tcc).
source "$(dirname "$0")/lib.sh"
seconds=${1:-1800}
shift
linux_arguments kernel-686-pae
growth_allowed_kib=$((48 << 10))

# --- The guest's userland: the usual one, and what stands beside it -------------------------------------
soak_cache=$guests/soak
if [ ! -x "$soak_cache/tcc" ]; then
  mkdir -p "$soak_cache"
  (cd "$work" && APT_CONFIG=$guests/apt/apt.conf apt-get -qq update &&
    APT_CONFIG=$guests/apt/apt.conf apt-get -qq download tcc libc6) || die "can't download tcc"
  for package in "$work"/*.deb; do dpkg-deb -x "$package" "$work/packages"; done
  cp -L "$work/packages/usr/bin/tcc" "$soak_cache/tcc"
  for library in ld-linux.so.2 libc.so.6 libm.so.6 libdl.so.2 libpthread.so.0; do
    find "$work/packages" -name "$library" -exec cp -L {} "$soak_cache/" \; -quit
  done
fi
root=$work/root
mkdir -p "$root/soak" "$root/lib"
gcc -m32 -O2 -static -o "$root/soak/load" "$here/soak/load.c" || die "needs gcc -m32"
cp "$here/soak/run" "$soak_cache/tcc" "$root/soak/"
cp "$soak_cache"/*.so.* "$root/lib/"
chmod 755 "$root"/soak/* "$root"/lib/*
(cd "$root" && find . -mindepth 1 | cpio --quiet --create --format=newc --owner=0:0) | gzip -1 >"$work/soak.gz"
cat "$guests/kernel-686-pae/initramfs.gz" "$work/soak.gz" >"$work/initramfs.gz"

# --- The run ---------------------------------------------------------------------------------------------
"$ringshift" run --display none --memory 256M --kernel "$guests/kernel-686-pae/vmlinuz" \
  --initrd "$work/initramfs.gz" --append "console=ttyS0 run=/soak/run,$seconds" --serial stdio --stats \
  --timeout $((seconds * 3 + 600)) --fail-on 'soak: DIFFERS' --expect 'soak: finished, [0-9]+ rounds alike' \
  "$@" >"$work/log" 2>&1 </dev/null &
monitor=$!
begin=$SECONDS
early=0
late=0
while kill -0 "$monitor" 2>/dev/null; do
  sleep 2
  pss=$(awk '/^Pss:/ { print $2 }' "/proc/$monitor/smaps_rollup" 2>/dev/null)
  [ -n "$pss" ] || continue
  if [ $((SECONDS - begin)) -lt $((seconds / 3)) ]; then
    [ "$pss" -gt "$early" ] && early=$pss
  else
    [ "$pss" -gt "$late" ] && late=$pss
  fi
done
wait "$monitor"
status=$?
log=$work/log
grep -a -E '^soak: (timer|finished)|^ *(0|LOC):' "$log"
grep -a -A 40 -e '--- statistics ---' "$log"
wants 0
echo "memory: at most $early KiB in the first third, $late KiB later"
[ "$late" -le $((early + growth_allowed_kib)) ] || die "the monitor's memory grows"
