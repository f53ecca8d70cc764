#!/usr/bin/env python3
"""Write the model card of a diffusion model that ddpm.py trained.

    python card.py MODEL DATA CLASSIFIER SAMPLES --shown FIRST --picture neighbours.png

MODEL is the model's folder, named like its recipe; DATA the data folder (data.py); CLASSIFIER
the folder of the attribute classifier (classifier.py); SAMPLES the model's samples, a folder of
images or a sheet of tiles without gaps (`hspace sample -o FOLDER/`, `ddpm.py --samples`).

It measures, on the samples,
- the Frechet distance of Gaussians fitted to the classifier's pooled features, between the
  samples and the held-back images, and between as many training images and the held-back
  ones: the distance at which a perfect model would stand;
- how near the nearest training image lies, beside how near it lies to the held-back images: a
  model that memorises stands nearer than these. Mirror images count where the recipe mirrors.
--picture draws the images of --shown (default: the first eight samples) with their nearest
training images. It shows training images: whoever commits it should have the right to.

What it writes goes into MODEL/README.md above the line MARK; what stands below that line is by
hand and stays. Needs what requirements.txt names.
"""
import argparse
import csv
import hashlib
import json
import pathlib

import numpy as np
import torch
from PIL import Image
from transformers import ResNetForImageClassification

import classifier
import data as datasets
import ddpm

MARK = "<!-- Below this line by hand; models/train/card.py keeps it. -->"
WEIGHTS = "unet/diffusion_pytorch_model.safetensors"
NEIGHBOURS = 4   # a sample's nearest in the picture, by each measure
AROUND = 50      # so many next nearest tell how crowded a place is
DRAWS = 10       # of training images for the floor
KINDS = {
    "avatars64": dict(
        subject="cartoon portraits", terms="",
        data="""{total} portraits rendered with DiceBear's "avataaars" style (drawings by Pablo Stanley, free for personal and commercial use; DiceBear's code is MIT), 64×64, not mirrored. {trained} were trained on; the last {held} in order of their names were held back. The population is entangled on purpose, as people are: a senior quarter mostly has gray hair, more glasses and more beards; long hair and smiles go together; beards and long hair exclude each other. The images themselves are not part of this repository.""",
        licence=classifier.KINDS["avatars"]["licence"]),
    "faces64": dict(
        subject="photographs of faces",
        terms="""> **For non-commercial research only.** The model was trained on CelebA, whose terms allow nothing else; they go for these weights too, and for what is made with them. The faces belong to nobody, but they are averages of celebrities who were not asked, with all the lopsidedness of that choice. The rest of the project, under the MIT licence, neither contains nor needs this folder.

""",
        data="""{total} aligned CelebA faces, rows 12 to 100 of 109 (89×89), reduced to 64×64 with a Lanczos filter. {trained} were trained on, and their mirror images; the last {held} in order of their names were held back. The images themselves are not part of this repository.""",
        licence="not the project's. " + classifier.KINDS["faces"]["licence"]),
}


def arguments():
    p = argparse.ArgumentParser(description="Write the card of a model that ddpm.py trained.")
    p.add_argument("model", type=pathlib.Path)
    p.add_argument("data", type=pathlib.Path)
    p.add_argument("classifier", type=pathlib.Path)
    p.add_argument("samples", type=pathlib.Path)
    p.add_argument("--shown", type=pathlib.Path, help="samples in the table of neighbours, seeds 0, 1 ...; "
                   "default: the first eight of SAMPLES")
    p.add_argument("--picture", type=pathlib.Path, help="draw these beside their nearest training images")
    p.add_argument("--cache", type=pathlib.Path, help=".npy file of the reduced images")
    a = p.parse_args()
    a.name = a.model.resolve().name
    if a.name not in KINDS:
        p.error(f"{a.model}: expected a folder named {' or '.join(KINDS)}")
    a.recipe = ddpm.RECIPES[a.name]
    return a


@torch.no_grad()
def features(model, images):
    """float64 [n,features]: what the classifier's last layer sees, the pooled activations."""
    x = torch.from_numpy(images).permute(0, 3, 1, 2)
    parts = [model.resnet(part.float() / 127.5 - 1).pooler_output.flatten(1) for part in x.split(250)]
    return torch.cat(parts).double().numpy()


def frechet(a, b):
    """Squared Frechet distance of the Gaussians fitted to a and b: the squared distance of the
    means and tr(A + B - 2 (A^1/2 B A^1/2)^1/2) of the covariances."""
    first, second = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    values, vectors = np.linalg.eigh(first)
    root = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ second @ root).clip(min=0)).sum()
    return ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(first) + np.trace(second) - 2 * cross


def nearest(points, pool, count):
    """Distances (root mean square over the entries) and indices of the `count` nearest rows of
    pool, [n,count] each, for every row of points; float32."""
    distances, indices = [], []
    norms = (pool ** 2).sum(1)
    for part in points.split(256):
        d = (part ** 2).sum(1, keepdim=True) + norms - 2 * part @ pool.T
        d, i = d.topk(count, 1, largest=False)
        distances.append((d.clamp(min=0) / pool.shape[1]).sqrt())
        indices.append(i)
    return torch.cat(distances).numpy(), torch.cat(indices).numpy()


def nearest_images(images, pool, mirrored, count):
    """Nearest by pixels (0 ... 255). An index of len(pool) or more is a mirror image's."""
    centre = pool.astype(np.float32).mean(0)  # keeps the squares small

    def flat(x):
        return torch.from_numpy((x - centre).reshape(len(x), -1))

    distances, indices = nearest(flat(images), flat(pool), count)
    if not mirrored:
        return distances, indices
    again, others = nearest(flat(images[:, :, ::-1]), flat(pool), count)
    both = np.concatenate([distances, again], 1)
    order = both.argsort(1)[:, :count]
    return (np.take_along_axis(both, order, 1),
            np.take_along_axis(np.concatenate([indices, others + len(pool)], 1), order, 1))


def loneliness(distances):
    """The nearest distance over the mean of the next: near 0 for a copy, wherever it lies."""
    return distances[:, 0] / distances[:, 1:].mean(1)


def memorising(samples, held, unit):
    """A sentence on the nearest distances [n,count] of samples and of held-back images."""
    limit = np.quantile(loneliness(held), 0.01)
    return (f"the median distance is {np.median(samples[:, 0]):.3g}{unit} for the samples and "
            f"{np.median(held[:, 0]):.3g}{unit} for the held-back images, a ratio of "
            f"**{np.median(samples[:, 0]) / np.median(held[:, 0]):.2f}**; the least "
            f"{samples[:, 0].min():.3g} and {held[:, 0].min():.3g}; "
            f"{100 * (loneliness(samples) < limit).mean():.1f}% of the samples and 1% of the held-back images "
            f"have a nearest neighbour less than {limit:.2f} times as far as the next {AROUND}")


def draw(path, images, pool, by_pixels, by_features):
    """A row a sample: itself, its nearest by pixels, its nearest by features."""
    size, gap, far = images.shape[1], 4, 16
    width = (1 + 2 * NEIGHBOURS) * (size + gap) + 2 * far
    out = np.full((len(images) * (size + gap), width, 3), 255, np.uint8)

    def one(index):
        return pool[index] if index < len(pool) else pool[index - len(pool)][:, ::-1]

    for row, image in enumerate(images):
        tiles = [image] + [one(i) for i in (*by_pixels[row, :NEIGHBOURS], *by_features[row, :NEIGHBOURS])]
        for column, tile in enumerate(tiles):
            x = column * (size + gap) + far * ((column > 0) + (column > NEIGHBOURS))
            out[row * (size + gap):row * (size + gap) + size, x:x + size] = tile
    Image.fromarray(out).resize((2 * width, 2 * out.shape[0]), Image.NEAREST).save(path)


CARD = """# {name}

{terms}An unconditional DDPM of 64×64 {subject} in the diffusers layout: `UNet2DModel` with {widths} channels, {layers} residual block{plural} a layer, single-head attention at {attention} and in the mid block; {parameters} parameters, stored as f16. Images are 3×64×64; its h-space is {h}.

- **Data:** {data}
- **Recipe:** `models/train/ddpm.py {name}`, seed 0: batches of {batch} images{augment}; AdamW at {rate:g}, level and then a cosine down to nothing; {dropout}the loss on epsilon with min-SNR-5 weights (floor 0.05), the noisiest steps up to four times as much; gradients clipped at 1; an average of the weights ({average}); bf16 but for the last convolution; linear betas 1e-4 … 0.02, N = 1000. How this one was trained stands below. Its log, the weighted loss of the averaged weights on 512 images each: {log}.
- **Licence of the weights:** {licence}
- **SHA-256 of the weights** (`{weights}`): `{sha}`

## Measured

On {count} samples of 50 steps at eta 1, not selected.

- **Fréchet distance: {distance:.3f}**, and {floor:.3f} ({low:.3f} … {high:.3f} in {draws} draws) for a perfect model. It is the squared Fréchet distance of Gaussians fitted to the {dimensions} pooled features of [{classifier}]({classifier_path}), the classifier of this model's attributes, between {count} samples and the {held} held-back images; the floor is that of {count} training images to the same held-back images, so that both have the bias of the same number (it is a little high: the classifier knows the training images). It is computed like an FID from another network, and **does not compare with Inception FIDs**, nor with that of another classifier.
- **Memorising:** the nearest of the {trained} training images{mirrors} was found for every sample and, to compare, for every held-back image, which the model cannot have memorised. By pixels (root mean square difference, of 255), {pixels}. By the classifier's features, {by_features}.
- **Nearest training images** of the {shown} (`card.py --picture` draws them, from the data):

| {unit} | by pixels | difference of 255 | by features |
| --- | --- | --- | --- |
{rows}

{mark}
"""


def listing(values):
    values = [str(v) for v in values]
    return ", ".join(values[:-1]) + " and " + values[-1] if len(values) > 1 else values[0]


def grouped(number):
    return f"{number:,}".replace(",", " ")


def describe(a, config):
    """The fields of the card that follow from the recipe and the model's folder."""
    kind, r = KINDS[a.name], a.recipe
    levels = [ddpm.SIZE >> i for i in range(len(config["block_out_channels"]))]
    attention = [f"{s}×{s}" for s, block in zip(levels, config["down_block_types"]) if "Attn" in block]
    weights = (a.model / WEIGHTS).read_bytes()
    header = json.loads(weights[8:8 + int.from_bytes(weights[:8], "little")])
    parameters = sum(int(np.prod(t["shape"])) for key, t in header.items() if key != "__metadata__")
    with open(a.model / "training.csv", newline="") as file:
        log = [f"{float(row['loss_trained']):.5f} on trained and {float(row['loss_held']):.5f} on held-back "
               f"images after {grouped(int(row['step']))} steps" for row in csv.DictReader(file)]
    augment = ", half of them mirrored" * r["flip"]
    augment += f", half changed in brightness and contrast by up to {r['jitter']:g}" if r["jitter"] else ""
    return dict(
        name=a.name, terms=kind["terms"], subject=kind["subject"], licence=kind["licence"],
        widths=listing(config["block_out_channels"]), layers=config["layers_per_block"],
        plural="s" * (config["layers_per_block"] > 1), attention=listing(attention),
        parameters=grouped(parameters), h=f"{config['block_out_channels'][-1]}×{levels[-1]}×{levels[-1]}",
        batch=r["batch"], augment=augment, rate=r["rate"], average=r["average"],
        dropout=f"dropout {r['dropout']:g}; " if r["dropout"] else "", log="; ".join(log),
        weights=WEIGHTS, sha=hashlib.sha256(weights).hexdigest())


def measure(a, samples, shown, images, names):
    """The fields of the card that are measured, and the picture."""
    trained = len(images) - a.recipe["held"]
    pool, held, flip = images[:trained], images[trained:], a.recipe["flip"]
    network = ResNetForImageClassification.from_pretrained(a.classifier, dtype=torch.float32).eval()
    of_pool, of_held, of_samples, of_shown = (features(network, x) for x in (pool, held, samples, shown))
    chance = np.random.default_rng(0)
    floors = [frechet(of_pool[chance.permutation(trained)[:len(samples)]], of_held) for _ in range(DRAWS)]

    near = {}
    if flip:
        of_mirrored = np.concatenate([of_pool, features(network, np.ascontiguousarray(pool[:, :, ::-1]))])
    for what, x, f in (("samples", samples, of_samples), ("held", held, of_held), ("shown", shown, of_shown)):
        by_features = nearest(*(torch.from_numpy(v).float()
                                for v in (f, of_mirrored if flip else of_pool)), AROUND + 1)
        near[what] = nearest_images(x, pool, flip, AROUND + 1), by_features

    def called(index):
        return names[index % trained] + " mirrored" * bool(index >= trained)

    (distance, by_pixels), (_, by_features) = near["shown"]
    if a.picture:
        draw(a.picture, shown, pool, by_pixels, by_features)
    rows = [f"| {i} | {called(by_pixels[i, 0])} | {distance[i, 0]:.1f} | {called(by_features[i, 0])} |"
            for i in range(len(shown))]
    return dict(
        data=KINDS[a.name]["data"].format(total=grouped(len(images)), trained=grouped(trained),
                                          held=grouped(len(held))),
        count=len(samples), distance=frechet(of_samples, of_held), floor=np.mean(floors), low=min(floors),
        high=max(floors), draws=DRAWS, dimensions=of_held.shape[1], held=len(held), trained=grouped(trained),
        mirrors=", mirror images included," if flip else "",
        pixels=memorising(near["samples"][0][0], near["held"][0][0], ""),
        by_features=memorising(near["samples"][1][0], near["held"][1][0], ""),
        shown="samples of seeds 0 … %d, 50 steps, eta 1" % (len(shown) - 1) if a.shown
        else f"first {len(shown)} samples", unit="seed" if a.shown else "sample", rows="\n".join(rows))


def main():
    a = arguments()
    config = json.loads((a.model / "unet/config.json").read_text())
    images = datasets.load_images(a.data, ddpm.SIZE, a.recipe["crop"], a.cache)
    samples = datasets.load_samples(a.samples, ddpm.SIZE)
    shown = datasets.load_samples(a.shown, ddpm.SIZE) if a.shown else samples[:8]
    measured = measure(a, samples, shown, images, datasets.load_names(a.data))
    measured["classifier"] = a.classifier.resolve().name
    measured["classifier_path"] = f"../{measured['classifier']}/README.md"
    path = a.model / "README.md"
    before = path.read_text() if path.exists() else ""
    by_hand = before.split(MARK, 1)[1] if MARK in before else "\n"
    path.write_text(CARD.format(**describe(a, config), **measured, mark=MARK).rstrip("\n") + by_hand)
    print(f"{path}: Frechet distance {measured['distance']:.3f}, floor {measured['floor']:.3f}")


if __name__ == "__main__":
    main()
