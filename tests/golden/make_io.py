"""Direction and latent files as Python users write them, with numpy and
safetensors alone: tests/golden/io/*.safetensors. Run in tests/golden.
With a FILE that hspace wrote, show what Python reads from it instead."""

import json
import sys

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file


def show(path):
    with safe_open(path, framework="numpy") as f:
        for key in sorted(f.keys()):
            tensor = f.get_tensor(key)
            print(key, tensor.dtype, tensor.shape, "finite" if np.isfinite(tensor).all() else "NOT finite")
        print(json.dumps(f.metadata(), indent=1))


def make():
    v = np.arange(16, dtype=np.float32).reshape(2, 1, 2, 2, 2) / 8
    save_file({"delta_h": v}, "io/by_hand.safetensors")
    save_file(
        {"delta_h": v.astype(np.float64), "timesteps": np.array([500], np.int64)},
        "io/by_hand_named.safetensors",
        metadata={"format": "hspace.directions", "version": "1", "names": json.dumps(["tilt", "größer"]),
                  "unit": "half a turn", "note": "kept"},
    )
    save_file(
        {"x_T": v[:, 0], "timesteps": np.array([500, 0], np.int64)},
        "io/latents.safetensors",
    )


show(sys.argv[1]) if len(sys.argv) > 1 else make()
