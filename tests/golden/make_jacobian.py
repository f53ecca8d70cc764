#!/usr/bin/env python3
"""Make tests/golden/jacobian.safetensors: products with J = d eps / d h of the
models of tests/golden/models, by torch.func.jvp and vjp in float64.

    python3 make_jacobian.py

For each model MODEL, at the second sample of its golden.safetensors (t = 12):

    MODEL/v F32 [2,c,h,w], MODEL/u F32 [2,C,H,W]
    MODEL/Jv_WHERE F64 [2,C,H,W], MODEL/JTu_WHERE F64 [2,c,h,w]

with h at WHERE: before, middle, after. The models are made again from their
seeds, as make_models.py makes them, and held against their recorded eps.
"""
import math
import pathlib

import torch
from diffusers import UNet2DModel
from diffusers.models.attention_processor import Attention, AttnProcessor
from safetensors.torch import load_file, save_file

import make_models as models

HERE = pathlib.Path(__file__).parent
WHERE = ("before", "middle", "after")


class Sinusoids(torch.nn.Module):
    """diffusers' embeddings of t: angles in float32, as it has them, but no later
    rounding."""

    def __init__(self, config, fourier):
        super().__init__()
        self.fourier = fourier.weight.detach().clone() if fourier is not None else None
        self.flip = config["flip_sin_to_cos"]
        half = config["block_out_channels"][0] // 2
        exponent = -math.log(10000) * torch.arange(half, dtype=torch.float32)
        self.frequency = torch.exp(exponent / (half - config["freq_shift"]))

    def forward(self, t):
        t = t.float()[:, None]
        if self.fourier is not None:
            angle = torch.log(t) * self.fourier * 2 * math.pi
        else:
            angle = t * self.frequency
        parts = [torch.cos(angle.double()), torch.sin(angle.double())]
        return torch.cat(parts if self.flip else parts[::-1], -1)


def diffusers_model(name, seed):
    changes, dtype, _ = models.MODELS[name]
    config = {**models.BASE, **changes}
    torch.manual_seed(seed)
    model = UNet2DModel(**config).eval()
    models.randomise(model, dtype)
    fourier = config.get("time_embedding_type") == "fourier"
    model.time_proj = Sinusoids(config, model.time_proj if fourier else None)
    model = model.double().requires_grad_(False)
    for module in model.modules():
        if isinstance(module, Attention):
            module.set_processor(AttnProcessor())  # has forward-mode derivatives
            module.upcast_softmax = False  # to float32, that is

    def eps(x, t, where, delta):
        state = {"delta": delta}
        handle = models.tap(model, where, state)
        result = model(x, t).sample
        handle.remove()
        return result
    return eps


class Keras(models.Keras):
    """In float64, with weights that were made before: inside of torch.func a
    tensor's data cannot be read, as quantising them does."""

    def __init__(self, made, sharpness):
        super().__init__(dict(conv2d=66, dense=67, group_normalization=55, attention_block=8,
                              add=98, concatenate=9), 7, sharpness)
        self.recorded, self.made = [], iter(made) if made else None

    def weight(self, *args, **kwargs):
        if self.made:
            return next(self.made).double()
        self.recorded.append(super().weight(*args, **kwargs))
        return self.recorded[-1]


def keras_model(sharpness):
    def run(made, x, t, taps):
        nhwc = lambda v: v.permute(0, 2, 3, 1)
        keras = Keras(made, sharpness)
        eps, _ = keras.run(nhwc(x), t, [4, 8], [False, True], 1,
                           {where: nhwc(delta) for where, delta in taps.items()})
        return keras, eps.permute(0, 3, 1, 2)

    made = run(None, torch.zeros(1, 3, 8, 8), torch.ones(1), {})[0].recorded

    def eps(x, t, where, delta):
        torch.set_default_dtype(torch.float64)  # of the sinusoids' frequencies
        result = run(made, x, t, {where: delta})[1]
        torch.set_default_dtype(torch.float32)
        return result
    return eps


def products(eps, name, seed):
    golden = load_file(str(HERE / "models" / name / "golden.safetensors"))
    x, t = golden["x"][1:].double(), golden["t"][1:].double()
    zero = torch.zeros_like(golden["delta_h"][1:]).double()
    g = torch.Generator().manual_seed(seed)
    v = torch.randn(2, *zero.shape[1:], generator=g)
    u = torch.randn(2, *x.shape[1:], generator=g)
    result = {"v": v, "u": u}
    for where in WHERE:
        f = lambda delta: eps(x, t, where, delta)
        out, pull = torch.func.vjp(f, zero)
        expected = golden["eps"][1:].double()
        assert (out - expected).abs().max() < 2e-5 * expected.abs().max(), (name, where)
        Jv = [torch.func.jvp(f, (zero,), (row[None].double(),))[1] for row in v]
        JTu = [pull(row[None].double())[0] for row in u]
        result["Jv_" + where], result["JTu_" + where] = torch.cat(Jv), torch.cat(JTu)
    return {f"{name}/{key}": value.detach().contiguous() for key, value in result.items()}


if __name__ == "__main__":
    torch.set_num_threads(1)
    tensors = {}
    for seed, name in enumerate(models.MODELS):
        tensors |= products(diffusers_model(name, seed), name, 2000 + seed)
    for name, sharpness in models.KERAS.items():
        tensors |= products(keras_model(sharpness), name, 2077)
    save_file(tensors, str(HERE / "jacobian.safetensors"))
