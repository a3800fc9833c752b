#!/usr/bin/env python3
"""Compares guest code under Ringshift and under QEMU's TCG with the same binary run natively.

    benchmarks/guest/run.py --json results.json

Builds bench32, packs it into the tests' initramfs, boots the 686-pae kernel under each monitor, and times every row on
all machines in turn, for several rounds. docs/benchmarks.md says what the rows are and how to read the table.
"""
import argparse
import datetime
import os
import pathlib
import platform
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE.parent))
sys.dont_write_bytecode = True  # nothing is left in the tree
import report  # noqa: E402  (one folder up)
from machines import Failure, Guest, Native  # noqa: E402

KERNEL = "kernel-686-pae"
# What a guest does against its processor's leaks costs every monitor something else and a native program nothing.
APPEND = "console=ttyS0 mitigations=off nopti"
DEFAULTS = {"rounds": 5, "target": 0.3, "boots": 3}
COMPILE = ("gcc -m32 -O2 -Wall -Wextra -Werror -fno-pie -fno-builtin -fno-tree-loop-distribute-patterns "
           "-fno-strict-aliasing -fcf-protection=none -fno-stack-protector -fno-optimize-sibling-calls").split()
OBJECTS = {  # object: source and what its rows are compiled for
    "bench32": ("bench32.c", "-march=i686 -mtune=generic"),
    "integer": ("integer.c", "-march=i686 -mtune=generic -mfpmath=387"),
    "compression": ("compression.c", "-march=i686 -mtune=generic -mfpmath=387"),
    "x87": ("floating.c", "-march=i686 -mtune=generic -mfpmath=387"),
    "sse2": ("floating.c", "-march=pentium4 -mtune=generic -mfpmath=sse -ftree-vectorize -fvect-cost-model=dynamic"),
    "memory": ("memory.c", "-march=pentium4 -mtune=generic -mfpmath=sse"),
}


def run(*arguments, **keywords):
    done = subprocess.run([str(argument) for argument in arguments], text=True, check=False, **keywords)
    if done.returncode != 0:
        sys.exit(f"run.py: {pathlib.Path(arguments[0]).name} failed with status {done.returncode}")
    return done.stdout


def output_of(*arguments):
    return run(*arguments, stdout=subprocess.PIPE)


# --- What runs ---------------------------------------------------------------------------------------------------


def build_bench32(folder):
    objects = []
    for name, (source, flags) in OBJECTS.items():
        objects.append(folder / f"{name}.o")
        run(*COMPILE, *flags.split(), "-c", HERE / source, "-o", objects[-1])
    binary = folder / "bench32"
    run("gcc", "-m32", "-static", "-no-pie", *objects, "-o", binary)
    return binary


def pack_initramfs(folder, bench32):
    """The tests' userland, and behind it a second archive with the program: the kernel unpacks both."""
    guests = ROOT / "scripts" / "guests"
    run(guests / "fetch.sh", stdout=subprocess.DEVNULL)
    base = folder / "userland.gz"
    if not base.exists() or base.stat().st_mtime < (guests / "make_initramfs.sh").stat().st_mtime:
        run(guests / "make_initramfs.sh", KERNEL, base, stdout=subprocess.DEVNULL)
    with tempfile.TemporaryDirectory() as temporary:
        root = pathlib.Path(temporary)
        (root / "bin").mkdir()
        shutil.copy(bench32, root / "bin" / "bench32")
        archive = subprocess.run("printf 'bin/bench32\\n' | cpio --quiet --create --format=newc --owner=0:0 | gzip -9n",
                                 shell=True, check=True, cwd=root, stdout=subprocess.PIPE).stdout
    initramfs = folder / "initramfs.gz"
    initramfs.write_bytes(base.read_bytes() + archive)
    return initramfs


def make_guests(options, folder, initramfs):
    cache = pathlib.Path(output_of(ROOT / "scripts" / "guests" / "fetch.sh", "--print-cache").strip())
    kernel = cache / KERNEL / "vmlinuz"
    limits = (folder / "logs", options.timeout, options.boot_timeout)

    def linux(dashes):
        files = {"kernel": kernel, "initrd": initramfs, "append": APPEND}
        return [word for name, value in files.items() for word in (dashes + name, value)]

    guests = []
    if options.ringshift != "none":
        for engine in options.engine or [None]:
            common = [options.ringshift, "run", "--display", "none", "--memory", "256M"]
            common += ["--engine", engine] if engine else []
            common += shlex.split(options.ringshift_options)
            guests.append(Guest(f"ringshift {engine}" if engine else "ringshift",
                                common + ["--serial", "stdio", *linux("--")],
                                common + ["--serial", "none", "--debug-console", "/dev/stdout"], *limits))
    if options.qemu != "none":
        common = [options.qemu, "-accel", "tcg", "-m", "256M", "-display", "none", "-monitor", "none", "-nic", "none"]
        guests.append(Guest("tcg", common + ["-serial", "stdio", *linux("-")],
                            common + ["-serial", "none", "-chardev", "stdio,id=log",
                                      "-device", "isa-debugcon,iobase=0x402,chardev=log"], *limits))
    return guests


# --- Measuring ---------------------------------------------------------------------------------------------------


def calibrate(machine, row, target):
    """How many units take about `target` CPU seconds on this machine; the first runs also warm it up."""
    machine.run(row, 1)
    units = 1
    while True:
        seconds, _, _ = machine.run(row, units)
        if seconds >= target / 4:
            return max(1, round(units * target / seconds))
        units = max(units + 1, round(units * min(10, target / seconds)))


def measure_row(machine, row, target, result):
    """One measurement, added to `result`; what goes wrong is recorded there, and ends the row on this machine."""
    if "error" in result:
        return
    try:
        if "units" not in result:
            result["units"] = calibrate(machine, row, target)
        cpu, own, checksum = machine.run(row, result["units"])
    except Failure as failure:
        result["error"] = str(failure)
        print(f"{machine.name}: {row}: {failure}", file=sys.stderr)
        return
    if result.setdefault("checksum", checksum) != checksum:
        result["error"] = "results differ from round to round"
    result["cpu_ns"].append(cpu * 1e9 / result["units"])
    result["guest_ns"].append(own / result["units"])


def compare_results(row_results):
    """A row that computes something else than natively has failed, however fast it was."""
    expected = row_results["native"].get("checksum")
    for name, result in row_results.items():
        if "checksum" in result and result["checksum"] != expected:
            result.setdefault("error", f"wrong result {result['checksum']}, natively {expected}")


def measure_seconds(machines, kind, rounds):
    """Boots or firmware runs of all guests, interleaved. One that fails is on record and is tried once more."""
    results = {machine.name: {"cpu_s": [], "failures": []} for machine in machines}
    for _ in range(rounds):
        for machine in machines:
            result = results[machine.name]
            target = len(result["cpu_s"]) + 1
            while len(result["cpu_s"]) < target and len(result["failures"]) < 2:
                try:
                    result["cpu_s"].append(getattr(machine, kind)())
                except Failure as failure:
                    result["failures"].append(str(failure))
                    print(f"{machine.name}: {failure}", file=sys.stderr)
    return results


def measure(options, rows, native, guests):
    progress = (lambda text: print(text, file=sys.stderr, flush=True)) if options.verbose else (lambda text: None)
    results = {}
    progress("firmware and boots")
    results["firmware"] = measure_seconds(guests, "firmware_cpu_seconds", options.boots)
    results["boot"] = measure_seconds(guests, "boot_cpu_seconds", options.boots)
    machines = [native, *guests]
    rows_results = {row: {m.name: {"cpu_ns": [], "guest_ns": []} for m in machines} for row, _ in rows}
    for number in range(options.rounds):
        for row, _ in rows:
            progress(f"round {number + 1} of {options.rounds}: {row}")
            for machine in machines:
                measure_row(machine, row, options.target, rows_results[row][machine.name])
    for row in rows_results.values():
        compare_results(row)
    results["rows"] = [{"row": row, "group": group, "machines": rows_results[row]} for row, group in rows]
    results["idle"] = {guest.name: {"cpu_s": [], "failures": []} for guest in guests}
    for guest in guests:
        try:
            results["idle"][guest.name]["cpu_s"].append(guest.idle_share(2.0))
        except Failure as failure:
            results["idle"][guest.name]["failures"].append(str(failure))
    results["start"] = {guest.name: {"failures": guest.failed_starts} for guest in guests}
    return results


def describe(options):
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo", encoding="utf-8")
                  if line.startswith("model name")), "unknown")
    programs = {}
    if options.ringshift != "none":
        programs["ringshift"] = output_of(options.ringshift, "version").splitlines()[0]
    if options.qemu != "none":
        programs["tcg"] = output_of(options.qemu, "--version").splitlines()[0]
    return {"date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"), "processor": model,
            "processors": os.cpu_count(), "host": f"{platform.system()} {platform.release()}", "programs": programs,
            "load": os.getloadavg()[0], "target_s": options.target, "rounds": options.rounds, "append": APPEND,
            "ringshift_options": options.ringshift_options}


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", help="rows or groups to run, separated by commas (default: all)")
    parser.add_argument("--rounds", type=int, help="rounds over all rows (5)")
    parser.add_argument("--boots", type=int, help="boots and firmware starts to measure (3)")
    parser.add_argument("--target", type=float, help="CPU seconds of one measurement (0.3)")
    parser.add_argument("--quick", action="store_true", help="3 rounds of 0.1 s and one boot: to see that it works")
    parser.add_argument("--engine", action="append", help="Ringshift's --engine; repeatable (default: the program's)")
    parser.add_argument("--ringshift", default=str(ROOT / "build" / "release" / "ringshift"), help="program, or 'none'")
    parser.add_argument("--ringshift-options", default="", metavar="OPTIONS", help="more options for `ringshift run`")
    parser.add_argument("--qemu", default="qemu-system-i386", help="program, or 'none'")
    parser.add_argument("--timeout", type=float, default=120, help="seconds until a measurement has failed (120)")
    parser.add_argument("--boot-timeout", type=float, default=300, help="seconds until a boot has failed (300)")
    parser.add_argument("--folder", type=pathlib.Path, help="where to build and log (~/.cache/ringshift/benchmarks)")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write all measurements to a file")
    parser.add_argument("--verbose", action="store_true", help="say on standard error what is being measured")
    options = parser.parse_args()
    for name, value in {"rounds": 3, "target": 0.1, "boots": 1}.items() if options.quick else DEFAULTS.items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    for program in (options.ringshift, options.qemu):
        if program != "none" and not shutil.which(program):
            parser.error(f"no program {program} ('none' leaves it out)")
    return options


def main():
    options = parse_arguments()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # not without ending the machines
    signal.signal(signal.SIGINT, signal.default_int_handler)
    cache = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    folder = options.folder or pathlib.Path(cache) / "ringshift" / "benchmarks"
    (folder / "logs").mkdir(parents=True, exist_ok=True)

    bench32 = build_bench32(folder)
    rows = [tuple(line.split()) for line in output_of(bench32, "list").splitlines()]
    if options.rows:
        wanted = options.rows.split(",")
        unknown = set(wanted) - {name for pair in rows for name in pair}
        if unknown:
            sys.exit(f"run.py: no row or group named {', '.join(sorted(unknown))}")
        rows = [(row, group) for row, group in rows if row in wanted or group in wanted]

    native = Native(bench32, folder / "logs", options.timeout)
    guests = make_guests(options, folder, pack_initramfs(folder, bench32))
    try:
        results = {"about": describe(options), **measure(options, rows, native, guests)}
    finally:
        for machine in [native, *guests]:
            machine.stop()
    if options.json:
        report.save(results, options.json)
    print(report.table(results))
    sys.exit(1 if report.failures(results) else 0)


if __name__ == "__main__":
    main()
