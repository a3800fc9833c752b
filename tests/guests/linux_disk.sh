#!/usr/bin/env bash
# linux_disk.sh RINGSHIFT: a disk that the guest formats, mounts and writes through IDE DMA checks clean on
# the host, with the same data; with --snapshot the image doesn't change.
source "$(dirname "$0")/lib.sh"
linux_arguments kernel-686-pae
truncate -s 48M "$work/disk.img"
cat >"$work/script" <<'S'
expect guest# 
send mke2fs -q /dev/sda >/dev/null; mkdir -p /mnt; mount /dev/sda /mnt; echo mounted=$?\n
expect mounted=0
expect guest# 
send echo mode=$(cat /sys/class/ata_device/dev1.0/dma_mode)\n
expect mode=XFER_.*DMA
expect guest# 
send cp /bin/busybox /mnt/a; seq 100000 >/mnt/b; cp /mnt/a /mnt/c; sync; cmp /mnt/a /mnt/c; echo copied=$?\n
expect copied=0
expect guest# 
send umount /mnt; echo done=$?\n
expect done=0
expect guest# 
send poweroff\n
S
boot "${linux[@]}" --serial stdio --append "console=ttyS0" --timeout 600 --disk "$work/disk.img" --script "$work/script"
wants 0
e2fsck -fn "$work/disk.img" || die "the file system is not clean"
debugfs -R 'cat /b' "$work/disk.img" 2>/dev/null | cmp - <(seq 100000) || die "/b differs"
debugfs -R 'cat /c' "$work/disk.img" 2>/dev/null | cmp - "$guests/busybox" || die "/c differs"

before=$(sha256sum <"$work/disk.img")
boot "${linux[@]}" --serial stdio --append "console=ttyS0" --timeout 600 --snapshot --disk "$work/disk.img" \
  --expect 'guest# ' --send 'mount /dev/sda /mnt; rm /mnt/b; echo gone >/mnt/d; sync; umount /mnt; mount /dev/sda /mnt; grep -q gone /mnt/d; echo ok=$?\n' \
  --expect 'ok=0' --expect 'guest# ' --send 'poweroff\n'
wants 0
[ "$before" = "$(sha256sum <"$work/disk.img")" ] || die "--snapshot changed the image"
