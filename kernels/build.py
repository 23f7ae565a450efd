#!/usr/bin/env python3
"""Compiles kernels/*.cu to kernels/ptx/*.ptx, which the program embeds.

    build.py [FAMILY ...]          compile (all families) and write
    build.py --check [FAMILY ...]  compile, compare byte for byte with what is committed, and assemble
                                   with every ptxas found: prints registers and spills

Needs a Python with the packages of tests/requirements.txt: nvidia-cuda-nvrtc-cu12 (the compiler, whose
version fixes the bytes), and for --check nvidia-cuda-nvcc-cu12 and nvidia-cuda-nvcc (ptxas). No GPU
and no CUDA installation. Which targets a family has is said in its file by a line
`// targets: 70 80 90a` (without one: 70 alone).
"""
import ctypes
import glob
import os
import re
import site
import subprocess
import sys
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor

KERNELS = os.path.dirname(os.path.abspath(__file__))
VERSION = (12, 0)
FLAGS = ["--fmad=false", "--prec-div=true", "--prec-sqrt=true", "--ftz=false", "--std=c++17"]
# What a file of PTX for the first must assemble to.
ASSEMBLED = {
    "70": ["75", "80", "86", "89", "90", "100", "120"],
    "80": ["80", "86", "89", "90", "100", "120"],
    "90a": ["90a"],
}
# Kernels that may not spill registers: the ones on the hot path. `// spills: NAME ...` in a .cu file
# lists functions that may.
SPILLS = re.compile(r"^// spills: (.*)$", re.M)
TARGETS = re.compile(r"^// targets: (.*)$", re.M)


def packages():
    """Folders that hold the `nvidia` packages."""
    places = [sysconfig.get_paths()["purelib"], *site.getsitepackages(), *sys.path]
    return [p for p in dict.fromkeys(places) if os.path.isdir(os.path.join(p, "nvidia"))]


def find(pattern):
    """The first file of the packages that matches, or None."""
    for place in packages():
        hits = sorted(glob.glob(os.path.join(place, "nvidia", pattern)))
        if hits:
            return hits[0]
    return None


class Compiler:
    def __init__(self):
        path = find("cuda_nvrtc/lib/libnvrtc.so.12*")
        if path is None:
            raise SystemExit("build.py: no NVRTC here; pip install -r tests/requirements.txt")
        self.lib = ctypes.CDLL(path)
        major, minor = ctypes.c_int(), ctypes.c_int()
        self.lib.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
        if (major.value, minor.value) != VERSION:
            raise SystemExit(f"build.py: NVRTC is {major.value}.{minor.value}, the kernels are built with 12.0")

    def text(self, size, get, program):
        n = ctypes.c_size_t()
        size(program, ctypes.byref(n))
        buffer = ctypes.create_string_buffer(n.value)
        get(program, buffer)
        return buffer.raw[: n.value - 1]

    def compile(self, family, target):
        """PTX of a family. The program's name is fixed, so that no path gets into the result."""
        with open(os.path.join(KERNELS, family + ".cu"), "rb") as file:
            source = file.read()
        options = ["--gpu-architecture=compute_" + target, *FLAGS, "-I" + KERNELS]
        program = ctypes.c_void_p()
        name = (family + ".cu").encode()
        self.lib.nvrtcCreateProgram(ctypes.byref(program), source, name, 0, None, None)
        encoded = (ctypes.c_char_p * len(options))(*[o.encode() for o in options])
        failed = self.lib.nvrtcCompileProgram(program, len(options), encoded)
        log = self.text(self.lib.nvrtcGetProgramLogSize, self.lib.nvrtcGetProgramLog, program).decode()
        if log.strip("\0 \n"):
            sys.stderr.write(log)
        if failed:
            raise SystemExit(f"build.py: {family}.cu does not compile for compute_{target}")
        ptx = self.text(self.lib.nvrtcGetPTXSize, self.lib.nvrtcGetPTX, program)
        self.lib.nvrtcDestroyProgram(ctypes.byref(program))
        return ptx


def families(names):
    all_families = sorted(os.path.splitext(f)[0] for f in os.listdir(KERNELS) if f.endswith(".cu"))
    unknown = [n for n in names if n not in all_families]
    if unknown:
        raise SystemExit(f"build.py: no {unknown[0]}.cu")
    return names or all_families


def source_of(family):
    with open(os.path.join(KERNELS, family + ".cu"), encoding="utf-8") as file:
        return file.read()


def targets(family):
    found = TARGETS.search(source_of(family))
    return found.group(1).split() if found else ["70"]


def path_of(family, target):
    return os.path.join(KERNELS, "ptx", f"{family}.sm_{target}.ptx")


def knows(ptxas, arch):
    """Whether this assembler has the target."""
    text = subprocess.run([ptxas, "--help"], capture_output=True, text=True).stdout
    return f"sm_{arch}'" in text or f"'sm_{arch}" in text or f"sm_{arch}," in text


def assemble(ptxas, family, target, arch, may_spill):
    """Assembles one file; returns lines of function, registers, spilled bytes, and faults."""
    with tempfile.TemporaryDirectory() as folder:
        command = [ptxas, "-v", f"-arch=sm_{arch}", path_of(family, target), "-o", os.path.join(folder, "out")]
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return [], [f"{family}.sm_{target}.ptx for sm_{arch}: {done.stderr.strip()}"]
    rows, faults, function, spilled = [], [], "?", 0
    for line in done.stderr.splitlines():
        if found := re.search(r"Function properties for (\S+)", line):
            function = found.group(1)
        if found := re.search(r"(\d+) bytes spill stores, (\d+) bytes spill loads", line):
            spilled = int(found.group(1)) + int(found.group(2))
        if found := re.search(r"Used (\d+) registers", line):
            rows.append((function, int(found.group(1)), spilled))
            if spilled and function not in may_spill:
                faults.append(f"{function} for sm_{arch} spills {spilled} bytes")
    return rows, faults


def check(names):
    compiler = Compiler()
    assemblers = [p for p in (find("cuda_nvcc/bin/ptxas"), find("cu13/bin/ptxas")) if p]
    if not assemblers:
        print("build.py: no ptxas here: nothing is assembled")
    every_arch = {arch for archs_of_target in ASSEMBLED.values() for arch in archs_of_target}
    archs = {p: {arch for arch in every_arch if knows(p, arch)} for p in assemblers}
    faults, jobs = [], []
    for family in families(names):
        may_spill = set(" ".join(SPILLS.findall(source_of(family))).split())
        for target in targets(family):
            path = path_of(family, target)
            committed = open(path, "rb").read() if os.path.exists(path) else b""
            if compiler.compile(family, target) != committed:
                faults.append(f"{os.path.relpath(path)} is not what {family}.cu compiles to: run kernels/build.py")
                continue
            known = [(p, arch) for p in assemblers for arch in ASSEMBLED[target] if arch in archs[p]]
            jobs += [(family, target, ptxas, arch, may_spill) for ptxas, arch in known]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(lambda job: assemble(job[2], job[0], job[1], job[3], job[4]), jobs)
        for (family, target, ptxas, arch, _), (rows, wrong) in zip(jobs, results):
            faults += wrong
            if ptxas == assemblers[-1] and arch == ASSEMBLED[target][-1 if target == "90a" else 3]:
                for function, registers, spilled in sorted(rows):
                    note = f", {spilled} bytes spilled" if spilled else ""
                    print(f"{function:40} sm_{arch:4} {registers:3} registers{note}")
    committed = {f for f in os.listdir(os.path.join(KERNELS, "ptx")) if f.endswith(".ptx")}
    if not names:
        wanted = {os.path.basename(path_of(f, t)) for f in families([]) for t in targets(f)}
        faults += [f"kernels/ptx/{f} belongs to no kernel file" for f in sorted(committed - wanted)]
    for fault in faults:
        print("FAULT:", fault)
    return bool(faults)


def build(names):
    compiler = Compiler()
    os.makedirs(os.path.join(KERNELS, "ptx"), exist_ok=True)
    for family in families(names):
        for target in targets(family):
            ptx = compiler.compile(family, target)
            with open(path_of(family, target), "wb") as file:
                file.write(ptx)
            print(f"{family}.sm_{target}.ptx: {len(ptx)} bytes")
    return False


if __name__ == "__main__":
    arguments = sys.argv[1:]
    checking = "--check" in arguments
    names = [os.path.splitext(os.path.basename(a))[0] for a in arguments if a != "--check"]
    sys.exit(check(names) if checking else build(names))
