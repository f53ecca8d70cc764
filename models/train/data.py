"""Images and labels of a data folder, for the training scripts.

A data folder has images.tar (one image a file, any format that Pillow reads)
and attributes.csv (the column `file`, then one column an attribute).
"""
import csv
import io
import pathlib
import re
import tarfile

import numpy as np
from PIL import Image

SUFFIXES = {".webp", ".png", ".jpg", ".jpeg"}


def four(text):
    """The argument type of --crop: x,y,width,height."""
    values = tuple(int(v) for v in text.split(","))
    if len(values) != 4:
        raise ValueError("four numbers, x,y,width,height")
    return values


def load_images(data, size, crop=None, cache=None):
    """uint8 [n,size,size,3], in order of the files' names.

    Every image is cut to `crop` (x, y, width, height; the whole image when None) and
    resized with a Lanczos filter. `cache` is a .npy file, made when it is not there.
    """
    if cache and cache.exists():
        return np.load(cache)
    named = {}
    with tarfile.open(data / "images.tar") as tar:
        for member in tar:
            name = pathlib.PurePath(member.name)
            if name.suffix.lower() in SUFFIXES:
                image = Image.open(io.BytesIO(tar.extractfile(member).read())).convert("RGB")
                if crop:
                    x, y, width, height = crop
                    image = image.crop((x, y, x + width, y + height))
                named[name.name] = np.asarray(image.resize((size, size), Image.LANCZOS))
    if not named:
        raise SystemExit(f"{data}/images.tar: no image in it")
    out = np.stack([named[name] for name in sorted(named)])
    if cache:
        np.save(cache, out)
    return out


def load_labels(data):
    """Names of the attributes, values [n,attributes] (NaN where there is none), and
    the largest value of each, in order of the files' names."""
    with open(data / "attributes.csv", newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: row["file"])
    names = [name for name in rows[0] if name != "file"]
    values = np.array([[float(row[name]) if row[name] else np.nan for name in names]
                       for row in rows], dtype=np.float32)
    return names, values, np.nanmax(values, axis=0)


def load_names(data):
    """The images' file names, in the same order."""
    with open(data / "attributes.csv", newline="") as file:
        return sorted(row["file"] for row in csv.DictReader(file))


def load_samples(path, size):
    """uint8 [n,size,size,3] from a folder of images, in order of their names' numbers, or from
    one picture of tiles without gaps, row by row."""
    if path.is_dir():
        files = [f for f in path.iterdir() if f.suffix.lower() in SUFFIXES]
        files.sort(key=lambda f: [int(n) for n in re.findall(r"\d+", f.stem)])
        images = [np.asarray(Image.open(f).convert("RGB")) for f in files]
        if not images or any(image.shape != (size, size, 3) for image in images):
            raise SystemExit(f"{path}: expected images of {size} x {size}")
        return np.stack(images)
    sheet = np.asarray(Image.open(path).convert("RGB"))
    height, width = sheet.shape[:2]
    if height % size or width % size:
        raise SystemExit(f"{path}: {width} x {height} is not made of tiles of {size} x {size}")
    tiles = sheet.reshape(height // size, size, width // size, size, 3).swapaxes(1, 2)
    return tiles.reshape(-1, size, size, 3)
