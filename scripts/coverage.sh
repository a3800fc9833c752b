#!/usr/bin/env bash
# Builds with gcov, runs the quick test tiers and writes docs/coverage.md: how many lines of cpu/ and devices/
# they execute, by folder.
#   scripts/coverage.sh [LABEL...]    these tiers only; otherwise all but those that take long (guests, fuzz)
#                                     or execute nothing of the program (style, packaging)
set -euo pipefail
cd "$(dirname "$0")/.."

if [ $# -gt 0 ]; then
  tiers=(-L "^($(IFS='|'; echo "$*"))\$")
else
  tiers=(-LE '^(guests|fuzz|style|packaging)$')
fi

scripts/packages.sh build test develop
cmake --preset coverage
cmake --build --preset coverage
find build/coverage -name '*.gcda' -delete
# Coverage of a failing run is still worth seeing; the status tells of the failure at the end.
status=0
ctest --preset coverage --parallel "$(nproc)" --timeout 900 "${tiers[@]}" || status=$?

summary=$(mktemp)
trap 'rm -f "$summary"' EXIT
gcovr --root . --object-directory build/coverage -j "$(nproc)" \
  --filter '(cpu|mmu|devices|bios|frontend)/' --json-summary "$summary" build/coverage
scripts/coverage_page.py "$summary" >docs/coverage.md
sed -n '/^| folder/,/^$/p' docs/coverage.md
exit $status
