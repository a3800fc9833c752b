#!/usr/bin/env bash
# lockstep_linux.sh RINGSHIFT KERNEL: to the prompt, each block of the kernel's and the programs' code compared
# with the interpreter. Takes minutes.
source "$(dirname "$0")/lib.sh"
linux_arguments "$1"
boot "${linux[@]}" --engine lockstep --serial stdio --append "console=ttyS0" --timeout 3000 \
  --expect 'guest# ' --send 'echo $((6 * 7))x\n' --expect '^42x' --expect 'guest# ' --send 'poweroff\n'
wants 0
