#!/usr/bin/env python3
"""Every tile and every cut of k of kernels/gemm.cu on this machine's card, beside torch.mm (cuBLAS).

For tuning: the planner in src/cuda/gemm.rs has to choose what this finds to be fastest. Products are
full float32, TF32 off. Each way must give the same bits as the first one. Times are medians per
launch within a replayed CUDA graph of many launches.

Usage: gemm_tiles.py [--ptx FILE] [--csv FILE] [--shapes 64x800x800,...] [--forms nn,nt,tn,tt]
FILE.json beside the PTX, if there is one, lists further tiles: [[function, rows, cols, threads, step,
stages], ...]; those of the planner are read from src/cuda/gemm.rs.
"""
import argparse
import ctypes
import json
import pathlib
import re
import statistics
import struct
import sys

import torch

torch.backends.cuda.matmul.allow_tf32 = False
torch.set_float32_matmul_precision("highest")

ROOT = pathlib.Path(__file__).resolve().parent.parent
# m, k, n
SHAPES = [
    (64, 50, 800), (64, 800, 800), (64, 200, 200), (128, 1000, 512), (256, 2000, 256), (256, 3000, 256),
    (1024, 800, 800), (1024, 5000, 1024), (512, 512, 512), (1024, 1024, 1024), (2048, 2048, 2048),
    (4096, 4096, 4096), (64, 800, 10), (3000, 256, 256), (5000, 1024, 1024), (800, 64, 800), (20000, 50, 256),
]
CHUNK = 256


class Driver:
    """The few calls of the driver that launching a function of a module takes."""

    def __init__(self, ptx):
        torch.zeros(1, device="cuda")  # makes PyTorch's context current
        self.cuda = ctypes.CDLL("libcuda.so.1")
        pointer, number = ctypes.c_void_p, ctypes.c_uint
        self.cuda.cuLaunchKernel.argtypes = [pointer] + [number] * 7 + [pointer] * 3
        self.module = ctypes.c_void_p()
        self.check(self.cuda.cuModuleLoadData(ctypes.byref(self.module), ptx + b"\0"), "load")
        self.functions = {}

    @staticmethod
    def check(code, what):
        if code:
            raise SystemExit(f"driver error {code}: {what}")

    def function(self, name):
        if name not in self.functions:
            f = ctypes.c_void_p()
            self.check(self.cuda.cuModuleGetFunction(ctypes.byref(f), self.module, name.encode()), name)
            size = ctypes.c_int()
            # Attributes 3 and 4: local bytes, registers; 8: most dynamic shared memory.
            self.cuda.cuFuncGetAttribute(ctypes.byref(size), 3, f)
            if size.value:
                print(f"{name} spills {size.value} bytes", file=sys.stderr)
            self.functions[name] = f
        return self.functions[name]

    def launch(self, name, grid, threads, shared, args):
        f = self.function(name)
        self.check(self.cuda.cuFuncSetAttribute(f, 8, shared), f"{name}: {shared} bytes of shared memory")
        values = [ctypes.create_string_buffer(a, len(a)) for a in args]
        pointers = (ctypes.c_void_p * len(values))(*[ctypes.addressof(v) for v in values])
        stream = ctypes.c_void_p(torch.cuda.current_stream().cuda_stream)
        code = self.cuda.cuLaunchKernel(f, *grid, threads, 1, 1, shared, stream, pointers, None)
        self.check(code, f"{name} {grid} {threads} {shared}")


def address(tensor):
    return struct.pack("<Q", tensor.data_ptr())


def word(value):
    return struct.pack("<I", value)


def tiles(sidecar):
    text = (ROOT / "src/cuda/gemm.rs").read_text()
    found = [
        (name, *map(int, numbers))
        for name, *numbers in re.findall(
            r'tile\(\s*"(\w+)", \[(\d+), (\d+)\], (\d+), \[(\d+), (\d+)\]', text)
    ]
    if sidecar.exists():
        found += [tuple(t) for t in json.loads(sidecar.read_text())]
    return found


class Product:
    def __init__(self, driver, shape, form):
        self.driver = driver
        self.m, self.k, self.n = m, k, n = shape
        a = torch.randn((m, k) if form[0] == "n" else (k, m), device="cuda")
        b = torch.randn((k, n) if form[1] == "n" else (n, k), device="cuda")
        self.a, self.b = (a if form[0] == "n" else a.T), (b if form[1] == "n" else b.T)
        self.out = torch.empty(m, n, device="cuda")
        self.chunks = max(1, -(-k // CHUNK))
        sa, sb = self.a.stride(), self.b.stride()
        self.params = struct.pack(
            "<4I3I4i2iI4i2iI2I3If", 1, 1, 1, 1, m, n, k, 0, 0, 0, 0, *sa, 0, 0, 0, 0, 0, *sb, 0, 0, 0, 0, 0, 0, 0.0)
        self.copies = self.mode(*sa) | self.mode(sb[1], sb[0]) << 2

    @staticmethod
    def mode(along, k):
        return 2 if along == 1 and k % 4 == 0 else 1 if k < along else 0

    def choices(self, all_tiles):
        for tile in all_tiles:
            for per in sorted({c for c in (1, 2, 3, 4, 6, 8) if c < self.chunks} | {self.chunks}):
                parts = -(-self.chunks // per)
                places = -(-self.m // tile[1]) * -(-self.n // tile[2])
                if parts == 1 or (places <= 4096 and self.chunks * places * tile[1] * tile[2] <= 1 << 25):
                    yield tile, per

    def run(self, tile, per, scratch, zeros):
        name, rows, cols, threads, step, stages = tile
        parts = -(-self.chunks // per)
        shared = 4 * (stages * step * (rows + cols + 8) + (rows * (cols + 4) if parts == 1 else 0))
        blocks = -(-self.m // rows) * -(-self.n // cols)
        none = address(self.a)
        buffers = [address(self.a), address(self.b), none, none, address(self.out), address(scratch)]
        args = [self.params, *buffers, address(zeros), word(self.copies), word(per)]
        self.driver.launch(name, (blocks, parts, 1), threads, shared, args)


def eager(run, count=20):
    """Time of one call among many in a row; for what cannot be captured."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    run()
    start.record()
    for _ in range(count):
        run()
    end.record()
    end.synchronize()
    return 1e-3 * start.elapsed_time(end) / count


def seconds(run, budget=0.006):
    """Median time of one call in a graph of many."""
    run()
    torch.cuda.synchronize()
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    run()
    end.record()
    torch.cuda.synchronize()
    count = max(1, min(50, int(0.5 * budget / (1e-3 * start.elapsed_time(end) + 1e-7))))
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(count):
            run()
    graph.replay()
    times = []
    for _ in range(5):
        start.record()
        graph.replay()
        end.record()
        end.synchronize()
        times.append(1e-3 * start.elapsed_time(end) / count)
    return statistics.median(times)


# Rows, columns of the sparse matrix, columns of the dense one.
SPARSE = [(64, 3000, 128), (256, 3000, 256), (256, 3000, 1024), (1024, 2000, 1024), (3000, 256, 1024)]


def sparse(driver, scratch, zeros):
    """Every way of kernels/spmm.cu, and the transpose, beside torch.sparse.mm (cuSPARSE)."""
    faults = 0
    for m, k, n in SPARSE:
        dense = torch.randn(m, k, device="cuda") * (torch.rand(m, k, device="cuda") < 0.08)
        csr = dense.to_sparse_csr()
        b = torch.randn(k, n, device="cuda")
        out = torch.empty(m, n, device="cuda")
        indptr, indices = csr.crow_indices().int(), csr.col_indices().int()
        params = struct.pack("<4I2i4If", m, n, k, 0, n, 1, 0, 0, 0, 0, 0.0)
        buffers = [address(t) for t in (indptr, indices, csr.values(), b, b, out)]
        chunks = -(-k // CHUNK)
        ways, first = [], None
        exact = torch.mm(dense.double(), b.double())

        def rows(name):
            driver.launch(name, (-(-m * -(-n // 128) // 8), 1, 1), 256, 0, [params, *buffers])

        def staged(group, parted):
            shared = 4 * (256 * 64 + 512 + 2 * group + (0 if parted else 64 * group))
            grid = (-(-n // 64), -(-m // group), chunks if parted else 1)
            words = [word(group), word(1), word(parted)]
            driver.launch("spmm_staged", grid, 256, shared, [params, *buffers, address(scratch), address(zeros), *words])

        candidates = [("rows", lambda: rows("spmm_rows_pieces"))]
        for group in (16, 32, 64, 128, 256):
            for parted in (0, 1) if chunks > 1 else (0,):
                name = f"staged {group}{' parted' * parted}"
                candidates.append((name, lambda group=group, parted=parted: staged(group, parted)))
        for name, run in candidates:
            out.fill_(float("nan"))
            run()
            found = out.clone().view(torch.int32)
            first = found if first is None else first
            error = ((out.double() - exact).norm() / exact.norm()).item()
            if not (error < 1e-5 and torch.equal(found, first)):
                faults += 1
                print(f"WRONG: sparse {m}x{k}x{n} {name}: relative error {error}")
            ways.append((seconds(run), name))
        ways.sort()
        library = eager(lambda: torch.sparse.mm(csr, b))
        full = seconds(lambda: torch.mm(dense, b, out=out))
        shown = "  ".join(f"{name} {t * 1e6:.1f}" for t, name in ways)
        print(f"sparse {m}x{k}x{n}: cusparse {library * 1e6:.1f} us, dense cublas {full * 1e6:.1f}, ours {shown}", flush=True)
    return faults


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ptx", default=str(ROOT / "kernels/ptx/gemm.sm_80.ptx"))
    parser.add_argument("--csv")
    parser.add_argument("--shapes")
    parser.add_argument("--forms", default="nn,nt,tn")
    parser.add_argument("--sparse", action="store_true", help="also sparse products")
    options = parser.parse_args()
    shapes = SHAPES
    if options.shapes:
        shapes = [tuple(map(int, s.split("x"))) for s in options.shapes.split(",")]
    ptx = pathlib.Path(options.ptx)
    driver = Driver(ptx.read_bytes())
    known = tiles(ptx.with_suffix(".json"))
    scratch = torch.empty(1 << 25, device="cuda")
    zeros = torch.zeros(4096, dtype=torch.int32, device="cuda")
    log = open(options.csv, "w") if options.csv else None
    if log:
        print("m,k,n,form,way,chunks_per_part,microseconds,tflops", file=log)
    faults = 0
    print(f"{'shape':>16} form {'cublas us':>9} {'TFLOP/s':>7} {'ours us':>9} {'TFLOP/s':>7} {'ratio':>5}  best ways (us)")
    for shape in shapes:
        for form in options.forms.split(","):
            product = Product(driver, shape, form)
            work = 2e-12 * shape[0] * shape[1] * shape[2]
            exact = torch.mm(product.a.double(), product.b.double()) if work < 0.2 else None
            library = seconds(lambda: torch.mm(product.a, product.b, out=product.out))
            ways, first = [], None
            for tile, per in product.choices(known):
                # What cannot be competitive is not worth the wait.
                if work > 0.01 and tile[1] * tile[2] < 4096:
                    continue
                product.out.fill_(float("nan"))
                product.run(tile, per, scratch, zeros)
                found = product.out.clone().view(torch.int32)
                if first is None:
                    first = found
                    if exact is not None:
                        error = ((product.out.double() - exact).norm() / exact.norm()).item()
                        if not error < 1e-5:
                            faults += 1
                            print(f"WRONG: {shape} {form} {tile[0]}: relative error {error}")
                elif not torch.equal(found, first):
                    faults += 1
                    print(f"OTHER BITS: {shape} {form} {tile[0]} {per} chunks per part")
                ways.append((seconds(lambda: product.run(tile, per, scratch, zeros)), tile[0], per))
            ways.sort()
            if log:
                rows = [(library, "cublas", 0), *ways]
                for t, name, per in rows:
                    print(*shape, form, name, per, f"{t * 1e6:.2f}", f"{work / t:.2f}", sep=",", file=log, flush=True)
            best = ways[0][0]
            shown = "  ".join(f"{name.removeprefix('gemm_')}/{per} {t * 1e6:.1f}" for t, name, per in ways[:4])
            print(
                f"{'x'.join(map(str, shape)):>16} {form:>4} {library * 1e6:9.1f} {work / library:7.2f}"
                f" {best * 1e6:9.1f} {work / best:7.2f} {library / best:5.2f}  {shown}", flush=True)
    if options.sparse:
        faults += sparse(Driver((ROOT / "kernels/ptx/spmm.sm_80.ptx").read_bytes()), scratch, zeros)
    print("all ways agree bit for bit" if not faults else f"{faults} FAULTS")
    return faults != 0


if __name__ == "__main__":
    sys.exit(main())
