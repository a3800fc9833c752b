#!/usr/bin/env bash
# Installs what is needed, builds and runs all tests; ends in ctest's summary.
#   scripts/test.sh [PRESET]     release (default), debug, asan-ubsan or coverage
set -euo pipefail
cd "$(dirname "$0")/.."
preset=${1:-release}

scripts/packages.sh build guests test
cmake --preset "$preset"
cmake --build --preset "$preset"
ctest --preset "$preset" --parallel "$(nproc)" --timeout 900
