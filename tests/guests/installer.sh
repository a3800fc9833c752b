#!/usr/bin/env bash
# installer.sh RINGSHIFT: Debian's network installer (text) reaches its language menu.
source "$(dirname "$0")/lib.sh"
boot --memory 512M --kernel "$guests/netboot/linux" --initrd "$guests/netboot/initrd.gz" --serial stdio \
  --append "console=ttyS0" --timeout 880 --expect 'Select a language'
wants 0
