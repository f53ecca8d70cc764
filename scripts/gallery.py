#!/usr/bin/env python3
"""One picture of what the first directions of a file do: the traversals of docs/gallery.md.

    gallery.py MODEL DIRECTIONS OUT.jpg --seeds 1005,1006 --steps 25 --range 3

A row a direction, below them random directions of the same norm; across, five strengths from
-RANGE to RANGE on each seed. It prints and runs `hspace edit` once a row, into folders under
--work that are not made again, and joins their files. Needs Pillow and build/hspace.
"""
import argparse
import pathlib
import shlex
import subprocess

from PIL import Image, ImageDraw, ImageFont

COLUMNS = 5
SCALE = 1.5
GAP = 3


def arguments():
    p = argparse.ArgumentParser(description="Draw what the first directions of a file do.")
    p.add_argument("model")
    p.add_argument("directions")
    p.add_argument("out", type=pathlib.Path)
    p.add_argument("--count", type=int, default=10)
    p.add_argument("--random", type=int, default=2)
    p.add_argument("--seeds", default="0,1")
    p.add_argument("--steps", default="50")
    p.add_argument("--range", default="3")
    p.add_argument("--threads", default=None)
    p.add_argument("--hspace", default="build/hspace")
    p.add_argument("--work", type=pathlib.Path, default=pathlib.Path("gallery"))
    return p.parse_args()


def strip(a, row):
    """The images of a row, seed by seed; rows from --count on are random."""
    folder = a.work / f"{pathlib.Path(a.directions).stem}-{row}"
    if not folder.is_dir():
        random = row - a.count if row >= a.count else None
        command = [a.hspace, "edit", "-m", a.model, "--seed", a.seeds, "--steps", a.steps, "--eta", "1",
                   "-d", f"{a.directions}#{row if random is None else random}=-{a.range}..{a.range}:{COLUMNS}"]
        command += [] if random is None else ["--random", str(random)]
        command += ["--threads", a.threads] if a.threads else []
        command += ["-o", f"{folder}/"]
        print(shlex.join(command), flush=True)
        subprocess.run(command + ["--quiet"], check=True)
    return [Image.open(f).convert("RGB") for f in sorted(folder.iterdir())]


def main():
    a = arguments()
    a.work.mkdir(exist_ok=True)
    rows = [strip(a, row) for row in range(a.count + a.random)]
    size = round(rows[0][0].width * SCALE)
    seeds = len(rows[0]) // COLUMNS
    left, apart = 28, 4 * GAP
    width = left + len(rows[0]) * (size + GAP) + (seeds - 1) * apart
    height = len(rows) * (size + GAP) + apart
    out = Image.new("RGB", (width, height), "white")
    pen, font = ImageDraw.Draw(out), ImageFont.load_default(18)
    for r, images in enumerate(rows):
        y = r * (size + GAP) + (apart if r >= a.count else 0)
        pen.text((left // 2, y + size // 2), str(r) if r < a.count else "r", "black", font, anchor="mm")
        for i, image in enumerate(images):
            x = left + i * (size + GAP) + i // COLUMNS * apart
            out.paste(image.resize((size, size), Image.LANCZOS), (x, y))
    out.save(a.out, quality=88, optimize=True)


if __name__ == "__main__":
    main()
