#!/usr/bin/env bash
# grub_cd.sh RINGSHIFT: GRUB's rescue CD, from firmware (El Torito): menu, prompt, `ls`, `cat` by keys.
source "$(dirname "$0")/lib.sh"
truncate -s 16M "$work/disk.img"
mke2fs -q -F "$work/disk.img"
boot "$guests/grub/grub-rescue-cdrom.iso" --disk "$work/disk.img" --serial none --timeout 300 \
  --expect 'Press enter' --send 'key:c' --expect 'grub>' \
  --send 'type:ls\n' --expect '\(hd[0-9]\)' \
  --send 'type:cat (cd)/boot/grub/grub.cfg\n' --expect 'menuentry'
wants 0
