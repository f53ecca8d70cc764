"""Golden values of tests/directions, from numpy's SVD in double.

    python tests/golden/make_directions.py

writes tests/golden/directions/pca.safetensors. Plain cases are rows h that the
test reads back; end-to-end cases are h of the tiny network of
make_diffusion.py, recorded by PyTorch and diffusers along trajectories from
seeds, of which the file holds the results only.
"""
import pathlib

import make_diffusion
import numpy as np
import torch
from safetensors.numpy import save_file
from safetensors.torch import load_file

OUT = pathlib.Path(__file__).parent / "directions"
SEEDS, STEPS, K = list(range(100, 140)), 6, 5
AROUND_SEED, AROUND_DELTA = 7, 0.15


def pca(h, k):
    """h [n, d] -> sigma [k], ratio [k], mean [d], components [k, d]; double."""
    h = np.asarray(h, np.float64)
    mean = h.mean(0)
    _, s, v = np.linalg.svd(h - mean, full_matrices=False)
    return s[:k] / np.sqrt(len(h) - 1), (s**2 / (s**2).sum())[:k], mean, v[:k]


def put(out, name, sigma, ratio, mean, components):
    out[f"{name}.sigma"], out[f"{name}.ratio"] = sigma, ratio
    out[f"{name}.mean"] = mean.astype(np.float32)
    out[f"{name}.components"] = components.astype(np.float32)


def plain_cases(out):
    rng = np.random.default_rng(1)
    for name, n, d in [("wide", 30, 400), ("tall", 120, 40)]:
        scale = np.exp(-0.15 * np.arange(d)) * 4
        basis = np.linalg.qr(rng.standard_normal((d, d)))[0]
        h = (rng.standard_normal((n, d)) * scale) @ basis + 5 * rng.standard_normal(d)
        h = h.astype(np.float32)
        out[f"{name}.h"] = h
        put(out, name, *pca(h, 12))


def record(model, x, z):
    """h [T, n, d] of trajectories with eta = 1 that start from x with noise z."""
    original = make_diffusion.start
    make_diffusion.start = lambda *_: (x, z)
    make_diffusion.loop(model, STEPS, 1.0)
    make_diffusion.start = original
    return np.stack([h.flatten(1).numpy() for h in model.h])


def start(model, seeds):
    make_diffusion.TRAJECTORY_SEEDS = seeds
    return make_diffusion.start(model, STEPS)


def end_to_end(out):
    model = make_diffusion.Tiny().eval()
    model.load_state_dict(load_file(make_diffusion.OUT / "tiny_rgb.safetensors"))
    x, z = start(model, SEEDS)
    own_x, own_z = start(model, [AROUND_SEED])
    share = (1 - AROUND_DELTA**2) ** 0.5
    runs = {"plain": record(model, x, z),
            "around": record(model, share * own_x + AROUND_DELTA * x, share * own_z + AROUND_DELTA * z)}
    for name, h in runs.items():
        steps = [pca(h_i, K) for h_i in h]
        put(out, f"{name}.steps", *[np.stack(part, 1 if i in (0, 3) else 0)
                                    for i, part in enumerate(zip(*steps))])
        joint = pca(np.concatenate(list(h), 1), K)
        put(out, f"{name}.joint", *joint)
        print(name, "sigma of step 0", steps[0][0], "joint", joint[0])


if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    values = {}
    plain_cases(values)
    end_to_end(values)
    save_file({k: np.ascontiguousarray(v) for k, v in values.items()}, OUT / "pca.safetensors")
    for k, v in values.items():
        print(f"{k:28} {v.dtype} {v.shape}")
