#!/usr/bin/env bash
# multiboot.sh RINGSHIFT: a Multiboot kernel of our own gets its command line, memory map and modules, and
# its isa-debug-exit value becomes the exit status.
source "$(dirname "$0")/lib.sh"
nasm -f bin -DFLAT -o "$work/probe" "$here/multiboot_probe.asm" || die "nasm"
echo one >"$work/one"
echo two >"$work/two"
boot "$work/probe" --serial stdio --timeout 100 --memory 64M --debug-exit 0x501
wants 65  # (20h << 1) | 1
boot --kernel "$work/probe" --module "$work/one first" --module "$work/two" --append "hello world" \
  --serial stdio --timeout 100 --memory 64M --debug-exit 0x501
wants 65
for line in "magic 2BADB002" "bss 00000000" "mem_lower 0000027F" "mem_upper 0000FBF8" \
  "command line $work/probe hello world" "  string $work/one first" "  content 0A656E6F" \
  "  string $work/two" "  content 0A6F7774" "range 00100000" "multiboot probe: done"; do
  grep -aqxF -- "$line" "$log" || die "no line '$line' in:"$'\n'"$(cat "$log")"
done
