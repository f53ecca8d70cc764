#!/usr/bin/env python3
"""Golden values of the graph's forward ops, from PyTorch and diffusers.

Writes graph_ops.safetensors beside itself. Case NAME has its inputs as
NAME.0, NAME.1, ... and its result as NAME.out, in float64; the embeddings are
float32 in diffusers, whatever the model's type, and are stored as such.
tests/graph/test_golden.c knows each case's op and attributes.

    python make_graph.py        (torch, diffusers, safetensors; CPU)
"""
import math
import pathlib

import torch
import torch.nn.functional as F
from diffusers.models.embeddings import GaussianFourierProjection, get_timestep_embedding
from safetensors.torch import save_file

torch.manual_seed(0)
tensors = {}


def random(*shape):
    return torch.randn(*shape, dtype=torch.float64)


def case(name, result, *inputs):
    for i, value in enumerate(inputs):
        tensors[f"{name}.{i}"] = value.contiguous().clone()
    tensors[f"{name}.out"] = result.contiguous().clone()


def convolutions():
    x, w, b = random(2, 5, 9, 6), random(4, 5, 3, 3), random(4)
    case("conv2d_3x3", F.conv2d(x, w, b, padding=1), x, w, b)
    case("conv2d_stride2", F.conv2d(x, w, b, stride=2, padding=1), x, w, b)
    case("conv2d_after", F.conv2d(F.pad(x, (0, 1, 0, 1)), w, stride=2), x, w)
    w = random(3, 5, 1, 1)
    case("conv2d_1x1", F.conv2d(x, w), x, w)
    w = random(3, 5, 5, 2)
    case("conv2d_5x2", F.conv2d(F.pad(x, (2, 1, 0, 3)), w, stride=3), x, w)


def attention(name, heads, scale):
    n, c, h, w = 2, 6, 3, 4
    q, k, v = random(n, c, h, w), random(n, c, h, w), random(n, c, h, w)

    def split(a):  # [n,c,h,w] -> [n,heads,L,d], as diffusers' attention processors
        return a.view(n, c, h * w).transpose(1, 2).view(n, h * w, heads, c // heads).transpose(1, 2)

    y = F.scaled_dot_product_attention(split(q), split(k), split(v), scale=scale)
    y = y.transpose(1, 2).reshape(n, h * w, c).transpose(1, 2).view(n, c, h, w)
    case(name, y, q, k, v)


def embeddings():
    t = torch.tensor([0, 1, 7, 20, 500, 999])
    for name, dim, flip, shift in [("plain", 32, False, 0), ("flip", 32, True, 0),
                                   ("shift", 32, False, 1), ("odd", 9, True, 1),
                                   ("large", 256, False, 1)]:
        case(f"time_embed_{name}", get_timestep_embedding(t, dim, flip, shift), t.float())
    t = torch.tensor([1, 7, 500, 999])
    for name, flip, log in [("log", False, True), ("flip", True, True), ("raw", False, False)]:
        module = GaussianFourierProjection(16, scale=16, set_W_to_weight=False,
                                           flip_sin_to_cos=flip, log=log)
        x = t if log else t.float() / 1000
        case(f"fourier_{name}", module(x), x.float(), module.weight.detach())


def rest():
    x, w, b = random(3, 7), random(5, 7), random(5)
    case("linear", F.linear(x, w, b), x, w, b)
    case("linear_no_bias", F.linear(x, w), x, w)
    x, gamma, beta = random(2, 6, 3, 5) * 3 + 10, random(6), random(6)
    case("group_norm", F.group_norm(x, 3, gamma, beta, 1e-5), x, gamma, beta)
    case("group_norm_each", F.group_norm(x, 6, gamma, beta, 0.3), x, gamma, beta)
    x = torch.cat([random(40) * 3, torch.tensor([-800.0, -40, -5, 0, 5, 40, 800]).double()])[None]
    case("silu", F.silu(x), x)
    case("gelu", F.gelu(x), x)
    case("mish", x * torch.tanh(torch.where(x > 0, x, 0) + torch.log1p(torch.exp(-x.abs()))), x)
    case("relu", F.relu(x), x)
    small = x.clamp(-15, 15)  # beyond 20 torch takes softplus(x) = x
    case("mish_torch", F.mish(small), small)
    x = random(2, 3, 5, 4)
    y = random(2, 3, 5, 4)
    case("add", x + y, x, y)
    b = random(2, 3)
    case("add_channel", x + b[:, :, None, None], x, b)
    s = random(2, 6)
    scale, shift = s[:, :, None, None].chunk(2, dim=1)
    case("modulate", x * (1 + scale) + shift, x, s)
    case("affine", x * 2 - 1, x)
    t = torch.tensor([3.0, 700.0]).double()
    case("divide_rows", x / t.reshape(2, 1, 1, 1), x, t)
    z = random(2, 1, 5, 4)
    case("concat", torch.cat([x, z, y], dim=1), x, z, y)
    case("upsample", F.interpolate(x, scale_factor=2.0, mode="nearest"), x)
    case("avg_pool", F.avg_pool2d(x, kernel_size=2, stride=2), x)
    case("mean_spatial", F.adaptive_avg_pool2d(x, 1).flatten(1), x)
    x = torch.randn(2, 3, 9, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    case("max_pool", F.max_pool2d(x, 3, 2, 1), x)
    case("max_pool_gaps", F.max_pool2d(x, 2, 3, 1), x)


convolutions()
attention("attention", 1, 1 / math.sqrt(6))
attention("attention_heads", 3, 0.9)
embeddings()
rest()
path = pathlib.Path(__file__).with_name("graph_ops.safetensors")
save_file(tensors, path)
print(path, path.stat().st_size, "bytes")
