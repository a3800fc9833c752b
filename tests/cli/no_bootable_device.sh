#!/usr/bin/env bash
# no_bootable_device.sh RINGSHIFT: the firmware alone. SeaBIOS starts, shows its banner, tries every kind of
# drive and says that there is nothing to boot.
set -uo pipefail
"$1" run --display none --serial none --timeout 120 \
  --expect '(?s)SeaBIOS \(version.*Booting from Floppy.*Booting from DVD/CD.*Booting from Hard Disk.*No bootable device' \
  </dev/null
