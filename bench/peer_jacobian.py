"""The peer of the Jacobian problems: whole-network products in PyTorch, as the
paper's authors take them: reverse mode (a forward and a backward pass) and
forward mode, with respect to an offset that is added to the mid block's output.

    peer_jacobian.py MODEL REPEATS THREADS OUTPUT

Prints the least seconds of J^T u and of J v; writes J v and J^T u of hs_bench's vectors,
raw float32, to OUTPUT.
"""
import os
import sys
import time

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


def main():
    model, repeats, threads, output = sys.argv[1:]
    torch.set_num_threads(int(threads) or torch.get_num_threads())
    part = "unet" if os.path.isdir(os.path.join(model, "unet")) else None
    net = UNet2DModel.from_pretrained(model, subfolder=part, torch_dtype=torch.float32,
                                      local_files_only=True).eval().requires_grad_(False)
    net = net.to(memory_format=torch.channels_last)
    size = net.config.sample_size
    x = bench_fill((1, net.config.in_channels, size, size))
    x = x.to(memory_format=torch.channels_last)
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
        with sdpa_kernel(SDPBackend.MATH):  # the fast one has no forward mode
            return net(x, TIMESTEP).sample

    v, u = bench_fill(h.shape), bench_fill(x.shape)
    forward, reverse = [], []
    for _ in range(int(repeats)):
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


main()
