#!/usr/bin/env bash
# linux_panic.sh RINGSHIFT: a kernel panic never looks like success: neither when the kernel halts, nor when
# it reboots, nor when the pvpanic driver reports it.
source "$(dirname "$0")/lib.sh"
kernel=$guests/kernel-686-pae/vmlinuz
boot --memory 128M --kernel "$kernel" --serial stdio --append "console=ttyS0 panic=-1" --timeout 300
wants 1
grep -q "kernel panicked" "$log" || die "no line says why"
linux_arguments kernel-686-pae
boot "${linux[@]}" --serial stdio --append "console=ttyS0 modules=pvpanic_mmio" --timeout 600 --allow-panic \
  --expect 'guest# ' --send 'echo c >/proc/sysrq-trigger\n'
wants 1
grep -q "pvpanic" "$log" || die "no line names pvpanic"
grep -q "registers" "$log" || die "no registers"
