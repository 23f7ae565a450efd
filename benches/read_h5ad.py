"""How fast a large h5ad file is read, beside anndata's read_h5ad on the same file, in turns.

    python benches/read_h5ad.py CYTOGRAD FILE.h5ad [ROUNDS] [MEMORY]

CYTOGRAD is the built program; `inspect` reads every value of every matrix (and judges it). A file
of the size of a 10x atlas is made by

    cargo run --release --example simulate_file -- FILE.h5ad 200000 20000 1390

Prints wall and CPU seconds, cells/s, MB/s of values and indices, peak resident memory, and the
ratios of the medians. Needs the packages of tests/requirements.txt.
"""
import json, os, statistics, subprocess, sys

ANNDATA = """
import sys, warnings
warnings.simplefilter("ignore")
import anndata
a = anndata.read_h5ad(sys.argv[1])
"""
IMPORT = "import warnings; warnings.simplefilter('ignore'); import anndata"


def run(command):
    """Wall seconds, CPU seconds and peak resident MiB of a command, and what it printed."""
    import time

    start = time.monotonic()
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    said = child.stdout.read()
    _, status, used = os.wait4(child.pid, 0)
    if status:
        sys.exit(f"{command[0]} failed")
    return time.monotonic() - start, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, said


def main():
    program, file = sys.argv[1:3]
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 3
    memory = sys.argv[4] if len(sys.argv) > 4 else "1GiB"
    with open(file, "rb") as f:  # into the page cache, for both
        while f.read(1 << 24):
            pass
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(run([program, "inspect", file, "--memory", memory, "--json"]))
        idle = run([sys.executable, "-c", IMPORT])
        wall, cpu, peak, _ = run([sys.executable, "-c", ANNDATA, file])
        theirs.append((wall - idle[0], cpu - idle[1], peak))  # without starting Python
    overview = json.loads(ours[0][3])
    cells = overview["cells"]
    # anndata holds values of 4 bytes and indices of 4 bytes.
    size = 8 * sum(m["nonzero"] for m in overview["matrices"]) / 1e6
    middle = lambda runs, i: statistics.median(r[i] for r in runs)
    for name, runs in [("cytograd inspect", ours), ("anndata read_h5ad", theirs)]:
        wall, cpu, peak = (middle(runs, i) for i in range(3))
        print(f"{name:18} {wall:6.2f} s wall {cpu:6.2f} s CPU {cells / wall:9.0f} cells/s {size / wall:6.0f} MB/s {peak:6.0f} MiB")
    print(f"anndata / cytograd {middle(theirs, 0) / middle(ours, 0):.2f} x wall, {middle(theirs, 1) / middle(ours, 1):.2f} x CPU")


main()
