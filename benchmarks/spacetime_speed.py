"""A training step of SpaceTime against a naive twin: ``python benchmarks/spacetime_speed.py [quick]``.

Both sides run the same network, with the same weights and the same loss, which is checked: embedding, fixed preprocessing, one encoder
layer, closed-loop decoder, head; forward, backward and AdamW. They differ in the state-space layers. The twin does what the public code
of the paper does: Krylov vectors by repeated squaring of dense matrices, the kernel of the encoder from these, the state of the decoder
at every row of the context by transforms of d times as many signals, and its state at every row of the horizon by squaring.

Every figure comes from a process of its own: the median of some steps after one uncounted, and the largest resident memory beyond what
was resident once libraries, network and data were there. One thread a side; on a CPU the seconds are those that the process had the
processor, so that what else runs there counts little.
"""

import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import harness  # isort: skip  # first: it sets the number of threads
import torch

from ssmts.deep.layers import ClosedLoopCompanion, Companion
from ssmts.deep.losses import head, window_loss
from ssmts.deep.network import SpaceTimeNetwork
from ssmts.deep.scaling import normalise

WIDTH = 128
BASE = {"L": 336, "h": 720, "d": 64, "batch": 50}
GROWTH = {
    "L": (84, 168, 336, 672, 1344, 2688),
    "h": (90, 180, 360, 720, 1440, 2880),
    "d": (16, 32, 64, 128, 256),
    "batch": (12, 25, 50, 100),
}
NAIVE = {"L": (84, 168, 336), "h": (90, 180, 360, 720), "d": (16, 32, 64), "batch": (12, 25, 50)}  # a minute a step


# the naive twin -----------------------------------------------------------------------------------------------------


def krylov(A, b, n):
    """``b, A b, ..., A^(n-1) b`` by repeated squaring; shapes (H, d, d) and (..., H, d) give (..., H, d, n)."""
    found, power = b[..., None], A
    while found.shape[-1] < n:
        found = torch.cat([found, power @ found], -1)
        power = power @ power
    return found[..., :n]


def matrices(a):
    """Companion matrices with their coefficients in the first row, and their input vectors."""
    H, d = a.shape
    A = torch.diag_embed(a.new_ones(H, d - 1), -1)
    A = torch.cat([a[:, None, :], A[:, 1:]], 1)
    return A, torch.eye(d, dtype=a.dtype, device=a.device)[0].expand(H, d)


def filtered(u, kernel):
    """A causal convolution by transforms of twice the length."""
    n = u.shape[-1]
    return torch.fft.irfft(torch.fft.rfft(u, 2 * n) * torch.fft.rfft(kernel, 2 * n), 2 * n)[..., :n]


class NaiveCompanion(Companion):
    """The open loop: a kernel from all Krylov vectors."""

    calls = 0

    def convolve(self, u):
        NaiveCompanion.calls += 1
        A, b = matrices(self.coefficients.to(u.dtype))
        kernel = torch.einsum("hd,hdl->hl", self.output, krylov(A, b, u.shape[-1]))
        return filtered(u, kernel) + self.skip[:, None] * u


class NaiveClosedLoop(ClosedLoopCompanion):
    """The closed loop: every state of the context and of the horizon."""

    calls = 0

    def forward(self, u, horizon, inputs=None):
        NaiveClosedLoop.calls += 1
        a, closed = self.coefficients.to(u.dtype), self.closed_coefficients.to(u.dtype)
        (A, b), k = matrices(a), closed - a
        vectors = krylov(A, b, u.shape[-1])
        said, expected = (filtered(u, torch.einsum("hd,hdl->hl", v, vectors)) for v in (self.output, k))
        states = filtered(u[:, :, None], vectors)  # (B, H, d, L)
        ahead = krylov(A + b[:, :, None] * k[:, None], states[..., -1], horizon)  # (B, H, d, h)
        return said, expected, torch.einsum("hd,bhdm->bhm", self.output, ahead)


def naive(network):
    """A network with its state-space layers exchanged for their twins, of the same weights."""
    for parent in list(network.modules()):
        for name, layer in parent.named_children():
            kind = {Companion: NaiveCompanion, ClosedLoopCompanion: NaiveClosedLoop}.get(type(layer))
            if kind is not None:
                twin = kind(layer.channels, layer.state_size)
                twin.load_state_dict(layer.state_dict())
                setattr(parent, name, twin)
    return network


# one side, one size -------------------------------------------------------------------------------------------------


def setting(side, L, h, d, batch, device, width=WIDTH, dropout=0.25):
    """A call that takes one training step and gives its loss."""
    torch.manual_seed(0)
    network = SpaceTimeNetwork(
        1, 0, 1, context_length=L, n_layers=1, width=width, state_size=d, dropout=dropout, preprocess=True
    )
    with torch.no_grad():  # anywhere but the start
        for p in network.parameters():
            p.add_(0.1 * torch.randn_like(p))
    network = (network if side == "ssmts" else naive(network)).to(device)
    optimiser = torch.optim.AdamW(network.parameter_groups(1e-3, 1e-4))
    torch.manual_seed(1)
    context, target = (torch.randn(batch, 1, n).cumsum(-1).to(device) for n in (L, h))
    scaled, loss_of = normalise(context, "standardize"), head("mse")

    def step():
        output = network(scaled.values, scaled.observed, None, h)
        loss = window_loss(loss_of, output, scaled, target, (1.0, 1.0, 1.0), min(d, L // 2))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        return loss.item()

    return step


def resident(field):
    """Kilobytes of memory: VmRSS, now, or VmHWM, at most so far."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith(field + ":"))


def one(side, L, h, d, batch, device="cpu", longest=60.0):
    """Seconds of a step and megabytes of its peak."""
    torch.set_num_threads(1)
    clock = time.process_time if device == "cpu" else time.perf_counter
    step, samples = setting(side, L, h, d, batch, device), []
    before = resident("VmRSS")
    while not samples or (len(samples) < 10 and sum(samples) < 20 and samples[0] < longest):
        begin = clock()
        step()  # ends with .item(), so a device has finished
        samples.append(clock() - begin)
    peak = torch.cuda.max_memory_allocated() / 1e6 if device == "cuda" else (resident("VmHWM") - before) * 1024 / 1e6
    return {"seconds": statistics.median(samples[1:] or samples), "megabytes": peak}


def apart(side, sizes, device="cpu"):
    """`one` in a process of its own."""
    arguments = [side, *(str(sizes[name]) for name in BASE), device]
    command = [sys.executable, __file__, "one", *arguments]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


# all of it ----------------------------------------------------------------------------------------------------------


def check():
    """Both sides say the same losses over some steps, the twin by its own layers."""
    sides = [setting(side, 60, 90, 8, 4, "cpu", 16, 0.0) for side in ("ssmts", "naive")]
    losses = [[step() for _ in range(3)] for step in sides]
    assert all(abs(x - y) < 1e-4 * abs(x) for x, y in zip(*losses)), losses
    assert NaiveCompanion.calls == NaiveClosedLoop.calls == 3


def measure(quick):
    """All sizes: {(what varies, its value): {side: figures}}."""
    found = {("all", "base"): {side: apart(side, BASE) for side in ("ssmts", "naive")}}
    for name, values in ({} if quick else GROWTH).items():
        for value in values:
            if value == BASE[name]:
                found[name, value] = found["all", "base"]
                continue
            sides = ("ssmts", "naive") if value in NAIVE[name] else ("ssmts",)
            found[name, value] = {side: apart(side, {**BASE, name: value}) for side in sides}
            print(name, value, found[name, value], file=sys.stderr)
    return found


def plot(found):
    """Seconds of a step by size, both sides."""
    import matplotlib.pyplot as plt

    words = {"L": "context L", "h": "horizon h", "d": "states d", "batch": "batch"}
    figure, axes = plt.subplots(1, 4, figsize=(13, 3.2), sharey=True, layout="constrained")
    for axis, name in zip(axes, GROWTH):
        for side, marker in (("naive", "s"), ("ssmts", "o")):
            points = [(v, f[side]["seconds"]) for (n, v), f in found.items() if n == name and side in f]
            axis.loglog(*zip(*points), marker=marker, label=side)
        axis.set_xlabel(words[name])
        axis.set_xticks(GROWTH[name], map(str, GROWTH[name]))
        axis.minorticks_off()
        axis.grid(alpha=0.3, which="both")
    axes[0].set_ylabel("seconds a step")
    axes[0].legend()
    figure.savefig(harness.RESULTS / "spacetime_speed.png", dpi=110)


def rows_of(found):
    """Lines of the table."""
    for (name, value), sides in found.items():
        sizes = dict(BASE) if name == "all" else {**BASE, name: value}
        fast, slow = sides["ssmts"], sides.get("naive")
        cells = [harness.duration(fast["seconds"]), f"{fast['megabytes']:.0f} MB"]
        if slow is None:
            cells += ["", "", "", ""]
        else:
            cells += [harness.duration(slow["seconds"]), f"{slow['megabytes']:.0f} MB"]
            cells += [f"{slow[what] / fast[what]:.1f}" for what in ("seconds", "megabytes")]
        yield ["base" if name == "all" else name, *sizes.values(), *cells]


def growth_notes(found):
    """How time grows, as powers between the largest sizes and a quarter of them."""
    import math

    for name, values in GROWTH.items():
        small, large = values[-3], values[-1]
        times = [found[name, v]["ssmts"]["seconds"] for v in (small, large)]
        power = math.log(times[1] / times[0]) / math.log(large / small)
        yield f"From {name} = {small} to {large} a step of ssmts grows as {name}^{power:.2f}."


def gpu():
    """The same on a CUDA device, and the memory traffic that a step needs at least beside what the device can do."""
    if not torch.cuda.is_available():
        return ["No GPU was at hand: none is measured."]
    fast = apart("ssmts", BASE, "cuda")
    slow = apart("naive", BASE, "cuda")
    x = torch.empty(2**28, device="cuda")
    y = torch.empty_like(x)
    y.copy_(x)
    torch.cuda.synchronize()
    begin = time.perf_counter()
    for _ in range(10):
        y.copy_(x)
    torch.cuda.synchronize()
    bandwidth = 10 * 2 * x.nbytes / (time.perf_counter() - begin)
    signals = 4 * BASE["batch"] * WIDTH * (14 * BASE["L"] + 4 * BASE["h"])  # bytes: in and out of each layer, twice
    return [
        f"{torch.cuda.get_device_name()}: ssmts {harness.duration(fast['seconds'])}, {fast['megabytes']:.0f} MB; naive "
        f"{harness.duration(slow['seconds'])}, {slow['megabytes']:.0f} MB; ratio {slow['seconds'] / fast['seconds']:.1f}. "
        f"Reading and writing each layer's signals once forward and once backward would take "
        f"{signals / fast['seconds'] / bandwidth:.1%} of the bandwidth of a copy ({bandwidth / 1e9:.0f} GB/s) in that time."
    ]


def main(quick):
    check()
    found = measure(quick)
    base = found["all", "base"]
    ratios = [base["naive"][what] / base["ssmts"][what] for what in ("seconds", "megabytes")]
    notes = [
        f"Base: {ratios[0]:.0f} times as fast as the naive twin, in 1/{ratios[1]:.0f} of its peak memory. "
        f"Width {WIDTH}, one encoder layer, dropout 0.25, float32; seconds of processor time, memory beyond the start of the first step.",
        *([] if quick else growth_notes(found)),
        *gpu(),
    ]
    columns = ["varied", "L", "h", "d", "batch", "ssmts", "peak", "naive", "peak", "times as fast", "times less memory"]
    name = "spacetime_speed_quick" if quick else "spacetime_speed"
    if not quick:
        notes += ["", "![Seconds a step by size](spacetime_speed.png)"]
        plot(found)
    harness.report(name, "A training step of SpaceTime", columns, list(rows_of(found)), ("ssmts", "torch"), notes)


if __name__ == "__main__":
    if sys.argv[1:2] == ["one"]:
        chosen, *numbers, where = sys.argv[2:]
        print(json.dumps(one(chosen, *map(int, numbers), where)))
    else:
        main(sys.argv[1:] == ["quick"])
