#!/usr/bin/env python3
"""Train a small attribute classifier of portraits, on a CPU or a GPU.

    python classifier.py avatars DATA OUT --name avatars32-attributes --seconds 480 \\
        --embedding 64 --widths 64,128,192 --depths 2,1,1
    python classifier.py avatars DATA OUT --name avatars32-judge --seed 1 --seconds 150 \\
        --embedding 40 --widths 40,104,176 --depths 1,2,1
    python classifier.py avatars DATA OUT --name avatars64-attributes --size 64 --steps 4000 \\
        --embedding 64 --widths 64,128,192 --depths 2,1,1
    python classifier.py faces DATA OUT --name faces64-attributes --size 64 --steps 4000 \\
        --embedding 64 --widths 64,128,192 --depths 2,1,1 --decay 0.05

DATA is a data folder (data.py). The last images in order of their names (2 000 of avatars,
1 000 of faces) are never trained on. OUT becomes a transformers folder of ResNetForImageClassification:
config.json, model.safetensors, preprocessor_config.json and README.md, the
card with the accuracy on the held-out images.

Every attribute is one output of a multi-label model, whose score is the
logistic function of its logit. A yes-no attribute has the target 0 or 1. One
with levels 0 ... L (Skin, Age) has the target level / L: the cross-entropy
with such a soft target is least where the score is the expected level / L, so
that one output holds an ordinal attribute, on the same scale from 0 to 1 as
the others; round(score * L) is the level. An image without a label of an
attribute counts in the others.

It goes on until --steps steps were made or --seconds of processor time were
spent on training over all starts, whichever comes first. Stopped at any time
and started again with the same --work, it goes on from its last checkpoint.
Everything is computed in float32. Needs what requirements.txt names.
"""
import argparse
import hashlib
import json
import math
import os
import pathlib
import time

import numpy as np
import torch
import torch.nn.functional as F
from transformers import ResNetConfig, ResNetForImageClassification

import data as datasets

CHECKPOINT_SECONDS = 60
KINDS = {
    "avatars": dict(
        held=2000, crop=None, flip=False,
        subject="cartoon portraits",
        data="""portraits rendered with DiceBear's "avataaars" style (drawings by Pablo Stanley, free for personal and commercial use; DiceBear's code is MIT), with the exact labels they were drawn from, reduced to {size}×{size} with a Lanczos filter as for the diffusion model. {trained} images were trained on; the last {held} in order of their names were held back. The population is entangled on purpose (gray hair and glasses, long hair and smiles, beards without long hair), so a classifier may lean on such company. The images themselves are not part of this repository.""",
        licence="the project's, MIT."),
    "faces": dict(
        held=1000, crop=(0, 12, 89, 89), flip=True,
        subject="photographs of faces",
        data="""{total} aligned CelebA faces, rows 12 to 100 of 109, reduced to {size}×{size} with a Lanczos filter as for the diffusion model. Bangs, Eyeglasses, Beard, Smiling and Age are the levels 0 … 5 of CelebA-Dialog, which every image has; Attractive and Male are CelebA's own, which 2 669 images have. {trained} images were trained on, and their mirror images; the last {held} in order of their names were held back. The labels are people's opinions about photographs of celebrities: "Attractive" and "Male" say how somebody was labelled, nothing else. The images themselves are not part of this repository.""",
        licence="CelebA is for non-commercial research; so are these weights."),
}


def arguments():
    p = argparse.ArgumentParser(description="Train a small attribute classifier of portraits.")
    p.add_argument("kind", choices=KINDS)
    p.add_argument("data", type=pathlib.Path)
    p.add_argument("out", type=pathlib.Path)
    p.add_argument("--name", required=True)
    p.add_argument("--role", default="the annotator")
    p.add_argument("--seconds", type=float, default=math.inf,
                   help="limit on the processor time of training, over all starts")
    p.add_argument("--steps", type=float, default=math.inf)
    p.add_argument("--size", type=int, default=32, help="pixels of a side of the input")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--embedding", type=int, default=32)
    p.add_argument("--widths", default="48,96,192")
    p.add_argument("--depths", default="1,2,1")
    p.add_argument("--batch", type=int, default=64)
    p.add_argument("--rate", type=float, default=2e-3)
    p.add_argument("--decay", type=float, default=0.02, help="weight decay")
    p.add_argument("--dtype", choices=["f16", "f32"], default="f16")
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--work", type=pathlib.Path, help="checkpoint and reduced images; default OUT.work")
    a = p.parse_args()
    if min(a.steps, a.seconds) == math.inf:
        p.error("give --steps, --seconds or both")
    a.held, a.crop, a.flip = (KINDS[a.kind][key] for key in ("held", "crop", "flip"))
    a.device = "cuda" if torch.cuda.is_available() else "cpu"
    a.work = a.work or a.out.with_name(a.out.name + ".work")
    a.widths = [int(w) for w in a.widths.split(",")]
    a.depths = [int(d) for d in a.depths.split(",")]
    return a


def augment(a, x, generator):
    """Shift by up to a pixel in 32, mirror where the kind allows it, and add a little noise:
    samples of a diffusion model are never as clean as what it was trained on."""
    far = a.size // 32
    dy, dx = (int(v) for v in torch.randint(0, 2 * far + 1, (2,), generator=generator))
    x = F.pad(x, (far,) * 4, mode="replicate")[:, :, dy:dy + a.size, dx:dx + a.size]
    if a.flip:
        mirrored = torch.rand(len(x), 1, 1, 1, generator=generator) < 0.5
        x = torch.where(mirrored.to(x.device), x.flip(3), x)
    sigma = 0.08 * torch.rand(len(x), 1, 1, 1, generator=generator)
    return x + (sigma * torch.randn(x.shape, generator=generator)).to(x.device)


def new_model(a, names):
    config = ResNetConfig(
        num_channels=3, embedding_size=a.embedding, hidden_sizes=a.widths, depths=a.depths,
        layer_type="basic", hidden_act="relu", downsample_in_first_stage=False,
        id2label=dict(enumerate(names)), label2id={n: i for i, n in enumerate(names)},
        problem_type="multi_label_classification")
    return ResNetForImageClassification(config)


class Run:
    """The state that a checkpoint holds."""

    def __init__(self, a, names):
        torch.manual_seed(a.seed)
        self.a = a
        self.model = new_model(a, names).to(a.device)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=a.rate, weight_decay=a.decay)
        self.generator = torch.Generator().manual_seed(a.seed)
        self.seconds, self.step, self.seen = 0.0, 0, 0
        self.path = a.work / "checkpoint.pt"
        if self.path.exists():
            saved = torch.load(self.path, map_location=a.device)
            self.model.load_state_dict(saved["model"])
            self.optimizer.load_state_dict(saved["optimizer"])
            self.generator.set_state(saved["generator"].cpu())
            self.seconds, self.step, self.seen = saved["seconds"], saved["step"], saved["seen"]

    def save(self):
        temporary = self.path.with_suffix(".tmp")
        torch.save({"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(),
                    "generator": self.generator.get_state(), "seconds": self.seconds,
                    "step": self.step, "seen": self.seen}, temporary)
        os.replace(temporary, self.path)

    def progress(self):
        return max(self.seconds / self.a.seconds, self.step / self.a.steps)

    def rate(self):
        """A short warm-up, then a cosine down to nothing at the end."""
        part = min(1.0, self.progress())
        return self.a.rate * min(1, (self.step + 1) / 50) * 0.5 * (1 + math.cos(math.pi * part))

    def train(self, images, targets):
        order, at, saved, loss_mean = None, 0, self.seconds, None
        self.model.train()
        last = time.process_time()
        while self.progress() < 1:
            if order is None or at + self.a.batch > len(order):
                order, at = torch.randperm(len(images), generator=self.generator), 0
            pick = order[at:at + self.a.batch]
            at += self.a.batch
            for group in self.optimizer.param_groups:
                group["lr"] = self.rate()
            x = augment(self.a, images[pick].float() / 127.5 - 1, self.generator)
            logits = self.model(pixel_values=x).logits
            target = targets[pick]
            known = ~target.isnan()
            loss = F.binary_cross_entropy_with_logits(logits[known], target[known])
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            now = time.process_time()
            self.seconds += now - last
            last = now
            self.step += 1
            self.seen += len(pick)
            loss_mean = loss.item() if loss_mean is None else 0.98 * loss_mean + 0.02 * loss.item()
            if self.step % 50 == 0:
                print(f"step {self.step}  epoch {self.seen / len(images):.2f}  loss {loss_mean:.4f}"
                      f"  rate {self.rate():.1e}  {self.seen / self.seconds:.0f} images/s"
                      f"  {self.seconds:.0f} s", flush=True)
            if self.seconds - saved > CHECKPOINT_SECONDS:
                self.save()
                saved = self.seconds
        self.save()


def area_under_curve(scores, positive):
    """Chance that a positive scores above a negative; ties count a half."""
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    yes = int(positive.sum())
    return (ranks[positive].sum() - yes * (yes + 1) / 2) / (yes * (len(scores) - yes))


def score(model, images):
    model.eval()
    with torch.no_grad():
        return np.concatenate([torch.sigmoid(model(pixel_values=part.float() / 127.5 - 1).logits)
                               .cpu().numpy() for part in images.split(250)])


def table(names, levels, scores, values):
    lines = ["| attribute | accuracy | of the commonest value | AUC | share |", "| --- | --- | --- | --- | --- |"]
    right_all = []
    for i, name in enumerate(names):
        known = ~np.isnan(values[:, i])
        truth, score_i, top = values[known, i], scores[known, i], levels[i]
        right = np.rint(score_i * top) == truth
        common = max(np.mean(truth == v) for v in range(int(top) + 1))
        right_all.append(right.mean())
        if top == 1:
            rest = f"{area_under_curve(score_i, truth == 1):.4f} | {truth.mean():.3f}"
        else:
            error = np.abs(score_i * top - truth).mean()
            rest = f"{area_under_curve(score_i, truth > 0):.4f} (level > 0), mean error {error:.2f} | 0 … {int(top)}"
        lines.append(f"| {name} | {100 * right.mean():.1f}% | {100 * common:.1f}% | {rest} |")
    return "\n".join(lines), float(np.mean(right_all))


CARD = """# {name}

An attribute classifier of {size}×{size} {subject}: {role}. A `ResNetForImageClassification` in the transformers layout: basic layers, depths {depths}, widths {widths}, embedding {embedding}; {parameters} parameters, stored as {dtype}; {size}×{size} RGB input (`preprocessor_config.json`), multi-label, {count} attributes.

- **Scores:** the logistic function of each logit. A yes-no attribute: its probability. An attribute with levels 0 … L ({ordinal}): the expected level / L, so `round(L * score)` is the level. They were trained with the cross-entropy against the soft target level / L.
- **Data:** {data}
- **Training:** `models/train/classifier.py`, seed {seed}: {step} steps of {batch} images ({epochs:.1f} passes over the data), AdamW at {rate:g} with a cosine decay, weight decay {decay:g}, shifts of up to {far} of {size} pixels and noise of up to 0.08, float32, {time}.
- **Licence of the weights:** {licence}
- **SHA-256 of the weights** (`model.safetensors`): `{sha}`

Accuracy on the {held} held-out images, with the weights as they are stored here; mean over the attributes {mean:.1f}%:

{table}
"""


def write(a, run, names, levels, images, values):
    model = run.model.half() if a.dtype == "f16" else run.model
    a.out.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(a.out)
    (a.out / "preprocessor_config.json").write_text(json.dumps({
        "image_processor_type": "ViTImageProcessor", "do_resize": True,
        "size": {"height": a.size, "width": a.size}, "resample": 2, "do_rescale": True,
        "rescale_factor": 1 / 255, "do_normalize": True, "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5]}, indent=2) + "\n")
    stored = ResNetForImageClassification.from_pretrained(a.out, dtype=torch.float32).to(a.device)
    held = slice(len(images) - a.held, None)
    text, mean = table(names, levels, score(stored, images[held]), values[held])
    weights = (a.out / "model.safetensors").read_bytes()
    kind, trained = KINDS[a.kind], len(images) - a.held
    (a.out / "README.md").write_text(CARD.format(
        name=a.name, role=a.role, size=a.size, subject=kind["subject"],
        depths=", ".join(map(str, a.depths)), widths=", ".join(map(str, a.widths)),
        embedding=a.embedding, parameters=f"{sum(p.numel() for p in model.parameters()):,}".replace(",", " "),
        dtype=a.dtype, count=len(names),
        ordinal=", ".join(f"{n} 0 … {int(top)}" for n, top in zip(names, levels) if top > 1),
        data=kind["data"].format(size=a.size, total=len(images), trained=trained, held=a.held),
        seed=a.seed, step=run.step, batch=a.batch, epochs=run.seen / trained, rate=a.rate,
        decay=a.decay, far=a.size // 32,
        time=f"{run.seconds / 60:.0f} minutes of {a.threads} threads of a shared CPU"
        if a.device == "cpu" else f"{run.seconds:.0f} s on a GPU",
        licence=kind["licence"], sha=hashlib.sha256(weights).hexdigest(), held=a.held,
        mean=100 * mean, table=text))
    print(text, f"\nmean accuracy {100 * mean:.2f}%, {len(weights)} bytes", flush=True)


def main():
    a = arguments()
    torch.set_num_threads(a.threads)
    a.work.mkdir(parents=True, exist_ok=True)
    names, values, levels = datasets.load_labels(a.data)
    images = datasets.load_images(a.data, a.size, a.crop, a.work / f"images{a.size}.npy")
    images = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous().to(a.device)
    if len(images) != len(values):
        raise SystemExit(f"{len(images)} images, but {len(values)} rows of attributes")
    run = Run(a, names)
    trained = len(images) - a.held
    run.train(images[:trained], torch.from_numpy(values / levels)[:trained].to(a.device))
    write(a, run, names, levels, images, values)


if __name__ == "__main__":
    main()
