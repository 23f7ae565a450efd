#!/usr/bin/env python3
"""The work of `cytograd bench --device cuda`, done by PyTorch on the same card, for comparison.

Prints one CSV line per case: kernel,case,seconds,figure,unit,peak_mb. Every matrix product runs in
full float32 (TF32 off). Times are medians of repeated runs between device synchronisations, after a
warm-up; a case whose name ends in "graph" replays a captured CUDA graph.

Usage: torch_counterparts.py [gemm] [sgld] [mmd] [zinb] [train]     (default: all)
"""
import statistics
import sys
import time

import torch
import torch.nn.functional as F

torch.backends.cuda.matmul.allow_tf32 = False
torch.backends.cudnn.allow_tf32 = False
torch.set_float32_matmul_precision("highest")
torch.manual_seed(0)
DEVICE = torch.device("cuda")

# As `cytograd bench gemm`: m, k, n of the models' layers, then squares.
SHAPES = [
    (64, 50, 800), (64, 800, 800), (64, 200, 200), (128, 1000, 512), (256, 2000, 256), (256, 3000, 256),
    (1024, 800, 800), (1024, 5000, 1024), (512, 512, 512), (1024, 1024, 1024), (2048, 2048, 2048),
    (4096, 4096, 4096),
]


def seconds(run, budget=0.4, least=5):
    """Median time of one call; calls are batched so that a batch lasts at least 5 ms."""
    for _ in range(3):
        run()
    torch.cuda.synchronize()
    start = time.perf_counter()
    run()
    torch.cuda.synchronize()
    once = time.perf_counter() - start
    batch = max(1, int(0.005 / max(once, 1e-7)))
    times = []
    until = time.perf_counter() + budget
    while len(times) < least or (time.perf_counter() < until and len(times) < 50):
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(batch):
            run()
        torch.cuda.synchronize()
        times.append((time.perf_counter() - start) / batch)
    return statistics.median(times)


def report(kernel, case, run, work, unit, **kw):
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    t = seconds(run, **kw)
    peak = (torch.cuda.max_memory_allocated() - before) / 2**20
    print(f"{kernel},{case},{t:.4e},{work / t:.4g},{unit},{peak:.0f}", flush=True)


def normal(*shape):
    return torch.randn(*shape, device=DEVICE)


def gemm():
    for m, k, n in SHAPES:
        a, b = normal(m, k), normal(k, n)
        out = torch.empty(m, n, device=DEVICE)
        report("gemm", f"{m}x{k}x{n}", lambda: torch.mm(a, b, out=out), 2e-12 * m * k * n, "TFLOP/s")
        run, _ = captured(lambda: torch.mm(a, b, out=out))
        report("gemm", f"{m}x{k}x{n} graph", run, 2e-12 * m * k * n, "TFLOP/s")


class Residual(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
        self.a, self.b = torch.nn.Linear(width, width), torch.nn.Linear(width, width)

    def forward(self, x):
        return F.elu(x + self.b(F.elu(self.a(x))))


def network(features, widths, blocks, classes):
    """Linear, residual blocks, ..., Linear: the energy-based models' backbone."""
    layers, width = [], features
    for units, count in zip(widths, blocks):
        layers.append(torch.nn.Linear(width, units))
        layers += [Residual(units) for _ in range(count)]
        width = units
    return torch.nn.Sequential(*layers, torch.nn.Linear(width, classes)).to(DEVICE)


def langevin(net, x, steps=20, alpha=1.0, sigma=0.01):
    for _ in range(steps):
        x = x.detach().requires_grad_()
        (g,) = torch.autograd.grad(torch.logsumexp(net(x), 1).sum(), x)
        x = x.detach() + alpha * g + sigma * torch.randn_like(x)
    return x


def captured(run):
    """The call as a CUDA graph."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            run()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = run()
    return graph.replay, out


def nets():
    yield "50-800x2-200x4-10", (50, [800, 200], [2, 4], 10)
    yield "1000-512x1-512x1-14", (1000, [512, 512], [1, 1], 14)


def sgld():
    for name, shape in nets():
        for batch in (64, 1024):
            net = network(*shape).requires_grad_(False)
            x = normal(batch, shape[0])
            case = f"{name} batch {batch} 20 steps"
            report("sgld", case, lambda: langevin(net, x), 20, "steps/s")
            run, _ = captured(lambda: langevin(net, x))
            report("sgld", case + " graph", run, 20, "steps/s")


def mmd_block(x, y, gamma, gx, gy, weight):
    """Adds the gradients of weight * sum exp(-gamma |x - y|^2) and returns the sum, in row chunks."""
    total = torch.zeros((), device=DEVICE)
    rows = max(1, 2**27 // max(1, len(y)))
    yy = (y * y).sum(1)
    for start in range(0, len(x), rows):
        a = x[start:start + rows]
        k = (a * a).sum(1)[:, None] + yy[None] - 2 * (a @ y.T)
        k = k.clamp_(min=0).mul_(-gamma).exp_()
        total += k.sum() * weight
        if gx is not None:
            gx[start:start + rows] -= 2 * gamma * weight * (a * k.sum(1)[:, None] - k @ y)
        if gy is not None:
            gy -= 2 * gamma * weight * (y * k.sum(0)[:, None] - k.T @ a)
    return total


def mmd():
    d = 50
    for n in (10_000, 50_000, 100_000):
        x, y = normal(n, d), normal(n, d)
        gamma = 1.0 / d

        def run():
            gx, gy = torch.zeros_like(x), torch.zeros_like(y)
            total = mmd_block(x, x, gamma, gx, None, 1.0) + mmd_block(y, y, gamma, gy, None, 1.0)
            return total + mmd_block(x, y, gamma, gx, gy, -2.0)

        # Pairs of xx, yy and xy, each once.
        report("mmd", f"{n}+{n} d {d} value+gradients", run, 3e-9 * n * n, "Gpair/s", budget=2.0, least=3)


def zinb_scvi(x, mu, theta, pi, eps=1e-8):
    """The log-likelihood as scvi-tools composes it."""
    softplus_pi = F.softplus(-pi)
    log_theta_eps, log_theta_mu_eps = torch.log(theta + eps), torch.log(theta + mu + eps)
    pi_theta_log = -pi + theta * (log_theta_eps - log_theta_mu_eps)
    case_zero = F.softplus(pi_theta_log) - softplus_pi
    case_non_zero = (-softplus_pi + pi_theta_log + x * (torch.log(mu + eps) - log_theta_mu_eps)
                     + torch.lgamma(x + theta) - torch.lgamma(theta) - torch.lgamma(x + 1))
    return torch.where(x < eps, case_zero, case_non_zero)


def zinb():
    for rows, genes in ((128, 2000), (1024, 4000), (4096, 4000)):
        x = torch.where(torch.rand(rows, genes, device=DEVICE) < 0.92, 0.0, torch.randint(1, 8, (rows, genes), device=DEVICE).float())
        m, h = normal(rows, genes).requires_grad_(), normal(rows, genes).requires_grad_()
        r = normal(genes).requires_grad_()

        def run():
            value = zinb_scvi(x, m.exp(), r.exp(), h).sum()
            return torch.autograd.grad(value, (m, r, h))

        # x, m, h read, dm, dh written.
        report("zinb", f"{rows}x{genes} value+gradients", run, 20e-9 * rows * genes, "GB/s")
        graph, _ = captured(run)
        report("zinb", f"{rows}x{genes} value+gradients graph", graph, 20e-9 * rows * genes, "GB/s")


def train():
    """One iteration of JEM (CLAMS with an open gate): 20 Langevin steps, then the update."""
    for name, shape in nets():
        batch, features, classes = 64, shape[0], shape[3]
        net = network(*shape)
        adam = torch.optim.Adam(net.parameters(), lr=1e-4, fused=True, capturable=True)
        buffer = torch.rand(10_000, features, device=DEVICE) * 2 - 1
        cells, labels = normal(512, features), torch.randint(0, classes, (512,), device=DEVICE)

        def step():
            slots = torch.randint(0, len(buffer), (batch,), device=DEVICE)
            fresh = torch.rand(batch, 1, device=DEVICE) < 0.05
            x = torch.where(fresh, torch.rand(batch, features, device=DEVICE) * 2 - 1, buffer[slots])
            net.requires_grad_(False)
            fake = langevin(net, x)
            net.requires_grad_(True)
            buffer[slots] = fake
            real = cells[torch.randint(0, 512, (batch,), device=DEVICE)]
            pick = torch.randint(0, 512, (batch,), device=DEVICE)
            gap = torch.logsumexp(net(fake), 1).mean() - torch.logsumexp(net(real), 1).mean()
            loss = F.cross_entropy(net(cells[pick]), labels[pick]) + F.elu(gap)
            adam.zero_grad(set_to_none=False)
            loss.backward()
            adam.step()

        case = f"jem {name} batch {batch} 20 steps"
        report("train", case, step, 1, "iterations/s")
        run, _ = captured(step)
        report("train", case + " graph", run, 1, "iterations/s")


def ceilings():
    a, b = normal(1 << 28), torch.empty(1 << 28, device=DEVICE)
    report("ceiling", "copy of 1 GiB", lambda: b.copy_(a), 8e-9 * len(a), "GB/s")


def main():
    parts = {"gemm": gemm, "sgld": sgld, "mmd": mmd, "zinb": zinb, "train": train}
    wanted = sys.argv[1:] or list(parts)
    unknown = [name for name in wanted if name not in parts]
    if unknown:
        raise SystemExit(f"torch_counterparts.py: no part named {', '.join(unknown)}; there are {', '.join(parts)}")
    print(f"# {torch.cuda.get_device_name()}, PyTorch {torch.__version__}")
    print("kernel,case,seconds,figure,unit,peak_mb")
    ceilings()
    for name in wanted:
        parts[name]()


if __name__ == "__main__":
    main()
