#!/usr/bin/env bash
# check_format.sh CLANG_FORMAT SOURCE_DIR: every source file is as clang-format would write it.
set -euo pipefail
cd "$2"
mapfile -d '' files < <(find . -path ./build -prune -o \( -name '*.cpp' -o -name '*.h' \) -print0)
if [ ${#files[@]} -eq 0 ]; then
  echo "check_format.sh: no sources in $2" >&2
  exit 1
fi
"$1" --dry-run -Werror "${files[@]}"
