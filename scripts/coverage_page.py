#!/usr/bin/env python3
"""Prints docs/coverage.md from gcovr's JSON summary (first argument): line coverage by folder."""
import collections
import json
import pathlib
import sys

TOP = ("cpu", "devices")
LEAST_COVERED = 10


def row(name, covered, total):
    return f"| {name} | {total} | {covered} | {100 * covered / total:.1f} % |"


def main():
    with open(sys.argv[1], encoding="utf-8") as summary:
        files = [f for f in json.load(summary)["files"] if f["line_total"] > 0]
    files = [f for f in files if pathlib.PurePath(f["filename"]).parts[0] in TOP]
    if not files:
        sys.exit("coverage_page.py: the summary names no file of " + " or ".join(TOP))

    folders = collections.defaultdict(lambda: [0, 0])
    for file in files:
        path = pathlib.PurePath(file["filename"])
        for folder in {str(path.parent), path.parts[0] + " (all)"}:
            folders[folder][0] += file["line_covered"]
            folders[folder][1] += file["line_total"]

    print("# Line coverage\n")
    print("Written by `scripts/coverage.sh` (gcov, without optimisation beyond -O1) from the quick test tiers: without guests")
    print("and random instructions, which execute more.\n")
    print("| folder | lines | executed | |\n|---|---|---|---|")
    for name in sorted(folders, key=lambda n: (n.split()[0].split("/")[0], "(all)" not in n, n)):
        label = f"**{name.replace(' (all)', '/')}**" if "(all)" in name else f"{name}/"
        print(row(label, *folders[name]))
    print(f"\nThe {LEAST_COVERED} files with most lines that no test executes:\n")
    print("| file | lines | executed | |\n|---|---|---|---|")
    missing = sorted(files, key=lambda f: f["line_covered"] - f["line_total"])
    for file in [f for f in missing if f["line_covered"] < f["line_total"]][:LEAST_COVERED]:
        print(row(file["filename"], file["line_covered"], file["line_total"]))


main()
