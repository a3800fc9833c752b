#!/usr/bin/env bash
# check_format.sh CLANG_FORMAT SOURCE_DIR: every source file is as clang-format would write it.
set -euo pipefail
cd "$2"
find cpu mmu translator devices bios frontend tests benchmarks \
  \( -name '*.cpp' -o -name '*.h' \) -print0 2>/dev/null |
  xargs -0 "$1" --dry-run -Werror
