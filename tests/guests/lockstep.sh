#!/usr/bin/env bash
# lockstep.sh RINGSHIFT: firmware and GRUB, each block of their code compared with the interpreter. A difference
# ends the run with status 3 and a report.
source "$(dirname "$0")/lib.sh"
boot "$guests/grub/grub-rescue-floppy.img" --snapshot --engine lockstep --serial none --timeout 300 \
  --expect 'Press enter' --send 'key:c' --expect 'grub>' --send 'type:ls\n' --expect '\(fd0\)'
wants 0
