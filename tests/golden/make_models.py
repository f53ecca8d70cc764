#!/usr/bin/env python3
"""Make tests/golden/models: small random-weight models over the configuration
space of UNet2DModel and of the Keras DDPM family, in every file layout, with
what PyTorch and diffusers compute from them.

    python3 make_models.py [--anime64 FOLDER]

Each folder is a model as hspace opens it, and has beside it golden.safetensors:

    x [n,C,H,W], t [n], delta_h [n,c,h,w], eps [n,C,H,W]
    h_before, h_middle, h_after [n,c,h,w]      before delta_h
    eps_before, eps_middle, eps_after          eps with delta_h added there

With --anime64 also anime64.safetensors, of the published model, by running its
TensorFlow graph node by node (no knowledge of the architecture).
"""
import argparse
import base64
import json
import math
import pathlib
import shutil

import numpy
import torch
import torch.nn.functional as F
from diffusers import DDPMScheduler, UNet2DModel
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).parent / "models"
BASE = dict(
    sample_size=8, block_out_channels=(4, 8), layers_per_block=1, norm_num_groups=2,
    down_block_types=("DownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "UpBlock2D"),
    attention_head_dim=None, flip_sin_to_cos=False, freq_shift=1, downsample_padding=0,
    norm_eps=1e-6,
)
ATTN = dict(down_block_types=("AttnDownBlock2D", "AttnDownBlock2D"),
            up_block_types=("AttnUpBlock2D", "AttnUpBlock2D"))
RESNET = dict(down_block_types=("ResnetDownsampleBlock2D", "ResnetDownsampleBlock2D"),
              up_block_types=("ResnetUpsampleBlock2D", "ResnetUpsampleBlock2D"))
f16, bf16, f32 = torch.float16, torch.bfloat16, torch.float32
# name: (config over BASE, dtype on disk, layout)
MODELS = {
    "plain": ({}, f16, "pipeline"),
    "heads": (dict(ATTN, block_out_channels=(8, 16), norm_num_groups=4, attention_head_dim=4, downsample_padding=1, flip_sin_to_cos=True,
                   freq_shift=0, layers_per_block=2), f16, "bare"),
    "resnet_sampling": (dict(RESNET, norm_eps=1e-5), f16, "unet"),
    "scale_shift": (dict(ATTN, resnet_time_scale_shift="scale_shift", act_fn="mish"), f16, "bare"),
    "fourier": (dict(time_embedding_type="fourier", center_input_sample=True, act_fn="gelu"), f16,
                "bare"),
    "mid_scale": (dict(mid_block_scale_factor=math.sqrt(2), attn_norm_num_groups=2,
                       attention_head_dim=8, flip_sin_to_cos=True), f16, "bare"),
    "attn_resnet": (dict(ATTN, downsample_type="resnet", upsample_type="resnet",
                         attention_head_dim=4), f16, "bare"),
    "three_layers": (dict(layers_per_block=3, add_attention=False, downsample_padding=1), f16,
                     "bare"),
    "wide": (dict(sample_size=(8, 16), block_out_channels=(4, 4, 8), freq_shift=0,
                  down_block_types=("DownBlock2D", "AttnDownBlock2D", "ResnetDownsampleBlock2D"),
                  up_block_types=("UpBlock2D", "ResnetUpsampleBlock2D", "AttnUpBlock2D")), f16,
             "bare"),
    "gray": (dict(in_channels=1, out_channels=1, norm_num_groups=4, norm_eps=1e-3), bf16, "bare"),
    "sharded": (dict(act_fn="swish", time_embedding_dim=24), f16, "sharded"),
    "old_bin": (dict(ATTN, block_out_channels=(4, 4)), f16, "old_bin"),
    "bin_sharded": (dict(block_out_channels=(4, 4)), f16, "bin_sharded"),
    "old_conv_attention": (dict(block_out_channels=(4, 4)), f32, "old_conv_attention"),
    "uneven_heads": (dict(attention_head_dim=3, block_out_channels=(4, 8)), f16, "fp16_variant"),
    "old_fourier": (dict(time_embedding_type="fourier", block_out_channels=(4, 4),
                         resnet_time_scale_shift="scale_shift", attn_norm_num_groups=4), f16,
                    "old_fourier"),
    "one_level": (dict(down_block_types=("AttnDownBlock2D",), up_block_types=("AttnUpBlock2D",),
                       block_out_channels=(8,), sample_size=4), f16, "bare"),
}


def randomise(model, dtype):
    """Every weight away from its neutral value, attention away from uniform,
    and all of them values that the type on disk can hold."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "norm" in name:
                p.copy_(torch.randn_like(p) * 0.3 + (1 if name.endswith("weight") else 0))
            elif "bias" in name:
                p.copy_(torch.randn_like(p) * 0.2)
            elif "time_proj" not in name:
                p.mul_(3 if ".to_q" in name or ".to_k" in name else 1.2)
            p.copy_(p.to(dtype).float())


def tap(model, where, state):
    """Record h at `where` and add state["delta"] to it."""
    def hook(h):
        state["h"] = h.detach().clone()
        return h + state["delta"] if state.get("delta") is not None else h
    mid = model.mid_block
    if where == "before":
        return mid.register_forward_pre_hook(lambda m, a: (hook(a[0]),) + a[1:])
    target = mid if where == "after" else mid.resnets[1].norm2
    return target.register_forward_hook(lambda m, a, out: hook(out))


def golden(model, config, seed):
    g = torch.Generator().manual_seed(seed)
    size = config["sample_size"]
    size = (size, size) if isinstance(size, int) else size
    channels = config.get("in_channels", 3)
    x = torch.randn(2, channels, *size, generator=g)
    t = torch.tensor([937, 12])
    result = {"x": x, "t": t.float()}
    with torch.no_grad():
        result["eps"] = model(x, t).sample
        for where in ("before", "middle", "after"):
            state = {}
            handle = tap(model, where, state)
            model(x, t)
            result["h_" + where] = h = state["h"]
            if "delta_h" not in result:
                result["delta_h"] = torch.randn(h.shape, generator=g)
            state["delta"] = result["delta_h"]
            result["eps_" + where] = model(x, t).sample
            handle.remove()
    return {k: v.contiguous().float() for k, v in result.items()}


def old_names(state, as_conv):
    renames = {"to_q.": "query.", "to_k.": "key.", "to_v.": "value.", "to_out.0.": "proj_attn."}
    result = {}
    for name, p in state.items():
        for now, before in renames.items():
            if "attentions" in name and now in name:
                name = name.replace(now, before)
                if as_conv and p.ndim == 2:
                    p = p[:, :, None, None]
        result[name] = p
    return result


def write_index(folder, stem, parts, save):
    names = [f"{stem[0]}-{i + 1:05}-of-{len(parts):05}.{stem[1]}" for i in range(len(parts))]
    for name, part in zip(names, parts):
        save(part, folder / name)
    index = {"metadata": {}, "weight_map": {k: n for n, p in zip(names, parts) for k in p}}
    (folder / f"{stem[0]}.{stem[1]}.index.json").write_text(json.dumps(index))


def write(folder, model, dtype, layout):
    unet = folder / "unet" if layout in ("pipeline", "unet") else folder
    unet.mkdir(parents=True)
    config = dict(model.config)
    config = {"_class_name": "UNet2DModel", "_diffusers_version": "0.0.4", **config}
    config = {k: v for k, v in config.items() if not k.startswith("_use_default")}
    (unet / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    state = {k: v.detach().to(dtype).contiguous() for k, v in model.state_dict().items()}
    name = "diffusion_pytorch_model"
    if layout == "pipeline":
        DDPMScheduler(clip_sample=False).save_pretrained(folder / "scheduler")
        index = {"_class_name": "DDPMPipeline", "scheduler": ["diffusers", "DDPMScheduler"],
                 "unet": ["diffusers", "UNet2DModel"]}
        (folder / "model_index.json").write_text(json.dumps(index))
    keys = sorted(state)
    parts = [{k: state[k] for k in keys[i::2]} for i in range(2)]
    if layout == "sharded":
        write_index(unet, (name, "safetensors"), parts, lambda p, f: save_file(p, str(f)))
    elif layout == "bin_sharded":
        write_index(unet, (name, "bin"), parts, torch.save)
    elif layout == "old_bin":
        torch.save(old_names(state, False), unet / f"{name}.bin")
    elif layout == "old_fourier":
        state["time_proj.W"] = state["time_proj.weight"]
        torch.save(state, unet / f"{name}.bin")
    elif layout == "old_conv_attention":
        save_file(old_names(state, True), str(unet / f"{name}.safetensors"))
    elif layout == "fp16_variant":
        save_file(state, str(unet / f"{name}.fp16.safetensors"))
    else:
        save_file(state, str(unet / f"{name}.safetensors"))


def make_diffusers():
    for seed, (name, (changes, dtype, layout)) in enumerate(MODELS.items()):
        torch.manual_seed(seed)
        config = {**BASE, **changes}
        model = UNet2DModel(**config).eval()
        randomise(model, dtype)
        write(HERE / name, model, dtype, layout)
        save_file(golden(model, config, 1000 + seed), str(HERE / name / "golden.safetensors"))


# ------------------------------------------------------------ Keras family --

class Keras:
    """The Keras example, made layer by layer as its author's session does: each
    layer takes the next number of its kind, emits the nodes and weights of a
    TensorFlow.js graph, and computes (NHWC)."""

    def __init__(self, start, seed, sharpness):
        self.sharpness = sharpness  # of the weights of queries and keys
        self.number, self.nodes, self.weights = dict(start), [], []
        self.g = torch.Generator().manual_seed(seed)
        self.root = "StatefulPartitionedCall/unet/"

    def layer(self, kind, inside=""):
        n = self.number[kind] = self.number.get(kind, 0) + 1
        return f"{self.root}{inside}{kind}_{n}"

    def node(self, name, op, inputs=(), attr=None):
        self.nodes.append({"name": name, "op": op, "input": list(inputs), "attr": attr or {}})
        return name

    def weight(self, name, shape, spread, centre=0.0):
        value = torch.randn(shape, generator=self.g) * spread + centre
        low, high = value.min().item(), value.max().item()
        scale = (high - low) / 255 if high > low else 1.0
        q = ((value - low) / scale).round().to(torch.uint8)
        self.weights.append((name, list(shape), "float32", q.numpy(), scale, low))
        self.node(name, "Const")
        return (q.double() * scale + low).float()

    def integer(self, name, value):
        self.weights.append((name, [], "int32", numpy.int32(value), None, None))
        self.node(name, "Const")

    # x is (value, node name)
    def conv(self, x, width, kernel=3, stride=1):
        value, at = x
        name = self.layer("conv2d")
        shape = (kernel, kernel, value.shape[-1], width)
        w = self.weight(name + "/Conv2D/ReadVariableOp", shape,
                        1.2 / math.sqrt(kernel * kernel * value.shape[-1]))
        b = self.weight(name + "/BiasAdd/ReadVariableOp", (width,), 0.2)
        y = value.permute(0, 3, 1, 2)
        y = F.pad(y, (0, 1, 0, 1)) if stride == 2 else F.pad(y, [kernel // 2] * 4)
        y = F.conv2d(y, w.permute(3, 2, 0, 1), b, stride=stride).permute(0, 2, 3, 1)
        strides = {"list": {"i": ["1", str(stride), str(stride), "1"]}}
        self.node(name + "/BiasAdd", "_FusedConv2D",
                  [at, name + "/Conv2D/ReadVariableOp", name + "/BiasAdd/ReadVariableOp"],
                  {"strides": strides})
        return y, name + "/BiasAdd"

    def dense(self, value, width, inside="", op="MatMul", gain=1.2):
        name = self.layer("dense", inside)
        shape = (value.shape[-1], width)
        w = self.weight(f"{name}/{op}/ReadVariableOp", shape, gain / math.sqrt(shape[0]))
        b = self.weight(name + "/BiasAdd/ReadVariableOp", (width,), 0.2)
        return value @ w + b, self.node(name + "/BiasAdd", "BiasAdd")

    def norm(self, x, inside=""):
        value, at = x
        name = self.layer("group_normalization", inside)
        gamma = self.weight(name + "/Reshape_1/ReadVariableOp", (value.shape[-1],), 0.3, 1.0)
        beta = self.weight(name + "/Reshape_2/ReadVariableOp", (value.shape[-1],), 0.3)
        self.integer(name + "/stack/3", 4)
        self.weights.append((name + "/batchnorm/add/y", [], "float32", numpy.uint8(0), 1.0, 1e-3))
        n, h, w, c = value.shape
        groups = value.reshape(n, h, w, 4, c // 4)
        mean = groups.mean((1, 2, 4), keepdim=True)
        var = ((groups - mean) ** 2).mean((1, 2, 4), keepdim=True)
        y = ((groups - mean) / torch.sqrt(var + 1e-3)).reshape(n, h, w, c) * gamma + beta
        return y, self.node(name + "/Reshape_3", "Reshape", [at])

    def silu(self, value):
        at = self.layer("tf.nn.silu")
        self.node(at + "/Sigmoid", "Sigmoid")
        return F.silu(value), self.node(at + "/mul_1", "Mul")

    def add(self, a, b):
        name = self.layer("add") + "/add"
        return a[0] + b[0], self.node(name, "AddV2", [a[1], b[1]])

    def concat(self, a, b):
        name = self.layer("concatenate") + "/concat"
        return torch.cat([a[0], b[0]], -1), self.node(name, "ConcatV2", [a[1], b[1]])

    def residual(self, x, temb, width, tap=lambda x: x):
        skip = self.conv(x, width, 1) if x[0].shape[-1] != width else x
        t, at = self.dense(self.silu(temb)[0], width)
        y, _ = self.norm(x)
        y = self.conv(self.silu(y), width)
        y = self.add(y, (t[:, None, None, :], at))
        y, _ = tap(self.norm(y))
        y = self.conv(self.silu(y), width)
        return self.add(y, skip)

    def attention(self, x):
        block = self.layer("attention_block")
        inside = block[len(self.root):] + "/"
        x = self.norm(x, inside)
        n, h, w, c = x[0].shape
        tokens = x[0].reshape(n, h * w, c)
        q, k, v = (self.dense(tokens, c, inside, "Tensordot", gain)[0]
                   for gain in (self.sharpness, self.sharpness, 1.2))
        self.node(block + "/Softmax", "Softmax")
        p = torch.softmax(q @ k.transpose(1, 2) * c ** -0.5, -1)
        y, at = self.dense(p @ v, c, inside, "Tensordot")
        name = self.node(block + "/add", "AddV2", [x[1], at])
        return x[0] + y.reshape(n, h, w, c), name

    def time_nodes(self):
        at = self.layer("time_embedding")
        sines = [self.node(at + "/Sin", "Sin"), self.node(at + "/Cos", "Cos")]
        self.node(at + "/concat", "ConcatV2", sines)

    def run(self, image, t, widths, attends, layers, delta=None):
        """eps and h (before, middle, after); `delta` {where: tensor} is added."""
        taps, delta = {}, delta or {}

        def at_tap(where, x):
            taps[where] = x[0]
            return (x[0] + delta[where], x[1]) if where in delta else x

        x = self.conv((image, "image_input"), widths[0])
        half = 2 * widths[0]
        frequency = torch.exp(torch.arange(half) * (-math.log(10000) / (half - 1)))
        temb = t.float()[:, None] * frequency
        self.time_nodes()
        temb = torch.cat([torch.sin(temb), torch.cos(temb)], -1)
        temb = self.dense(self.silu(self.dense(temb, 2 * half)[0])[0], 2 * half)[0]
        skips = [x]
        for width, attend in zip(widths, attends):
            for _ in range(layers):
                x = self.residual(x, temb, width)
                x = self.attention(x) if attend else x
                skips.append(x)
            if width != widths[-1]:
                x = self.conv(x, width, 3, 2)
                skips.append(x)
        x = at_tap("before", x)
        x = self.attention(self.residual(x, temb, widths[-1]))
        x = self.residual(x, temb, widths[-1], lambda y: at_tap("middle", y))
        x = at_tap("after", x)
        for level in reversed(range(len(widths))):
            for _ in range(layers + 1):
                x = self.residual(self.concat(x, skips.pop()), temb, widths[level])
                x = self.attention(x) if attends[level] else x
            if level:
                self.node(self.layer("up_sampling2d") + "/resize", "ResizeNearestNeighbor")
                x = self.conv((x[0].repeat_interleave(2, 1).repeat_interleave(2, 2), x[1]),
                              widths[level])
        y, _ = self.norm(x)
        return self.conv(self.silu(y), image.shape[-1])[0], taps


# Whole networks by the sharpness of their attention. The second is badly
# conditioned: rounding what passes between its layers to float32 changes its
# derivative by 6e-6 (geometric mean over random points; up to 6e-5), PyTorch's
# float32 by 1.1e-5 at the golden points, the CPU back end's by 8e-6.
KERAS = {"keras": 1.2, "keras_sharp": 3}


def make_keras(folder, sharpness):
    start = dict(conv2d=66, dense=67, group_normalization=55, attention_block=8, add=98,
                 concatenate=9)
    g = torch.Generator().manual_seed(77)
    image, t = torch.randn(2, 8, 8, 3, generator=g), torch.tensor([250, 3])
    delta = torch.randn(2, 4, 4, 8, generator=g)

    def run(deltas):
        keras = Keras(start, 7, sharpness)
        return keras, *keras.run(image, t, [4, 8], [False, True], 1, deltas)

    keras, eps, taps = run({})
    chw = lambda v: v.permute(0, 3, 1, 2).contiguous()
    result = {"x": chw(image), "t": t.float(), "delta_h": chw(delta), "eps": chw(eps)}
    for where in ("before", "middle", "after"):
        result["h_" + where] = chw(taps[where])
        result["eps_" + where] = chw(run({where: delta})[1])
    folder.mkdir()
    blob = b"".join(w[3].tobytes() for w in keras.weights)
    names = ["group1-shard1of2.bin", "group1-shard2of2.bin"]
    half = len(blob) // 2
    (folder / names[0]).write_bytes(blob[:half])
    (folder / names[1]).write_bytes(blob[half:])
    weights = []
    for name, shape, dtype, _, scale, low in keras.weights:
        weights.append({"name": name, "shape": shape, "dtype": dtype})
        if scale is not None:
            weights[-1]["quantization"] = {"dtype": "uint8", "scale": scale, "min": low,
                                           "original_dtype": "float32"}
    dim = [{"size": s} for s in ("-1", "8", "8", "3")]
    model = {"format": "graph-model", "signature": {"inputs": {"image_input": {
        "name": "image_input:0", "dtype": "DT_FLOAT", "tensorShape": {"dim": dim}}}},
        "modelTopology": {"node": keras.nodes},
        "weightsManifest": [{"paths": names, "weights": weights}]}
    (folder / "model.json").write_text(json.dumps(model, separators=(",", ":")))
    save_file(result, str(folder / "golden.safetensors"))


# ---------------------------------------- the published model, node by node --

class Graph:
    """Runs a TensorFlow.js graph model by its topology."""

    def __init__(self, folder):
        self.model = json.loads((folder / "model.json").read_text())
        self.nodes = {n["name"]: n for n in self.model["modelTopology"]["node"]}
        self.values = {}
        for group in self.model["weightsManifest"]:
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
                self.values[w["name"]] = torch.from_numpy(numpy.array(value))
        for name, value in self.values.items():
            if "time_embedding" in name and name.endswith("strided_slice_1"):
                half = value.shape[-1]  # 8 bits cannot hold the frequencies
                i = torch.arange(half, dtype=torch.float64)
                self.values[name] = torch.exp(-math.log(10000) * i / (half - 1)).float()[None]

    def run(self, image, t):
        self.values = {k: v for k, v in self.values.items() if k in self.nodes}
        keep = dict(self.values)
        for name in self.nodes:  # placeholders by their names
            if self.nodes[name]["op"] == "Placeholder":
                keep[name] = t if "time" in name else image
        self.values_now = keep
        output = next(iter(self.model["signature"]["outputs"].values()))["name"]
        return self.value(output.split(":")[0])

    def value(self, name):
        name = name.split(":")[0]
        stack = [name]  # the graph is deeper than Python's recursion
        while stack:
            top = stack[-1]
            if top in self.values_now:
                stack.pop()
                continue
            needed = [i.split(":")[0] for i in self.nodes[top].get("input", [])
                      if i.split(":")[0] not in self.values_now and not i.startswith("^")]
            if needed:
                stack += needed
            else:
                self.values_now[top] = self.compute(self.nodes[top])
        return self.values_now[name]

    def compute(self, node):
        a = [self.values_now[i.split(":")[0]] for i in node.get("input", [])]
        attr = node.get("attr", {})
        op = node["op"]
        flag = lambda key: int(attr.get(key, {}).get("i", 0))
        simple = {
            "Mul": lambda: a[0] * a[1], "AddV2": lambda: a[0] + a[1], "Sub": lambda: a[0] - a[1],
            "FloorDiv": lambda: a[0] // a[1], "Sigmoid": lambda: torch.sigmoid(a[0]),
            "Rsqrt": lambda: torch.rsqrt(a[0]), "Sin": lambda: torch.sin(a[0]),
            "Cos": lambda: torch.cos(a[0]), "Identity": lambda: a[0],
            "SquaredDifference": lambda: (a[0] - a[1]) ** 2, "BiasAdd": lambda: a[0] + a[1],
            "Shape": lambda: torch.tensor(a[0].shape), "Cast": lambda: a[0].float(),
            "Reshape": lambda: a[0].reshape(a[1].tolist()), "Pack": lambda: torch.stack(
                [v.long() if not v.is_floating_point() else v for v in a]),
            "Prod": lambda: a[0][a[1].long()].prod() if a[1].ndim else a[0].prod(),
            "MatMul": lambda: a[0] @ a[1], "_FusedMatMul": lambda: a[0] @ a[1] + a[2],
            "Softmax": lambda: torch.softmax(a[0], -1),
            "Mean": lambda: a[0].mean(a[1].tolist(), keepdim=True),
            "GatherV2": lambda: a[0][a[1].long()],
            "ConcatV2": lambda: torch.cat(
                [v.long() if not v.is_floating_point() else v for v in a[:-1]], int(a[-1])),
            "ResizeNearestNeighbor": lambda: F.interpolate(
                a[0].permute(0, 3, 1, 2), size=a[1].tolist()).permute(0, 2, 3, 1),
        }
        if op == "Prod":
            return a[0].prod()
        if op in simple:
            return simple[op]()
        if op == "Einsum":
            equation = base64.b64decode(attr["equation"]["s"]).decode()
            return torch.einsum(equation, *a)
        if op == "StridedSlice":
            return self.strided_slice(*a, flag)
        if op == "_FusedConv2D":
            stride = int(attr["strides"]["list"]["i"][1])
            x, w = a[0].permute(0, 3, 1, 2), a[1].permute(3, 2, 0, 1)
            if base64.b64decode(attr["padding"]["s"]) == b"SAME":
                pad = max(w.shape[-1] - stride, 0)  # of even sizes
                x = F.pad(x, [pad // 2, pad - pad // 2] * 2)
            return F.conv2d(x, w, a[2], stride=stride).permute(0, 2, 3, 1)
        raise SystemExit(f"op {op} of {node['name']} is not known")

    @staticmethod
    def strided_slice(x, begin, end, stride, flag):
        index = []
        begin, end = begin.tolist(), end.tolist()
        for i in range(len(begin)):
            if flag("new_axis_mask") >> i & 1:
                index.append(None)
            elif flag("shrink_axis_mask") >> i & 1:
                index.append(begin[i])
            elif flag("ellipsis_mask") >> i & 1:
                index.append(Ellipsis)
            else:
                index.append(slice(None if flag("begin_mask") >> i & 1 else begin[i],
                                   None if flag("end_mask") >> i & 1 else end[i]))
        return x[tuple(index)]


def make_anime64(folder):
    graph = Graph(folder)
    g = torch.Generator().manual_seed(64)
    x = torch.randn(1, 3, 64, 64, generator=g)
    chw = lambda v: v.permute(0, 3, 1, 2).contiguous()
    result = {"x": x}
    with torch.no_grad():
        for t in (282, 17):
            result[f"eps_{t}"] = chw(graph.run(x.permute(0, 2, 3, 1), torch.tensor([t])))
    save_file(result, str(HERE / "anime64.safetensors"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--anime64", type=pathlib.Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    kept = HERE / "anime64.safetensors"
    old = kept.read_bytes() if kept.exists() else None
    shutil.rmtree(HERE, ignore_errors=True)
    HERE.mkdir(parents=True)
    make_diffusers()
    for name, sharpness in KERAS.items():
        make_keras(HERE / name, sharpness)
    if options.anime64:
        make_anime64(options.anime64)
    elif old:
        kept.write_bytes(old)
