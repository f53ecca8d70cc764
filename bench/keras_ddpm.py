"""The Keras DDPM example's U-Net as a PyTorch module, for bench/peer.py.

Weights come from a TensorFlow.js folder in the order in which the example makes
its layers, which is that of the numbers in their names. The shape of the
network is the published example's: widths 64, 128, 256, 512, two blocks a level,
attention on the two deepest levels.
"""
import collections
import json
import math
import pathlib
import re

import numpy
import torch
import torch.nn.functional as F
from torch import nn

WIDTHS, ATTENDS, BLOCKS = (64, 128, 256, 512), (False, False, True, True), 2


def read(folder):
    """{kind: [{"w", "b"} by the layer's number]}, and the number of groups."""
    model = json.loads((folder / "model.json").read_text())
    layers, groups = collections.defaultdict(dict), None
    for group in model["weightsManifest"]:
        data = b"".join((folder / p).read_bytes() for p in group["paths"])
        at = 0
        for w in group["weights"]:
            how = w.get("quantization")
            dtype = numpy.dtype(how["dtype"] if how else w["dtype"])
            count = int(numpy.prod(w["shape"], dtype=int))
            value = numpy.frombuffer(data, dtype, count, at).reshape(w["shape"])
            at += count * dtype.itemsize
            if how:
                value = (value.astype("f8") * how["scale"] + how["min"]).astype("f4")
            name = re.search(r"(conv2d|dense|group_normalization)(?:_(\d+))?/(.*)$", w["name"])
            if not name:
                continue
            kind, number, rest = name[1], int(name[2] or 0), name[3]
            if kind == "group_normalization" and rest == "stack/3":
                groups = int(value)
            part = {"BiasAdd/ReadVariableOp": "b", "Conv2D/ReadVariableOp": "w",
                    "MatMul/ReadVariableOp": "w", "Tensordot/ReadVariableOp": "w",
                    "Reshape_1/ReadVariableOp": "w", "Reshape_2/ReadVariableOp": "b",
                    "batchnorm/mul/ReadVariableOp": "w"}.get(rest)
            if part:
                value = torch.from_numpy(numpy.array(value))
                layers[kind].setdefault(number, {})[part] = value
    return {kind: [l[n] for n in sorted(l)] for kind, l in layers.items()}, groups


class Layers:
    """Gives out the next layer of a kind."""

    def __init__(self, folder):
        layers, self.groups = read(folder)
        self.left = {kind: collections.deque(l) for kind, l in layers.items()}

    def conv(self, stride=1):
        p = self.left["conv2d"].popleft()
        size, _, c_in, c_out = p["w"].shape
        conv = nn.Conv2d(c_in, c_out, size, stride, padding=size // 2 if stride == 1 else 0)
        conv.weight.data, conv.bias.data = p["w"].permute(3, 2, 0, 1).contiguous(), p["b"]
        return conv

    def dense(self):
        p = self.left["dense"].popleft()
        w = p["w"].reshape(-1, p["w"].shape[-1])
        dense = nn.Linear(*w.shape)
        dense.weight.data, dense.bias.data = w.T.contiguous(), p["b"]
        return dense

    def norm(self):
        p = self.left["group_normalization"].popleft()
        norm = nn.GroupNorm(self.groups, len(p["w"].flatten()), eps=1e-3)
        norm.weight.data, norm.bias.data = p["w"].flatten(), p["b"].flatten()
        return norm


class Residual(nn.Module):
    def __init__(self, layers, c_in, width):
        super().__init__()
        self.skip = layers.conv() if c_in != width else nn.Identity()
        self.temb, self.norm1, self.conv1 = layers.dense(), layers.norm(), layers.conv()
        self.norm2, self.conv2 = layers.norm(), layers.conv()

    def forward(self, x, temb):
        y = self.conv1(F.silu(self.norm1(x))) + self.temb(F.silu(temb))[:, :, None, None]
        return self.conv2(F.silu(self.norm2(y))) + self.skip(x)


class Attention(nn.Module):
    def __init__(self, layers):
        super().__init__()
        self.norm = layers.norm()
        self.q, self.k, self.v, self.out = (layers.dense() for _ in range(4))

    def forward(self, x, _):
        x = self.norm(x)
        tokens = x.flatten(2).transpose(1, 2)
        y = F.scaled_dot_product_attention(self.q(tokens), self.k(tokens), self.v(tokens))
        return x + self.out(y).transpose(1, 2).reshape(x.shape)


class Down(nn.Module):
    def __init__(self, layers):
        super().__init__()
        self.conv = layers.conv(2)

    def forward(self, x, _):
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Up(nn.Module):
    def __init__(self, layers):
        super().__init__()
        self.conv = layers.conv()

    def forward(self, x, _):
        return self.conv(F.interpolate(x, scale_factor=2.0))


class KerasUNet(nn.Module):
    def __init__(self, folder):
        super().__init__()
        layers = Layers(pathlib.Path(folder))
        self.first = layers.conv()
        self.time1, self.time2 = layers.dense(), layers.dense()
        skips, c = [WIDTHS[0]], WIDTHS[0]
        self.down, self.middle, self.up = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        self.pops, self.pushes = [], []
        for width, attends in zip(WIDTHS, ATTENDS):
            for _ in range(BLOCKS):
                self.down.append(Residual(layers, c, width))
                if attends:
                    self.down.append(Attention(layers))
                c = width
                self.pushes.append(len(self.down) - 1)
                skips.append(c)
            if width != WIDTHS[-1]:
                self.down.append(Down(layers))
                self.pushes.append(len(self.down) - 1)
                skips.append(c)
        self.middle += [Residual(layers, c, c), Attention(layers), Residual(layers, c, c)]
        for level in reversed(range(len(WIDTHS))):
            for _ in range(BLOCKS + 1):
                self.pops.append(len(self.up))
                self.up.append(Residual(layers, c + skips.pop(), WIDTHS[level]))
                c = WIDTHS[level]
                if ATTENDS[level]:
                    self.up.append(Attention(layers))
            if level:
                self.up.append(Up(layers))
        self.norm, self.last = layers.norm(), layers.conv()
        left = {kind: len(l) for kind, l in layers.left.items() if l}
        if left:
            raise SystemExit(f"{folder}: layers that the example does not have: {left}")
        half = 2 * WIDTHS[0]
        i = torch.arange(half, dtype=torch.float64)
        # no buffer: in a network of bf16 it stays float32, as diffusers' embedding does
        self.frequency = torch.exp(-math.log(10000) * i / (half - 1)).float()

    def forward(self, x, t):
        angle = t.float()[:, None] * self.frequency
        temb = torch.cat([torch.sin(angle), torch.cos(angle)], -1).to(x.dtype)
        temb = self.time2(F.silu(self.time1(temb)))
        x = self.first(x)
        skips = [x]
        for i, layer in enumerate(self.down):
            x = layer(x, temb)
            if i in self.pushes:
                skips.append(x)
        for layer in self.middle:
            x = layer(x, temb)
        for i, layer in enumerate(self.up):
            x = layer(torch.cat([x, skips.pop()], 1) if i in self.pops else x, temb)
        return self.last(F.silu(self.norm(x)))


def image_size(folder):
    """(C, H, W) of the folder's input."""
    model = json.loads((pathlib.Path(folder) / "model.json").read_text())
    signature = model.get("signature") or model["userDefinedMetadata"]["signature"]
    for entry in signature["inputs"].values():
        dim = [int(d["size"]) for d in entry["tensorShape"]["dim"]]
        if len(dim) == 4:
            return dim[3], dim[1], dim[2]
    raise SystemExit(f"{folder}: no image among the inputs")
