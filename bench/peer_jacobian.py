"""The peers of the Jacobian problems in PyTorch: products with d eps / d h, h an
offset that is added to the mid block's output.

    peer_jacobian.py MODEL REPEATS THREADS OUTPUT [MODE]

Without MODE as the paper's authors take them, with the whole network: reverse mode (a
forward and a backward pass) and forward mode. Prints the least seconds of J^T u and
of J v, and writes J v and J^T u of hs_bench's vectors, raw float32, to OUTPUT.

With MODE, contiguous or channels_last, at a fixed point: the down path and the mid block
once, of the rest torch.func.vjp's closure and torch.func.linearize's, called again
and again. Prints the median seconds of a call of either, the seconds that making them
takes (the primal), and the largest difference from OUTPUT, relative to the largest
value.
"""
import os
import sys
import time

import numpy as np
import torch
from diffusers import UNet2DModel
from torch.nn.attention import SDPBackend, sdpa_kernel

TIMESTEP = 500


def bench_fill(shape):
    count = torch.Size(shape).numel()
    state, values = 1, []
    for _ in range(count):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        values.append((state >> 8) / 8388608.0 - 1.0)
    return torch.tensor(values, dtype=torch.float32).reshape(shape)


def load(model, memory_format):
    part = "unet" if os.path.isdir(os.path.join(model, "unet")) else None
    net = UNet2DModel.from_pretrained(model, subfolder=part, torch_dtype=torch.float32,
                                      local_files_only=True).eval().requires_grad_(False)
    net = net.to(memory_format=memory_format)
    size = net.config.sample_size
    x = bench_fill((1, net.config.in_channels, size, size))
    return net, x.to(memory_format=memory_format)


def authors(net, x, repeats, output):
    offset, seen = [None], []

    def hook(module, inputs, result):
        seen.append(result.shape)
        return result + offset[0] if offset[0] is not None else result

    net.mid_block.register_forward_hook(hook)
    with torch.no_grad():
        net(x, TIMESTEP)
    h = torch.zeros(seen[0])

    def eps(delta_h):
        offset[0] = delta_h
        return net(x, TIMESTEP).sample

    v, u = bench_fill(h.shape), bench_fill(x.shape)
    forward, reverse = [], []
    for _ in range(repeats):
        start = time.perf_counter()
        jv = torch.func.jvp(eps, (h,), (v,))[1]
        forward.append(time.perf_counter() - start)
        start = time.perf_counter()
        jtu = torch.func.vjp(eps, h)[1](u)[0]
        reverse.append(time.perf_counter() - start)
    with open(output, "wb") as file:
        file.write(jv.contiguous().numpy().tobytes())
        file.write(jtu.contiguous().numpy().tobytes())
    print(f"jv_s={min(forward):.3f} jtu_s={min(reverse):.3f}")


class UpPath:
    """The network from the mid block's output on, at one x and t."""

    def __init__(self, net, x):
        self.net, self.calls, self.out = net, [], {}
        hooks = [net.mid_block.register_forward_hook(
            lambda module, args, result: self.out.update(h=result))]
        hooks += [block.register_forward_pre_hook(self.record, with_kwargs=True)
                  for block in net.up_blocks]
        with torch.no_grad():
            net(x, TIMESTEP)
        for hook in hooks:
            hook.remove()
        self.h = self.out["h"]

    def record(self, module, args, kwargs):
        self.calls.append((args, kwargs))

    def __call__(self, delta_h):
        y = self.h + delta_h
        for block, (args, kwargs) in zip(self.net.up_blocks, self.calls):
            if "hidden_states" in kwargs:
                y = block(**{**kwargs, "hidden_states": y})
            else:
                y = block(y, *args[1:], **kwargs)
            y = y[0] if isinstance(y, tuple) else y
        return self.net.conv_out(self.net.conv_act(self.net.conv_norm_out(y)))


def median(seconds):
    return sorted(seconds)[len(seconds) // 2]


def timed(function, repeats):
    seconds = []
    for _ in range(repeats + 1):  # the first touches memory
        start = time.perf_counter()
        result = function()
        seconds.append(time.perf_counter() - start)
    return median(seconds[1:]), result


def fixed_point(net, x, repeats, output):
    up = UpPath(net, x)
    h = torch.zeros_like(up.h)
    v, u = bench_fill(h.shape), bench_fill(x.shape)
    if up.h.is_contiguous(memory_format=torch.channels_last):
        v, u = (y.to(memory_format=torch.channels_last) for y in (v, u))
    start = time.perf_counter()
    _, pull = torch.func.vjp(up, h)
    vjp = time.perf_counter() - start
    jtu_s, jtu = timed(lambda: pull(u)[0], repeats)
    del pull
    start = time.perf_counter()
    _, push = torch.func.linearize(up, h)
    linearize = time.perf_counter() - start
    jv_s, jv = timed(lambda: push(v), repeats)
    expected = np.fromfile(output, np.float32)
    parts = [(jv, expected[:jv.numel()]), (jtu, expected[jv.numel():])]
    error = max(np.abs(y.detach().contiguous().numpy().ravel() - e).max() / np.abs(e).max()
                for y, e in parts)
    print(f"jv_s={jv_s:.4f} jtu_s={jtu_s:.4f} linearize_s={linearize:.3f} vjp_s={vjp:.3f} "
          f"error={error:.2g}")


def main():
    model, repeats, threads, output = sys.argv[1:5]
    mode = sys.argv[5] if len(sys.argv) > 5 else None
    torch.set_num_threads(int(threads) or torch.get_num_threads())
    contiguous = mode == "contiguous"
    net, x = load(model, torch.contiguous_format if contiguous else torch.channels_last)
    with sdpa_kernel(SDPBackend.MATH):  # the fast one has no forward mode
        (fixed_point if mode else authors)(net, x, int(repeats), output)


main()
