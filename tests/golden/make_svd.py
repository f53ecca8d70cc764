#!/usr/bin/env python3
"""Make tests/golden/svd.safetensors: singular values of J = d eps / d h along the
trajectories of small models, by a full SVD of the whole Jacobian in float64.

    python3 make_svd.py

For each model MODEL of tests/golden/models, eta 0 and 1 (seed 7, 5 steps, step 2),
and the whole image or the rows of a rectangle (x, y, w, h = 2, 1, 4, 5):

    MODEL/eta/REGION/sigma F64 [6], .../v F32 [4,c,h,w]    REGION: all, mask
"""
import pathlib

import torch
from safetensors.torch import save_file

import make_jacobian as jacobian
import make_models as models

HERE = pathlib.Path(__file__).parent
NAMES = ("heads", "scale_shift", "gray")
SEED, STEPS, STEP, RECTANGLE = 7, 5, 2, (2, 1, 4, 5)


def walk(eps, zero, shape, eta):
    """x at STEP: eq. 2-5 with diffusers' linear schedule."""
    a = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64), 0)
    g = torch.Generator().manual_seed(SEED)
    x = torch.randn(1, *shape, generator=g).double()
    for i in range(STEP):
        t = (STEPS - 1 - i) * (1000 // STEPS)
        at, prev = a[t], a[t - 1000 // STEPS]
        var = (1 - prev) / (1 - at) * (1 - at / prev)
        e = eps(x, torch.tensor([t]), "after", zero)
        z = torch.randn(1, *shape, generator=g).double() if eta else 0
        x0 = (x - (1 - at).sqrt() * e) / at.sqrt()
        x = prev.sqrt() * x0 + (1 - prev - eta ** 2 * var).sqrt() * e + eta * var.sqrt() * z
    return x, torch.tensor([(STEPS - 1 - STEP) * (1000 // STEPS)])


def decompose(name, seed):
    config = {**models.BASE, **models.MODELS[name][0]}
    eps = jacobian.diffusers_model(name, seed)
    shape = (config.get("in_channels", 3), config["sample_size"], config["sample_size"])
    side = config["sample_size"] // 2
    zero = torch.zeros(1, config["block_out_channels"][-1], side, side, dtype=torch.float64)
    mask = torch.zeros(shape, dtype=torch.float64)
    x0, y0, w, h = RECTANGLE
    mask[:, y0:y0 + h, x0:x0 + w] = 1
    result = {}
    for eta in (0, 1):
        x, t = walk(eps, zero, shape, eta)
        J = torch.autograd.functional.jacobian(lambda d: eps(x, t, "after", d), zero)
        J = J.reshape(mask.numel(), zero.numel())
        for region, rows in (("all", torch.ones_like(mask)), ("mask", mask)):
            _, s, v = torch.linalg.svd(rows.reshape(-1, 1) * J, full_matrices=False)
            result[f"{name}/{eta}/{region}/sigma"] = s[:6].contiguous().clone()
            result[f"{name}/{eta}/{region}/v"] = v[:4].reshape(4, *zero.shape[1:]).float().contiguous().clone()
    return result


if __name__ == "__main__":
    torch.set_num_threads(1)
    tensors = {}
    for number, name in enumerate(models.MODELS):
        if name in NAMES:
            tensors |= decompose(name, number)
    for key, value in tensors.items():
        if key.endswith("sigma"):
            print(key, [round(s, 4) for s in value.tolist()])
    save_file(tensors, str(HERE / "svd.safetensors"))
