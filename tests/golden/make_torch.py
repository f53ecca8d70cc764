"""Write the checkpoints of tests/golden/torch, which tests/io/test_torch.c
reads. Values follow rules that the test repeats: element k of a floating
tensor is k / 2 - 3, of an integer one k, of a bool one k % 2.

    python make_torch.py        (PyTorch 2.x; writes beside itself)
"""

import json
import os
from collections import OrderedDict

import torch

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "torch")

DTYPES = {
    "f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16, "f64": torch.float64,
    "i64": torch.int64, "i32": torch.int32, "i16": torch.int16, "i8": torch.int8,
    "u8": torch.uint8, "bool": torch.bool,
}


def ramp(shape, dtype=torch.float32):
    count = 1
    for size in shape:
        count *= size
    k = torch.arange(count)
    if dtype == torch.bool:
        k = k % 2
    elif dtype.is_floating_point:
        k = k / 2 - 3
    return k.to(dtype).reshape(shape)


def save(name, value, **options):
    torch.save(value, os.path.join(FOLDER, name), **options)


def strided():
    whole = ramp((4, 6))
    return OrderedDict(
        whole=whole, row=whole[2], transposed=whole.t(), every_other=whole[:, ::2],
        channels_last=ramp((2, 3, 2, 2)).to(memory_format=torch.channels_last),
        expanded=ramp((1,)).expand(5), empty=torch.zeros(0, 3), scalar=torch.tensor(7.0))


def main():
    os.makedirs(FOLDER, exist_ok=True)
    old = {"_use_new_zipfile_serialization": False}
    dtypes = {name: ramp((2, 3), dtype) for name, dtype in DTYPES.items()}
    save("dtypes.bin", dtypes)
    save("dtypes_legacy.bin", dtypes, **old)
    save("dtypes_protocol4.bin", dtypes, pickle_protocol=4)
    save("dtypes_protocol5.bin", dtypes, pickle_protocol=5)
    save("strided.bin", strided())
    save("strided_legacy.bin", strided(), **old)

    module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.GroupNorm(1, 2))
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(ramp(parameter.shape))
    training = {
        "epoch": 3, "big": 2**70, "negative": -5, "large": 2**40, "lr": 0.1, "flag": True,
        "nothing": None, "steps": [1, 2, 3], "pair": (1, "two"), "rng_state": torch.zeros(4).byte(),
        "optimizer": {"state": {0: {"exp_avg": ramp((2,))}}, "param_groups": [{"params": [0, 1]}]},
        "state_dict": module.state_dict(),
    }
    save("nested.bin", training)
    save("nested_legacy.bin", training, **old)
    mixed = dict(module.named_parameters())  # torch.nn.Parameter, not plain tensors
    mixed["version"] = 2
    mixed["note"] = "text"
    save("parameters.bin", mixed)

    shards = {"a": "part-1.bin", "b": "part-2.bin"}
    for name, file in shards.items():
        save(file, {name: ramp((2, 2))})
    with open(os.path.join(FOLDER, "part.bin.index.json"), "w") as index:
        json.dump({"metadata": {"total_size": 32}, "weight_map": shards}, index, indent=1)
        index.write("\n")


if __name__ == "__main__":
    main()
