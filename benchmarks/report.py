#!/usr/bin/env python3
"""Prints the table of a comparison from the JSON file that benchmarks/guest/run.py has written.

    benchmarks/report.py results.json
"""
import json
import math
import pathlib
import statistics
import sys

# Ratios of CPU time to native that guest code shall not exceed.
ROW_GOALS = {"chase_16k": 1.3, "chase_1m": 1.1, "chase_64m": 1.1, "memcpy": 1.1, "rep_movsb": 1.2,
             "unaligned_read": 1.1, "unaligned_write": 1.1, "patch": 60}
GROUP_GOALS = {"integer": 1.25, "x87": 1.1, "sse2": 1.1}
WORST_GOALS = {"integer": 1.6}
BOOT_SECONDS, BOOT_SHARE_OF_TCG, FIRMWARE_SECONDS = 1.5, 1 / 3, 0.16


def save(results, path):
    path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def machine_names(results):
    return list(results["boot"])  # the guests, in order


def ratio(row, name, middle=statistics.median):
    """How much longer a unit takes than natively; None without an answer from both."""
    own, native = row["machines"][name], row["machines"]["native"]
    if "error" in own or "error" in native:
        return None
    return middle(own["cpu_ns"]) / middle(native["cpu_ns"])


def half_spread(result):
    """Half the distance from the least to the greatest measurement, in percent of the median, as text."""
    values = result["cpu_ns"]
    return f"{50 * (max(values) - min(values)) / statistics.median(values):.0f}"


def group_ratios(results, group, name):
    return {row["row"]: ratio(row, name) for row in results["rows"] if row["group"] == group}


def geometric_mean(ratios):
    if not ratios or None in ratios.values():
        return None
    return math.exp(statistics.fmean(math.log(value) for value in ratios.values()))


def failures(results):
    """What went wrong, a line each. Failed starts are here even if the next one went well."""
    lines = []
    for row in results["rows"]:
        lines += [f"{name}: {row['row']}: {m['error']}" for name, m in row["machines"].items() if "error" in m]
    for kind in ("boot", "firmware", "idle", "start"):
        lines += [f"{name}: {kind}: {text}" for name, m in results[kind].items() for text in m["failures"]]
    return lines


def number(value, digits=2):
    return "failed" if value is None else f"{value:.{digits}f}"


def as_table(head, lines):
    """Markdown, with columns that also line up for a reader of the text."""
    widths = [max(len(line[i]) for line in [head, *lines]) for i in range(len(head))]
    bars = ["-" * widths[0]] + ["-" * (width - 1) + ":" for width in widths[1:]]

    def text(line):
        return "| " + " | ".join([line[0].ljust(widths[0])] + [c.rjust(w) for c, w in zip(line[1:], widths[1:])]) + " |"

    return "\n".join(text(line) for line in [head, bars, *lines])


def row_table(results):
    names = machine_names(results)
    head = ["row", "group", "native ns", "± %"]
    for name in names:
        head += [name, "of minima", "± %"]
    lines = []
    for row in results["rows"]:
        native = row["machines"]["native"]
        failed = "error" in native
        line = [row["row"], row["group"]]
        line += ["failed", ""] if failed else [f"{statistics.median(native['cpu_ns']):.0f}", half_spread(native)]
        for name in names:
            median = ratio(row, name)
            line += ["failed", "", ""] if median is None else [
                f"{median:.2f}", f"{ratio(row, name, min):.2f}", half_spread(row["machines"][name])]
        lines.append(line)
    return as_table(head, lines)


def seconds(results, kind, name):
    measured = results[kind][name]["cpu_s"]
    return statistics.median(measured) if measured else None


def verdict(value, goal):
    return "failed" if value is None else "reached" if value <= goal else "missed"


def goal_table(results):
    """The goals, for every guest; a goal that needs rows which weren't run is left out."""
    names = machine_names(results)
    groups = {row["group"] for row in results["rows"]}
    rows = {row["row"]: row for row in results["rows"]}
    subject = names[0]
    lines = []

    def add(what, values, goal, unit="", digits=2):
        lines.append([what, *(number(values[name], digits) + unit * (values[name] is not None) for name in names),
                      f"≤ {goal:.4g}{unit}", verdict(values[subject], goal)])

    for group, goal in GROUP_GOALS.items():
        if group in groups:
            count = sum(row["group"] == group for row in results["rows"])
            means = {n: geometric_mean(group_ratios(results, group, n)) for n in names}
            add(f"{group}, geometric mean of {count} rows", means, goal)
    for group, goal in WORST_GOALS.items():
        if group in groups:
            ratios = {n: group_ratios(results, group, n) for n in names}
            worst = {n: None if None in ratios[n].values() else max(ratios[n].values()) for n in names}
            key = max(ratios[subject], key=lambda row: ratios[subject][row] or math.inf)
            add(f"{group}, worst row ({key})", worst, goal)
    for row, goal in ROW_GOALS.items():
        if row in rows:
            add(row, {n: ratio(rows[row], n) for n in names}, goal)
    boots = {n: seconds(results, "boot", n) for n in names}
    if any(results["boot"][n]["cpu_s"] or results["boot"][n]["failures"] for n in names):
        add("boot of 686-pae to the prompt", boots, BOOT_SECONDS, " s")
        if boots.get("tcg") and subject != "tcg":
            shares = {n: boots[n] and boots[n] / boots["tcg"] for n in names}
            add("the same, as a share of TCG's", shares, BOOT_SHARE_OF_TCG)
        firmware = {n: seconds(results, "firmware", n) for n in names}
        add("SeaBIOS to \"No bootable device\"", firmware, FIRMWARE_SECONDS, " s")
    idle = {n: seconds(results, "idle", n) for n in names}
    lines.append(["idle guest, share of a CPU", *(number(idle[n] and 100 * idle[n], 1) + " %" * (idle[n] is not None) for n in names), "", ""])
    return as_table(["goal (CPU time, ratio to native)", *names, "goal", f"{subject}: verdict"], lines)


def table(results):
    about = results["about"]
    extra = f"; ringshift {about['ringshift_options']}" if about["ringshift_options"] else ""
    text = [f"{about['processors']} x {about['processor']}, {about['host']}; {', '.join(about['programs'].values())}",
            f"{about['date']}; {about['rounds']} rounds of {about['target_s']} s; load before: {about['load']:.1f}; "
            f"guest: {about['append']}{extra}",
            "", row_table(results)]
    if machine_names(results):
        text += ["", goal_table(results)]
    wrong = failures(results)
    if wrong:
        text += ["", f"{len(wrong)} failed:", *("  " + line for line in wrong)]
    return "\n".join(text)


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: report.py RESULTS.json")
    results = json.loads(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8"))
    print(table(results))
    sys.exit(1 if failures(results) else 0)


if __name__ == "__main__":
    main()
