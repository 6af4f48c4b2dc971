#!/usr/bin/env python3
"""Make the small checkpoints of demucs/tests/fixtures with the real torch, numpy and safetensors.

    python scripts/make_torch_fixture.py demucs/tests/fixtures

The class is a stand-in under the official name: torch stores only the name. Needs torch >= 2, numpy, safetensors.
"""

import json
import os
import sys
import types
from collections import OrderedDict
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file


def official_class():
    """A class that pickles as `demucs.htdemucs.HTDemucs`."""
    package, module = types.ModuleType("demucs"), types.ModuleType("demucs.htdemucs")
    sys.modules["demucs"], sys.modules["demucs.htdemucs"] = package, module
    module.HTDemucs = type("HTDemucs", (), {"__module__": "demucs.htdemucs"})
    return module.HTDemucs


def values(*shape):
    """Values that half precision holds exactly, the same on every run."""
    count = int(np.prod(shape))
    return torch.tensor([(i * 37 % 64 - 32) / 32 for i in range(count)]).reshape(shape)


class Attack:
    """What a malicious checkpoint does: runs a command when it is unpickled."""

    def __reduce__(self):
        return os.system, ("echo this must never run",)


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    klass = official_class()
    kwargs = {
        "sources": ["drums", "vocals"],
        "channels": 4,
        "channels_time": None,
        "freq_emb": 0.2,
        "cac": True,
        "multi_freqs": [],
        "segment": Fraction(39, 5),
        "t_cape_glob_loc_scale": [5000.0, 1.0, 1.4],
    }
    state = {
        "encoder.0.conv.weight": values(4, 2, 3).half(),
        "encoder.0.conv.bias": values(4).half(),
        "freq_emb.embedding.weight": values(5, 4).half(),
    }
    # Like the official files: records of the training beside the network, with numpy numbers among them.
    package = {
        "klass": klass,
        "args": (),
        "kwargs": kwargs,
        "state": state,
        "training_args": {"lr": 3e-4, "seed": 42, "dset": {"musdb": "/somewhere", "shifts": (1, 2)}},
        "metrics": {"best": np.float64(0.25), "epochs": [np.float32(1.5), np.int64(7)]},
    }
    torch.save(package, folder / "tiny.th")

    as_json = dict(kwargs, segment={"_type": "fraction", "numerator": 39, "denominator": 5})
    metadata = {"klass": "demucs.htdemucs.HTDemucs", "args": "[]", "kwargs": json.dumps(as_json)}
    save_file(state, folder / "tiny.safetensors", metadata=metadata)

    # The same network again: views with strides, a shared storage, wider kinds, an ordered dictionary.
    shared = torch.cat([torch.zeros(3), values(4)])
    views = OrderedDict(
        [
            ("encoder.0.conv.weight", values(4, 2, 3).double().permute(2, 0, 1).contiguous().permute(1, 2, 0)),
            ("encoder.0.conv.bias", shared[3:]),
            ("freq_emb.embedding.weight", values(5, 4).bfloat16().t().contiguous().t()),
        ]
    )
    torch.save(dict(package, args=(kwargs["sources"],), state=views), folder / "views.th")

    torch.save(package, folder / "before_1_6.th", _use_new_zipfile_serialization=False)
    torch.save(dict(package, training_args=Attack()), folder / "attack.th")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
