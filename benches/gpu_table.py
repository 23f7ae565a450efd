#!/usr/bin/env python3
"""Prints `cytograd bench --counterparts --csv` beside benches/torch_counterparts.py as a table.

Usage: gpu_table.py CYTOGRAD.csv TORCH.csv      (without the second file: its columns are empty)
"""
import csv
import os
import sys


def time(seconds):
    for factor, unit in ((1, "s"), (1e3, "ms"), (1e6, "us")):
        if seconds * factor >= 1 or unit == "us":
            return f"{seconds * factor:.3g} {unit}"


def main():
    if len(sys.argv) != 3:
        raise SystemExit(__doc__.strip())
    with open(sys.argv[1], newline="", encoding="utf-8") as file:
        ours = list(csv.DictReader(file))
    lines = []
    if os.path.exists(sys.argv[2]):
        with open(sys.argv[2], newline="", encoding="utf-8") as file:
            lines = list(file)
        print("".join(line[2:] for line in lines if line.startswith("#")).strip(), "\n")
    rows = csv.DictReader(line for line in lines if not line.startswith("#"))
    theirs = {f"{row['kernel']} {row['case']}": row for row in rows}
    print("| case | cytograd | rate | of the ceiling | PyTorch | ratio | PyTorch, graph | ratio | PyTorch's peak |")
    print("|---|---|---|---|---|---|---|---|---|")
    for row in ours:
        mine = float(row["seconds"])
        cells = [row["what"], time(mine), f"{float(row['rate']):.4g} {row['unit']}", f"{100 * float(row['share']):.0f} %"]
        for name in (row["what"], row["what"] + " graph"):
            other = theirs.get(name)
            cells += [time(float(other["seconds"])), f"{float(other['seconds']) / mine:.2f}"] if other else ["", ""]
        peak = theirs.get(row["what"], {}).get("peak_mb")
        print("|", " | ".join([*cells, f"{peak} MB" if peak else ""]), "|")


if __name__ == "__main__":
    main()
