#!/usr/bin/env python3
"""Make tests/golden/diffusion/inversion.safetensors: images inverted by small
random-weight U-Nets of diffusers (make_models.py), the recursions written out,
in double.

    python3 make_inversion.py

x_0.M [2,C,H,W] the images for model M, in [-1, 1]
x_T.M.T, h.M.T [2,T,c,h,w]          DDIM inversion with T steps
x_T.M.KIND, z.M.KIND [2,T,C,H,W]    edit-friendly inversion, T = 10, eta = 0.5, seed 40
                                    (+ ".offset": steps_offset 1, set_alpha_to_one false)
"""
import json
import pathlib

import numpy as np
import torch
from diffusers import UNet2DModel
from safetensors.torch import load_file, save_file

HERE = pathlib.Path(__file__).parent
N = 1000
A = np.cumprod(1 - np.linspace(1e-4, 0.02, N))  # alphas_cumprod in double
# "heads", whose sharp attention amplifies an error 400 times over ten DDIM steps
# (float32 PyTorch is then 6e-4 from float64), is inverted by the other kinds only.
DDIM = {"plain": [10, 50], "heads": [], "wide": [7], "gray": [10], "scale_shift": [10],
        "mid_scale": [10], "one_level": [1000]}
torch.set_grad_enabled(False)


def open_model(name):
    folder = HERE / "models" / name
    folder = folder / "unet" if (folder / "unet").exists() else folder
    config = json.loads((folder / "config.json").read_text())
    model = UNet2DModel.from_config(config)
    state = load_file(folder / "diffusion_pytorch_model.safetensors")
    model.load_state_dict({k: v.float() for k, v in state.items()})
    model = model.double().eval()
    h = []
    model.mid_block.register_forward_hook(lambda module, args, output: h.append(output.clone()))
    return model, h


def images(model, seed):
    size = model.config.sample_size
    size = (size, size) if isinstance(size, int) else size
    g = torch.Generator().manual_seed(seed)
    return torch.rand(2, model.config.in_channels, *size, generator=g) * 2 - 1


def ddim(model, x, T):
    """t upward, N // T at a time."""
    x = x.double()
    for t in [i * (N // T) for i in range(T)]:
        following = min(N - 2, t + N // T)
        eps = model(x, t).sample
        x0_hat = (x - (1 - A[t]) ** 0.5 * eps) / A[t] ** 0.5
        x = A[following] ** 0.5 * x0_hat + (1 - A[following]) ** 0.5 * eps
    return x


def edit_friendly(model, x_0, kind, T, eta, seed, offset):
    """The drawn x_t [n,T+1], then z [n,T]."""
    ts = [(T - 1 - i) * (N // T) + (1 if offset else 0) for i in range(T)]
    final = A[0] if offset else 1.0
    a = [A[t] for t in ts] + [final]
    var = [(1 - a[i + 1]) / (1 - a[i]) * (1 - a[i] / a[i + 1]) for i in range(T)]
    net = lambda x, i: model(x, ts[i]).sample
    x_0 = x_0.double()
    x = [None] * T + [x_0]
    fixed = var[-1] == 0
    if fixed:
        x[T - 1] = a[-2] ** 0.5 * x_0
        for _ in range(50):
            x[T - 1] = a[-2] ** 0.5 * x_0 + (1 - a[-2]) ** 0.5 * net(x[T - 1], T - 1)
    generators = [torch.Generator().manual_seed(seed + j) for j in range(len(x_0))]
    for i in reversed(range(T)) if kind == "x_prev" else range(T):
        noise = torch.cat([torch.randn(1, *x_0.shape[1:], generator=g) for g in generators]).double()
        if i == T - 1 and fixed:
            continue
        if kind == "x_prev":
            x[i] = (a[i] / a[i + 1]) ** 0.5 * x[i + 1] + (1 - a[i] / a[i + 1]) ** 0.5 * noise
        elif kind == "x0" or i == 0:
            x[i] = a[i] ** 0.5 * x_0 + (1 - a[i]) ** 0.5 * noise
        else:
            b, p = a[i - 1], a[i]  # from x[i-1], the noisier one
            mean = p**0.5 * (1 - b / p) / (1 - b) * x_0 + (b / p) ** 0.5 * (1 - p) / (1 - b) * x[i - 1]
            x[i] = mean + var[i - 1] ** 0.5 * noise
    z = []
    for i in range(T):
        eps = net(x[i], i)
        mu = a[i + 1] ** 0.5 * (x[i] - (1 - a[i]) ** 0.5 * eps) / a[i] ** 0.5
        mu = mu + (1 - a[i + 1] - eta**2 * var[i]) ** 0.5 * eps
        z.append((x[i + 1] - mu) / (eta * var[i] ** 0.5) if var[i] > 0 else torch.zeros_like(x_0))
    return x[0], torch.stack(z, 1)


def main():
    out = {}
    for seed, (name, steps) in enumerate(DDIM.items()):
        model, h = open_model(name)
        x_0 = out[f"x_0.{name}"] = images(model, seed)
        for T in steps:
            h.clear()
            out[f"x_T.{name}.{T}"] = ddim(model, x_0, T)
            if T <= 50:
                out[f"h.{name}.{T}"] = torch.stack(h[::-1], 1)
        if name == "heads":
            for kind in ("x0", "x_prev", "dpm"):
                for tail, offset in (("", False), (".offset", True)):
                    x_T, z = edit_friendly(model, x_0, kind, 10, 0.5, 40, offset)
                    out[f"x_T.{name}.{kind}{tail}"], out[f"z.{name}.{kind}{tail}"] = x_T, z
    out = {k: v.float().contiguous() for k, v in out.items()}
    save_file(out, HERE / "diffusion" / "inversion.safetensors")
    for k, v in out.items():
        print(f"{k:24} {tuple(v.shape)} largest {v.abs().max():.4g}")


if __name__ == "__main__":
    main()
