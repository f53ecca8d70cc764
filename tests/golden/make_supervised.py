"""Golden values of tests/directions/test_disentangle.c and test_supervised.c,
from numpy in double.

    python tests/golden/make_supervised.py

writes tests/golden/directions/supervised.safetensors.
"""
import pathlib

import numpy as np
from safetensors.numpy import save_file

OUT = pathlib.Path(__file__).parent / "directions" / "supervised.safetensors"
T, D = 4, 30
rng = np.random.default_rng(11)


def project(v, V):
    """v - V (V^T V)^-1 V^T v for rows V [m, d]."""
    return v - V.T @ np.linalg.lstsq(V.T, v, rcond=None)[0]


v = rng.standard_normal((T, D)).astype(np.float32)
V = (rng.standard_normal((3, T, D)) + 0.5 * v).astype(np.float32)
v64, V64 = v.astype(np.float64), V.astype(np.float64)
clean = project(v64.ravel(), V64.reshape(3, -1)).reshape(T, D)
per_step = np.stack([project(v64[s], V64[:, s]) for s in range(T)])

# Joint regression: scores y [n, a] that hang together, h [n, d] linear in them.
n, a, d = 60, 3, 24
y = rng.random((n, a))
y[:, 1] = 0.7 * y[:, 0] + 0.3 * y[:, 1]
effects = rng.standard_normal((a, d))
h = (y @ effects + 0.2 * rng.standard_normal((n, d))).astype(np.float32)
centred = y - y.mean(0)
h_centred = h - h.astype(np.float64).mean(0)
joint = np.linalg.solve(centred.T @ centred + 1e-3 * n * np.eye(a), centred.T @ h_centred)

save_file(
    {
        "v": v, "V": V,
        "clean": clean.astype(np.float32), "clean_per_step": per_step.astype(np.float32),
        "regression.y": y, "regression.h": h, "regression.joint": joint,
    },
    OUT,
)
