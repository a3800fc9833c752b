#!/usr/bin/env bash
# grub_floppy.sh RINGSHIFT: GRUB's rescue floppy, from firmware: menu, prompt, `ls` shows the disk.
source "$(dirname "$0")/lib.sh"
truncate -s 16M "$work/disk.img"
mke2fs -q -F -L marked "$work/disk.img"
boot "$guests/grub/grub-rescue-floppy.img" --snapshot --disk "$work/disk.img" --serial none --timeout 300 \
  --expect 'Press enter' --send 'key:c' --expect 'grub>' \
  --send 'type:ls\n' --expect '\(hd0\)' --send 'type:ls (hd0)\n' --expect 'Filesystem type ext.*marked'
wants 0
