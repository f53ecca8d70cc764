#!/usr/bin/env python3
"""Golden classifiers: small residual networks with random weights, and what
transformers and PyTorch compute from them.

Writes classifiers/ beside itself: a folder of ResNetForImageClassification for
each choice that its config offers, state dicts under torchvision's names (the
network written here in plain PyTorch, for torchvision is not needed), and
resize.safetensors, Pillow's resizing of float images. Each NAME has
NAME.golden.safetensors: "images.K" U8 [n,C,H,W], pixels u that stand for
u / 127.5 - 1, and "scores.K" [n,labels], K = 0, 1, ... for images of several sizes.

    python make_classifiers.py      (torch, transformers, safetensors, numpy, Pillow; CPU)
"""
import json
import pathlib
import shutil

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save_file
from torch import nn
from transformers import ResNetConfig, ResNetForImageClassification

ROOT = pathlib.Path(__file__).with_name("classifiers")
IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


def randomize(model, seed):
    """Weights of a size that keeps activations near 1, and statistics that batch
    norm has to use."""
    g = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            n = module.num_features
            module.weight.data = 0.5 + torch.rand(n, generator=g)
            module.bias.data = 0.3 * torch.randn(n, generator=g)
            module.running_mean.data = 0.5 * torch.randn(n, generator=g)
            module.running_var.data = 0.3 + 2 * torch.rand(n, generator=g)
        elif isinstance(module, nn.Conv2d):
            fan = module.weight[0].numel()
            module.weight.data = torch.randn(module.weight.shape, generator=g) * (2 / fan) ** 0.5
        elif isinstance(module, nn.Linear):
            module.weight.data = 0.2 * torch.randn(module.weight.shape, generator=g)
            module.bias.data = torch.randn(module.bias.shape, generator=g)
    return model.eval()


def prepare(x, size, mean, std, mode="bilinear", crop=None):
    """As the image processors, without their rounding to 8 bits."""
    if size and tuple(x.shape[2:]) != tuple(size):
        x = F.interpolate(x, size=size, mode=mode, antialias=True, align_corners=False).clamp(-1, 1)
    if crop:
        top, left = (x.shape[2] - crop) // 2, (x.shape[3] - crop) // 2
        x = x[:, :, top:top + crop, left:left + crop]
    shape = (1, -1, 1, 1)
    return ((x + 1) / 2 - torch.tensor(mean).view(shape)) / torch.tensor(std).view(shape)


def images(channels, sizes, seed):
    g = torch.Generator().manual_seed(seed)
    out = []
    for h, w in sizes:
        low = F.interpolate(torch.randn(2, channels, 5, 5, generator=g), size=(h, w), mode="bilinear")
        x = (low * 0.8 + 0.15 * torch.randn(2, channels, h, w, generator=g)).clamp(-1, 1)
        out.append(((x + 1) * 127.5).round().to(torch.uint8))
    return out


def floats(u):
    return (u.double() / 127.5 - 1).float()


def golden(name, xs, scores):
    tensors = {}
    for i in range(len(xs)):
        tensors[f"images.{i}"] = xs[i].contiguous()
        tensors[f"scores.{i}"] = scores[i].contiguous()
    save_file(tensors, ROOT / f"{name}.golden.safetensors")


def published(name, config, processor, sizes, prep, activate, half=False, seed=0):
    model = randomize(ResNetForImageClassification(ResNetConfig(**config)), seed)
    if half:
        model = model.half()
    model.save_pretrained(ROOT / name)
    model = model.float()
    (ROOT / name / "preprocessor_config.json").write_text(json.dumps(processor, indent=1) + "\n")
    xs = images(config.get("num_channels", 3), sizes, seed + 100)
    with torch.no_grad():
        scores = [activate(model(pixel_values=prep(floats(x))).logits) for x in xs]
    golden(name, xs, scores)


def labels(*names):
    return {"id2label": dict(enumerate(names)), "label2id": {n: i for i, n in enumerate(names)}}


def transformers_folders():
    vit = {"image_processor_type": "ViTImageProcessor", "do_resize": True, "resample": 2,
           "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True}
    half = [0.5, 0.5, 0.5]
    published("basic", dict(embedding_size=6, hidden_sizes=[8, 10, 14], depths=[1, 2, 1],
                            layer_type="basic", problem_type="multi_label_classification",
                            **labels("Smiling", "Hat", "Beard", "Glasses", "Long hair")),
              vit | {"size": {"height": 24, "width": 24}, "image_mean": half, "image_std": half},
              [(24, 24), (37, 29), (16, 20)], lambda x: prepare(x, (24, 24), half, half),
              torch.sigmoid)
    # ConvNext's processor: the shorter edge to 20 / 0.8 = 25, then the middle 20
    published("bottleneck", dict(embedding_size=10, hidden_sizes=[16, 24], depths=[2, 3],
                                 layer_type="bottleneck", hidden_act="gelu",
                                 downsample_in_first_stage=True, downsample_in_bottleneck=True,
                                 **labels(*"abcdefg")),
              {"feature_extractor_type": "ConvNextFeatureExtractor", "size": 20, "crop_pct": 0.8,
               "resample": 3}, [(32, 38), (25, 25)],
              lambda x: prepare(x, (25, 25 * x.shape[3] // x.shape[2]), *IMAGENET, "bicubic", 20),
              lambda y: torch.softmax(y, 1), seed=1)
    published("bottleneck_3x3", dict(embedding_size=5, hidden_sizes=[12, 12, 8], depths=[2, 1, 2],
                                     layer_type="bottleneck", problem_type="single_label_classification",
                                     **labels("no", "yes")),
              vit | {"size": 32, "image_mean": half, "image_std": half}, [(32, 32)],
              lambda x: prepare(x, (32, 32), half, half), lambda y: torch.softmax(y, 1), seed=2)
    published("gray", dict(num_channels=1, embedding_size=7, hidden_sizes=[9, 11], depths=[2, 1],
                           layer_type="basic", hidden_act="silu", problem_type="regression",
                           **labels("age", "weight", "height")),
              vit | {"do_resize": False, "image_mean": [0.4], "image_std": [0.3]},
              [(28, 36), (17, 17)], lambda x: prepare(x, None, [0.4], [0.3]), lambda y: y,
              half=True, seed=3)


class Block(nn.Module):
    """torchvision's BasicBlock and Bottleneck, by the names of their parameters."""

    def __init__(self, bottleneck, cin, planes, out, stride):
        super().__init__()
        plan = ([(cin, planes, 1, 1), (planes, planes, 3, stride), (planes, out, 1, 1)] if bottleneck
                else [(cin, out, 3, stride), (out, out, 3, 1)])
        self.count = len(plan)
        for i, (a, b, kernel, s) in enumerate(plan, 1):
            setattr(self, f"conv{i}", nn.Conv2d(a, b, kernel, s, kernel // 2, bias=False))
            setattr(self, f"bn{i}", nn.BatchNorm2d(b))
        self.downsample = None
        if stride != 1 or cin != out:
            self.downsample = nn.Sequential(nn.Conv2d(cin, out, 1, stride, bias=False),
                                            nn.BatchNorm2d(out))

    def forward(self, x):
        y = x
        for i in range(1, self.count + 1):
            y = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(y))
            if i < self.count:
                y = F.relu(y)
        return F.relu(y + (self.downsample(x) if self.downsample else x))


class ResNet(nn.Module):
    def __init__(self, bottleneck, stem, depths, planes, heads):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, stem, 7, 2, 3, bias=False), nn.BatchNorm2d(stem)
        cin = stem
        for i, (depth, p) in enumerate(zip(depths, planes)):
            out = 4 * p if bottleneck else p
            blocks = [Block(bottleneck, out if j else cin, p, out, 2 if i and not j else 1)
                      for j in range(depth)]
            setattr(self, f"layer{i + 1}", nn.Sequential(*blocks))
            cin = out
        heads(self, cin)

    def features(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        for i in range(1, 5):
            x = getattr(self, f"layer{i}")(x)
        return x.mean((2, 3))


def one_head(outputs):
    def add(model, width):
        model.fc = nn.Linear(width, outputs)
    return add


def two_way_heads(count):
    def add(model, width):
        model.fc = nn.ModuleList(nn.Linear(width, 2) for _ in range(count))
    return add


def hopenet(model, width):
    model.fc_yaw, model.fc_pitch, model.fc_roll = (nn.Linear(width, 66) for _ in range(3))
    model.fc_finetune = nn.Linear(width + 3, 3)


def pose(model, y):
    bins = torch.arange(66, dtype=torch.float32)
    heads = (model.fc_yaw, model.fc_pitch, model.fc_roll)
    return torch.stack([(torch.softmax(fc(y), 1) * bins).sum(1) * 3 - 99 for fc in heads], 1)


def torchvision_dicts():
    def write(name, model, size, prefix, activate, seed, wrap=False):
        randomize(model, seed)
        state = {prefix + k: v for k, v in model.state_dict().items()}
        if name.endswith(".pth"):
            torch.save({"state_dict": state} if wrap else state, ROOT / name)
        else:
            save_file(state, ROOT / name)
        xs = images(3, [(size, size), (size + 5, size + 3)], seed + 100)
        inputs = [prepare(floats(x), (size, size), *IMAGENET) for x in xs]
        with torch.no_grad():
            golden(name, xs, [activate(model, model.features(x)) for x in inputs])

    def pairs(model, y):
        return torch.softmax(model.fc(y).view(len(y), -1, 2), 2)[:, :, 1]

    def separate(model, y):
        return torch.stack([torch.softmax(fc(y), 1)[:, 1] for fc in model.fc], 1)

    write("resnet18.pth", ResNet(False, 6, [2, 2, 2, 2], [4, 4, 6, 6], one_head(5)), 33, "",
          lambda m, y: torch.softmax(m.fc(y), 1), 10)
    write("pairs.pth", ResNet(True, 5, [1, 2, 1, 1], [2, 3, 4, 4], one_head(8)), 33, "",
          pairs, 11, wrap=True)
    write("heads.safetensors", ResNet(False, 4, [1, 1, 1, 2], [4, 4, 6, 6], two_way_heads(4)), 32,
          "module.", separate, 12)
    write("hopenet.safetensors", ResNet(True, 6, [1, 1, 2, 1], [2, 2, 3, 4], hopenet), 32, "",
          pose, 13)


def embedded():
    """The classifier that travels inside the program."""
    folder = ROOT.parents[2] / "models" / "demo" / "avatars32-attributes"
    model = ResNetForImageClassification.from_pretrained(folder, dtype=torch.float32).eval()
    half = [0.5, 0.5, 0.5]
    xs = images(3, [(32, 32), (40, 35)], 14)
    with torch.no_grad():
        scores = [torch.sigmoid(model(pixel_values=prepare(floats(x), (32, 32), half, half)).logits)
                  for x in xs]
    golden("embedded", xs, scores)


def resizing():
    x = floats(images(1, [(13, 17)], 7)[0])[0, 0]
    tensors = {"x": x.contiguous()}
    filters = {"bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC, "lanczos": Image.LANCZOS}
    for name, code in filters.items():
        for h, w in [(7, 9), (26, 20), (13, 5), (13, 17)]:
            y = np.asarray(Image.fromarray(x.numpy(), mode="F").resize((w, h), code))
            tensors[f"{name}.{h}.{w}"] = torch.from_numpy(y.copy())
    save_file(tensors, ROOT / "resize.safetensors")


shutil.rmtree(ROOT, ignore_errors=True)
ROOT.mkdir()
transformers_folders()
torchvision_dicts()
embedded()
resizing()
(ROOT / "two_a_label.txt").write_text("Smiling\nHat\nBeard\nGlasses\n")
(ROOT / "five.txt").write_text("cat\ndog\nbird\nfish\nant\n")
print(sum(p.stat().st_size for p in ROOT.rglob("*") if p.is_file()), "bytes")
