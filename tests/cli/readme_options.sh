#!/usr/bin/env bash
# readme_options.sh RINGSHIFT SOURCE_DIR BUILD_DIR: what README.md lists is what there is: the options of
# `ringshift run` (by its help and by its completion script), the packages that the scripts install, and
# the tests that boot the guests.
set -uo pipefail
ringshift=$1
source_dir=$2
build_dir=$3
readme=$source_dir/README.md
failures=0

# same WHAT FIRST SECOND: both lists, one name a line, are equal as sets.
same() {
  local difference
  if ! difference=$(diff <(sort -u <<<"$2") <(sort -u <<<"$3")); then
    failures=$((failures + 1))
    printf 'FAILED: %s (< the first, > the second)\n%s\n' "$1" "$difference"
  fi
  [ "$(wc -l <<<"$2")" -gt 1 ] || { failures=$((failures + 1)); echo "FAILED: $1: nothing found"; }
}
# section HEADING: the README's text from that heading to the next one
section() { awk -v heading="$1" '/^##/ { on = ($0 == heading) } on' "$readme"; }

names='(^|[ ,`])--?[a-z][-a-z]*'
listed=$(section '### Options of `ringshift run`' | sed -n 's/^| \(`-[^|]*\)[|\\].*/\1/p' | grep -oE -- "$names" |
  tr -d ' ,`')
helped=$("$ringshift" run --help | sed -n 's/^  \(-[^ ]*\).*/\1/p' | tr ',' '\n')
completed=$("$ringshift" completion | grep -oE -- "compgen -W '--[^']*'" | grep -oE -- '--[a-z][-a-z]*')
same "README and run --help" "$listed" "$helped"
same "run --help and completion" "$(grep '^--' <<<"$helped")" "$completed"

for group in build guests test develop; do
  in_readme=$(section '## Packages' | awk -F'|' -v group="$group" '
    (group == "build" && $2 ~ /building/) || (group == "guests" && $2 ~ /guests/) ||
    (group == "test" && $2 ~ /^ tests/) || (group == "develop" && $2 ~ /tidy/) { print $3 }' | xargs -n 1)
  same "README and packages.sh: $group" "$in_readme" \
    "$("$source_dir/scripts/packages.sh" --list "$group" | tr ' ' '\n')"
done

tests=$(ctest --test-dir "$build_dir" -N | sed -n 's/^ *Test *#[0-9]*: //p')
named=$(section '## What it boots' | grep -oE '`[a-z]+\.[a-z0-9_]+`' | tr -d '`')
[ -n "$named" ] || { failures=$((failures + 1)); echo "FAILED: no tests named"; }
for name in $named; do
  grep -q "^${name%%.*}\." <<<"$tests" || continue  # a tier that this build leaves out
  if ! grep -qx "$name" <<<"$tests"; then
    failures=$((failures + 1))
    echo "FAILED: README names the test $name, which isn't there"
  fi
done

echo "$(wc -w <<<"$listed") options, $(wc -w <<<"$named") guests, $failures failures"
[ "$failures" -eq 0 ]
