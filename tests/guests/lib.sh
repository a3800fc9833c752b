# Sourced by the guest tests. Usage of each: TEST.sh RINGSHIFT [ARGUMENTS]; needs the guests that
# scripts/guests/fetch.sh has put into the cache. Exit status 77 means: skipped, with the reason printed.
set -uo pipefail
ringshift=$1
shift
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
guests=$("$here/../../scripts/guests/fetch.sh" --print-cache)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

die() { echo "FAILED: $*"; exit 1; }

# boot ARGUMENTS...: runs the guest headless; sets status, and log to a file with all output. Time limits
# are generous: they end a hang, they measure nothing.
boot() {
  log=$work/log
  "$ringshift" run --display none "$@" >"$log" 2>&1 </dev/null
  status=$?
}

# wants STATUS: the last boot ended so, else its output is shown.
wants() {
  [ "$status" -eq "$1" ] && return
  tail -n 60 "$log"
  die "exit status $status instead of $1"
}

linux_arguments() { # KERNEL: sets linux=(...)
  linux=(--memory 256M --kernel "$guests/$1/vmlinuz" --initrd "$guests/$1/initramfs.gz")
}
