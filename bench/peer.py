"""The peer of bench/run: the same pass in PyTorch and diffusers, or for a folder
of the Keras DDPM family in keras_ddpm.py.

    peer.py MODEL N REPEATS THREADS MODE OUTPUT [EXPECTED]

MODE is contiguous, channels_last, compile (channels_last compiled) or
compile_contiguous; with _bf16 at its end weights and image are bf16. Prints
key=value pairs like hs_bench and writes eps, raw float32, to OUTPUT; rms is its
difference from EXPECTED, a file like it, over the rms of that. The allocator is the
caller's choice (LD_PRELOAD).
"""
import os
import resource
import sys
import time

import numpy as np
import torch
from diffusers import UNet2DModel

import keras_ddpm

TIMESTEP = 100


def bench_input(shape):
    """The values of hs_bench's bench_input: a linear congruence."""
    count = torch.Size(shape).numel()
    state, values = 1, []
    for _ in range(count):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        values.append((state >> 8) / 8388608.0 - 1.0)
    return torch.tensor(values, dtype=torch.float32).reshape(shape)


def load(model):
    """The network, and its image's (C, H, W)."""
    if os.path.exists(os.path.join(model, "model.json")):
        return keras_ddpm.KerasUNet(model), keras_ddpm.image_size(model)
    part = "unet" if os.path.isdir(os.path.join(model, "unet")) else None
    net = UNet2DModel.from_pretrained(model, subfolder=part, torch_dtype=torch.float32,
                                      local_files_only=True)
    size = net.config.sample_size
    h, w = (size, size) if isinstance(size, int) else size
    return net, (net.config.in_channels, h, w)


def main():
    model, n, repeats, threads, mode, output = sys.argv[1:7]
    bf16, mode = mode.endswith("_bf16"), mode.removesuffix("_bf16")
    n, repeats = int(n), int(repeats)
    torch.set_num_threads(int(threads) or torch.get_num_threads())
    net, shape = load(model)
    net = net.eval().requires_grad_(False)
    x = bench_input((n, *shape))
    if bf16:
        net, x = net.to(torch.bfloat16), x.to(torch.bfloat16)
    if mode in ("channels_last", "compile"):
        net = net.to(memory_format=torch.channels_last)
        x = x.to(memory_format=torch.channels_last)
    if mode.startswith("compile"):
        net = torch.compile(net)
    t = torch.full((n,), TIMESTEP)
    seconds, cpu = [], []
    with torch.inference_mode():
        r, end = 0, 0
        # The first two compile and touch memory; short ones go on for a second, as hs_bench's do.
        while r < repeats + 2 or (r < 1000 and time.perf_counter() < end):
            start, cpu_start = time.perf_counter(), time.process_time()
            eps = net(x, t)
            eps = getattr(eps, "sample", eps)
            if r >= 2:
                seconds.append(time.perf_counter() - start)
                cpu.append(time.process_time() - cpu_start)
            elif r == 1:
                end = time.perf_counter() + 1
            r += 1
    seconds.sort()
    cpu.sort()
    eps = eps.float().contiguous().numpy()
    eps.tofile(output)
    rms = ""
    if len(sys.argv) > 7:
        expected = np.fromfile(sys.argv[7], np.float32).reshape(eps.shape)
        rms = f"rms={np.sqrt(((eps - expected) ** 2).mean() / (expected ** 2).mean()):.2g} "
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"median_ms={seconds[len(seconds) // 2] * 1e3:.3f} min_ms={seconds[0] * 1e3:.3f} "
          f"cpu_ms={cpu[len(cpu) // 2] * 1e3:.3f} "
          f"{rms}rss_mb={rss:.0f} torch={torch.__version__}")


main()
