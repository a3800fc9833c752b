#!/usr/bin/env bash
# linux_poweroff.sh RINGSHIFT KERNEL: prompt on ttyS0, arithmetic right, `poweroff` ends with status 0, and
# the kernel's log has no complaint about timers, APIC, ACPI or PCI that QEMU's log of it doesn't have.
source "$(dirname "$0")/lib.sh"
linux_arguments "$1"
boot "${linux[@]}" --serial stdio --append "console=ttyS0" --timeout 600 \
  --expect 'guest# ' --send 'uname -sr; echo $((6 * 7))x; sha256sum /bin/busybox\n' --expect '^Linux 6[.]' --expect '^42x' \
  --expect "$(sha256sum <"$guests/busybox" | cut -d' ' -f1)" \
  --expect 'guest# ' --send 'poweroff\n'
wants 0
complaints=$(grep -a -i -E 'warn|error|fail|bug|unable|unstable|spurious|timeout|bogus|conflict|not (found|working)' "$log" |
  grep -a -i -E 'tsc|timer|clock|apic|acpi|pci|irq|hpet|pit|rtc|ata' | grep -a -v -E 'Fast TSC calibration|aer')
reference=$here/known_complaints  # what the same kernel says on QEMU 7.2
if [ -n "$complaints" ] && unknown=$(grep -a -v -F -f "$reference" <<<"$complaints"); then
  die "the kernel complains:"$'\n'"$unknown"
fi
