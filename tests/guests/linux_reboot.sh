#!/usr/bin/env bash
# linux_reboot.sh RINGSHIFT: `reboot -f` reboots; under --no-reboot it ends with status 1 and says why.
source "$(dirname "$0")/lib.sh"
linux_arguments kernel-686-pae
boot "${linux[@]}" --serial stdio --append "console=ttyS0 modules=none" --timeout 600 --no-reboot \
  --expect 'guest# ' --send 'reboot -f\n'
wants 1
grep -q 'the guest reset the machine' "$log" || die "no line says why"
boot "${linux[@]}" --serial stdio --append "console=ttyS0 modules=none" --timeout 600 \
  --expect 'guest# ' --send 'reboot -f\n' --expect 'Linux version' --expect 'guest# '
wants 0
