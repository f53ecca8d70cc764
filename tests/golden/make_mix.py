"""Golden values of tests/edit/test_mix.c: make tests/golden/diffusion/mix.safetensors.

    python tests/golden/make_mix.py

Mixes of two samples of make_diffusion.py's tiny network, whose h is replaced in
its forward pass; blends in numpy, steps by diffusers' DDIMScheduler.
blend.KIND.W [4,60]   of rows a, b of `vectors` [8,60], four pairs
x_0.SPACE.KIND.ETA [2,C,H,W]  W = 0.3 from the first to the second, and back
swap.ETA, swap.asyrp [2,C,H,W]  each with the h of the other
"""
import numpy as np
import torch
import torch.nn.functional as F
from diffusers import DDIMScheduler
from diffusers.models.embeddings import get_timestep_embedding
from safetensors.torch import load_file, save_file

import make_diffusion as base

T, W = 10, 0.3
KINDS = ["lerp", "slerp", "sqrt"]


def blend(kind, w, a, b):
    """Of two arrays, each as one vector, in double."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if kind == "sqrt":
        return np.sqrt(1 - w) * a + np.sqrt(w) * b
    if kind == "slerp":
        unit_a, unit_b = a / np.linalg.norm(a), b / np.linalg.norm(b)
        # The angle by half-chords (Kahan), not by the arc cosine.
        p = 2 * np.arctan2(np.linalg.norm(unit_a - unit_b), np.linalg.norm(unit_a + unit_b))
        return np.sin((1 - w) * p) / np.sin(p) * a + np.sin(w * p) / np.sin(p) * b
    return a + w * (b - a)


def floats(array):
    return torch.tensor(np.asarray(array), dtype=torch.float32)


class Replaced(base.Tiny):
    """The tiny network with its h given."""

    def forward(self, x, t, given=None):
        t = torch.as_tensor(t).expand(len(x))
        embedding = get_timestep_embedding(t, 16, flip_sin_to_cos=False, downscale_freq_shift=0)
        a = F.silu(self.conv_in(x) + self.time(embedding)[:, :, None, None])
        own = self.conv_h(F.avg_pool2d(a, 2))
        u = F.interpolate(F.silu(own if given is None else given), scale_factor=2.0)
        return x + self.conv_out(torch.cat([u, a], 1)), own


def run(model, eta, x, z, given=None, asyrp=False):
    """x_0 and h [T] of each step's own."""
    scheduler = DDIMScheduler(clip_sample=False)
    scheduler.set_timesteps(T)
    hs = []
    for i, t in enumerate(scheduler.timesteps):
        eps, own = model(x, t, None if given is None else given[i])
        hs.append(own)
        noise = z[:, i] if eta > 0 else None
        if asyrp:
            prev = int(t) - 1000 // T
            a = scheduler.alphas_cumprod[t]
            a_prev = scheduler.alphas_cumprod[prev] if prev >= 0 else torch.tensor(1.0)
            var = (1 - a_prev) / (1 - a) * (1 - a / a_prev)
            x0_hat = (x - (1 - a) ** 0.5 * eps) / a**0.5
            direction = model(x, t)[0]
            x = a_prev**0.5 * x0_hat + (1 - a_prev - eta**2 * var) ** 0.5 * direction
            x = x + eta * var**0.5 * noise
        else:
            x = scheduler.step(eps, t, x, eta=eta, variance_noise=noise).prev_sample
    return x, hs


def both_ways(kind, pair):
    return torch.stack([floats(blend(kind, W, pair[0], pair[1])),
                        floats(blend(kind, W, pair[1], pair[0]))])


def main():
    rng = np.random.default_rng(8)
    vectors = rng.standard_normal((8, 60)).astype(np.float32)
    vectors[3] = 2 * vectors[2] + 0.05 * vectors[3]  # a small angle
    vectors[5] = -vectors[4] + 0.3 * vectors[5]      # nearly opposite
    vectors[7] *= 40                                 # of another length
    out = {"vectors": floats(vectors)}
    for kind in KINDS:
        for w in [0.25, 0.9]:
            out[f"blend.{kind}.{w}"] = torch.stack(
                [floats(blend(kind, w, vectors[i], vectors[i + 1])) for i in range(0, 8, 2)])

    model = Replaced().eval()
    model.load_state_dict(load_file(base.OUT / "tiny_rgb.safetensors"))
    x_T, z = base.start(model, T)
    for eta in [0.0, 0.5]:
        plain, hs = run(model, eta, x_T, z)
        out[f"swap.{eta}"] = run(model, eta, x_T, z, [h.flip(0) for h in hs])[0]
        for kind in KINDS:
            out[f"x_0.pixel.{kind}.{eta}"] = both_ways(kind, plain)
            out[f"x_0.h.{kind}.{eta}"] = run(model, eta, x_T, z,
                                             [both_ways(kind, h) for h in hs])[0]
            noises = torch.stack([both_ways(kind, z[:, i]) for i in range(T)], 1)
            out[f"x_0.noise.{kind}.{eta}"] = run(model, eta, both_ways(kind, x_T), noises)[0]
    _, hs = run(model, 0.5, x_T, z)
    out["swap.asyrp"] = run(model, 0.5, x_T, z, [h.flip(0) for h in hs], asyrp=True)[0]
    save_file({k: v.contiguous() for k, v in out.items()}, base.OUT / "mix.safetensors")
    for k, v in out.items():
        print(f"{k:20} {tuple(v.shape)} largest {v.abs().max():.4g}")


if __name__ == "__main__":
    main()
