#!/usr/bin/env bash
# bad_input.sh RINGSHIFT: each kind of bad input gets one clear line and the documented exit status,
# quickly, and leaves nothing behind.
set -uo pipefail
ringshift=$1
work=$(mktemp -d)
trap 'chmod -R u+rwX "$work"; rm -rf "$work"' EXIT
cd "$work"
failures=0
cases=0

# refused STATUS REGEX ARGUMENTS...: one line on standard error, matching, and that exit status.
refused() {
  local status=$1 regex=$2
  shift 2
  cases=$((cases + 1))
  local output got
  output=$(timeout 20 "$ringshift" run --display none --serial none --timeout 5 "$@" 2>&1 </dev/null)
  got=$?
  if [ "$got" -ne "$status" ] || [ "$(wc -l <<<"$output")" -ne 1 ] || ! grep -Eq -- "$regex" <<<"$output"; then
    failures=$((failures + 1))
    printf 'FAILED: %s\n  wanted status %s and one line like: %s\n  got status %s:\n%s\n' \
      "$*" "$status" "$regex" "$got" "$output"
  fi
}

head -c 1474560 /dev/zero >floppy.img
head -c 4194304 /dev/zero >disk.img
: >empty.img
mkdir folder
head -c 1000 /dev/urandom >junk
cp disk.img unreadable.img
chmod 000 unreadable.img
head -c 40000 /dev/zero >truncated.iso
printf '\001CD001\001' | dd of=truncated.iso bs=1 seek=32768 conv=notrunc status=none
printf '\000\001\000\000' | dd of=truncated.iso bs=1 seek=32848 conv=notrunc status=none  # 256 blocks
# A bzImage header (boot sector magic, HdrS, protocol 2.12) with nothing behind it.
head -c 1024 /dev/zero >truncated.bz
printf '\x20' | dd of=truncated.bz bs=1 seek=497 conv=notrunc status=none
printf '\x55\xaa\xeb\x66HdrS\x0c\x02' | dd of=truncated.bz bs=1 seek=510 conv=notrunc status=none

refused 3 "missing.img.*No such file"            missing.img
refused 3 "folder.*directory"                    folder
refused 3 "empty.img.*empty"                     empty.img
[ "$(id -u)" -eq 0 ] || refused 3 "unreadable.img.*Permission denied" unreadable.img
refused 3 "truncated.iso.*truncated"             truncated.iso
refused 3 "truncated.bz.*truncated"              truncated.bz
refused 3 "missing.*No such file"                --kernel missing
refused 3 "junk.*(neither|not)"                  --kernel junk
refused 3 "missing.*No such file"                --cdrom missing
refused 3 "missing.*No such file"                --floppy missing
refused 3 "junk"                                 --floppy junk
refused 3 "missing.*No such file"                --disk missing
refused 3 "missing.rom.*No such file"            --bios missing.rom
refused 3 "junk.*64 KiB"                         --bios junk
refused 2 "at least 1 MiB"                       --memory 0
refused 3 "[Mm]emory"                            --memory 100000G
refused 2 "not a size"                           --memory plenty
refused 2 "--display"                            --display hologram
refused 2 "--serial"                             --serial tin-can
refused 2 "--engine.*translator, interpreter"    --engine warp
refused 2 "--disable-opt.*(none|no opt)"         --disable-opt=haste
refused 2 "--dump-blocks.*translate"             --engine interpreter --dump-blocks
refused 2 "--check-recovery.*lockstep"           --engine translator --check-recovery
refused 2 "--perf-map.*translate"                --engine interpreter --perf-map
refused 2 "--boot"                               --boot z
refused 2 "regular expression"                   --expect '('
refused 3 "no-such-folder/out.*No such file"     --serial file:no-such-folder/out
refused 3 "folder.*directory"                    --serial file:folder
refused 3 "junk.*not a socket"                   --serial unix:junk
refused 3 "no-such-folder"                       --parallel no-such-folder/out

# Two guests on one disk image: the second is refused while the first runs, and both may read it.
"$ringshift" run --display none --serial none --timeout 4 --disk disk.img >/dev/null 2>&1 </dev/null &
first=$!
sleep 1
refused 3 "disk.img.*(locked|in use)"            --disk disk.img
kill -TERM "$first"
wait "$first"
[ $? -eq 143 ] || { echo "FAILED: SIGTERM should give status 143"; failures=$((failures + 1)); }

left=$(ls -A | sort | tr '\n' ' ')
[ "$left" = "disk.img empty.img floppy.img folder junk truncated.bz truncated.iso unreadable.img " ] ||
  { echo "FAILED: left behind: $left"; failures=$((failures + 1)); }

echo "$cases cases, $failures failures"
[ "$failures" -eq 0 ]
