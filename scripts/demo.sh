#!/usr/bin/env bash
# Boots an unmodified Debian kernel to a shell, from a fresh clone: installs what is needed, builds the
# program, fetches the guest and starts it.
#   scripts/demo.sh
# On a terminal the shell is yours. Without one (a CI job, a pipe) scripts/guests/uname.script types for
# you and the exit status is the program's: 0 if the guest booted, answered and powered off.
set -euo pipefail
cd "$(dirname "$0")/.."

interactive=no
if [ -t 0 ] && [ -t 1 ]; then interactive=yes; fi

scripts/packages.sh build guests
# The tests need more packages than the program: leave them out unless test.sh has configured them.
[ -f build/release/build.ninja ] || cmake --preset release -DRINGSHIFT_TESTS=OFF
cmake --build --preset release --target ringshift
scripts/guests/fetch.sh
initramfs=$(scripts/guests/make_initramfs.sh kernel-686-pae)
kernel=$(scripts/guests/fetch.sh --print-cache)/kernel-686-pae/vmlinuz

boot=(build/release/ringshift run --display none --serial stdio --memory 512M
  --kernel "$kernel" --initrd "$initramfs" --append "console=ttyS0")
if [ $interactive = yes ]; then
  echo
  echo "Booting Debian's linux-image-686-pae, just as Debian ships it; the shell comes in half a minute or so."
  echo "To quit: type poweroff, or press Ctrl-A and then x (Ctrl-A h shows the other keys)."
  exec "${boot[@]}"
fi
exec "${boot[@]}" --script scripts/guests/uname.script </dev/null
