#!/usr/bin/env bash
# Runs clang-tidy with the checks of .clang-tidy. It takes long, so test.sh leaves it out.
#   scripts/tidy.sh                  all sources
#   scripts/tidy.sh FILE...          these
#   scripts/tidy.sh --changed [REF]  those that differ from REF (main), committed or not
set -euo pipefail
cd "$(dirname "$0")/.."

folders='^(cpu|mmu|translator|devices|bios|frontend|tests)/.*\.cpp$'
case "${1:-}" in
  '') files=$(find . -name '*.cpp' -printf '%P\n' | grep -E "$folders" | sort) ;;
  --changed) files=$(git diff --name-only --diff-filter=d "${2:-main}" | grep -E "$folders" || true) ;;
  *) files=$(printf '%s\n' "$@") ;;
esac
if [ -z "$files" ]; then echo "nothing to check"; exit 0; fi

scripts/packages.sh build test develop
# The compilation database must know the tests' files and the generated ones.
cmake --preset release >/dev/null
cmake --build --preset release --target ringshift_bios >/dev/null
# What the database doesn't list isn't compiled in this configuration (a consumer's own project, say).
known=$(sed -n 's/^ *"file": "\(.*\)".*/\1/p' build/release/compile_commands.json)
checked=()
for file in $files; do
  if grep -qxF "$PWD/$file" <<<"$known"; then checked+=("$file"); else echo "not compiled here: $file"; fi
done
[ ${#checked[@]} -gt 0 ] || exit 0
# GCC's warning options that clang doesn't know are no findings.
printf '%s\0' "${checked[@]}" | xargs -0 -n 1 -P "$(nproc)" \
  clang-tidy-14 -p build/release --quiet --extra-arg=-Wno-unknown-warning-option
