"""How local one push at one step can be: the bound of docs/local-edits.md.

local-bound.py FILE X,Y,W,H ...: FILE is a direction file that
`hspace jacobian -k 64 --step I` made without a mask. With J v_i = sigma_i u_i, a
v = sum a_i v_i moves eps by sum a_i sigma_i u_i = U c, so within the span of the
first p vectors the largest share of |J v|^2 inside a mask M is the largest
eigenvalue of U^T M U, and it costs gain: |J v| / |v| = |c| / |c / sigma|. Prints both,
the gain as a part of sigma_1. Needs NumPy.
"""
import json
import struct
import sys

import numpy as np


def read(path):
    with open(path, "rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
        body = file.read()
    out = {}
    for name in ("u", "sigma"):
        begin, end = header[name]["data_offsets"]
        out[name] = np.frombuffer(body[begin:end], "<f4").reshape(header[name]["shape"])
    return out["u"].astype(float), out["sigma"].ravel().astype(float)


def main():
    u, sigma = read(sys.argv[1])
    print("| region | area | p | largest share | gain |\n| --- | --- | --- | --- | --- |")
    for text in sys.argv[2:]:
        x, y, width, height = map(int, text.split(","))
        inside = u[:, :, y : y + height, x : x + width].reshape(len(u), -1)
        area = width * height / (u.shape[2] * u.shape[3])
        for p in [2**i for i in range(12) if 2**i <= len(u)]:
            values, vectors = np.linalg.eigh(inside[:p] @ inside[:p].T)
            gain = 1 / np.linalg.norm(vectors[:, -1] / sigma[:p]) / sigma[0]
            print(f"| {text} | {area:.3f} | {p} | {values[-1]:.3f} | {gain:.3f} |")


main()
