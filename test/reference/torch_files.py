"""Writes test/fixtures/torch: checkpoints of current and older PyTorch versions, for test/checkpoint/torch, with
every form, dtype and kind of view, and objects that Lightning leaves in them.

    venv/bin/python test/reference/torch_files.py

Requires requirements.txt. expected.json has every tensor's dtype, shape and values as torch reads them.
"""

import argparse
import collections
import io
import json
import sys
import types
import zipfile
from pathlib import Path

import numpy as np
import omegaconf
import torch

OUT = Path(__file__).resolve().parent.parent / "fixtures" / "torch"
DTYPES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
    torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2", torch.int64: "I64", torch.int32: "I32", torch.int16: "I16",
    torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL", torch.uint16: "U16", torch.complex64: "C64", torch.complex128: "C128",
}  # fmt: skip


def inert_class(module, name):
    """A stand-in for a Lightning class, which need not be installed to be pickled by its name."""
    parts = module.split(".")
    for i in range(len(parts)):
        sys.modules.setdefault(".".join(parts[: i + 1]), types.ModuleType(".".join(parts[: i + 1])))
    made = type(name, (), {"__module__": module, "__qualname__": name})
    setattr(sys.modules[module], name, made)
    return made


def views():
    """Every dtype, and tensors that do not cover their storage contiguously."""
    base = torch.arange(24.0).reshape(4, 6)
    shared = torch.arange(10.0)
    state = collections.OrderedDict()
    for dtype, name in DTYPES.items():
        values = torch.tensor([0.0, 1.0, 1.0, 0.0] if dtype is torch.bool else [0.0, 1.0, 2.0, 3.0])
        state[f"dtype.{name}"] = values.to(dtype)
    state["view.transposed"] = base.T
    state["view.rows"] = base[1:3]
    state["view.every_other"] = base[::2, 1::3]
    state["view.permuted"] = torch.arange(24.0).reshape(2, 3, 4).permute(2, 0, 1)
    state["view.expanded"] = torch.tensor([1.0, 2.0]).expand(3, 2)
    state["view.column"] = base[:, 2:3]
    state["view.channels_last"] = torch.arange(16.0).reshape(1, 2, 2, 4).to(memory_format=torch.channels_last)
    state["shared.first"] = shared[:4]
    state["shared.last"] = shared[6:]
    state["scalar"] = torch.tensor(7.5)
    state["scalar.int"] = torch.tensor(1000, dtype=torch.int64)
    state["empty"] = torch.zeros(0, 3)
    state["parameter"] = torch.nn.Parameter(torch.tensor([1.0, -1.0]))
    attributed = torch.tensor([5.0])
    attributed.note = "a tensor with an attribute"
    state["attributed"] = attributed
    return state


def small(prefix=""):
    return {f"{prefix}a.weight": torch.tensor([[1.0, 2.0], [3.0, 4.0]]), f"{prefix}a.bias": torch.tensor([0.5, -0.5])}


def lightning():
    """Contents of real checkpoints: Stable Diffusion 1.4's, VQGAN's, and those of runs with OmegaConf's
    hyperparameters."""
    checkpoint = inert_class("pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint")
    stopping = inert_class("pytorch_lightning.callbacks.early_stopping", "EarlyStopping")
    attributes = inert_class("pytorch_lightning.utilities.parsing", "AttributeDict")
    hyper = attributes()
    hyper.learning_rate = 1e-4
    parameters = list(small().values())
    return {
        "epoch": 3,
        "global_step": 10**12,
        "pytorch-lightning_version": "1.4.2",
        "callbacks": {
            checkpoint: {"monitor": "val/rec_loss", "best_model_score": np.float64(0.25), "best": torch.tensor(1.5)},
            stopping: stopping(),
            "counts": {1, 2},
            "history": np.arange(4),
        },
        "optimizer_states": [{"state": {0: {"step": 1, "exp_avg": torch.zeros(2, 2)}}, "param_groups": [{"betas": (0.5, 0.9), "params": [0]}]}],
        "lr_schedulers": [collections.defaultdict(list, {"a": [1]})],
        "hyper_parameters": hyper,
        "config": omegaconf.OmegaConf.create({"model": {"params": {"ch": 128, "mult": [1, 2]}}}),
        "namespace": argparse.Namespace(lr=1.0),
        "size": parameters[0].size(),
        "dtype": torch.float16,
        "device": torch.device("cpu"),
        "big": 2**70,
        "state_dict": collections.OrderedDict(small("model.") | {"model_ema.decay": torch.tensor(0.999), "model_ema.num_updates": torch.tensor(4, dtype=torch.int32)}
        | {"model_ema.aweight": torch.tensor([[10.0, 20.0], [30.0, 40.0]]), "model_ema.abias": torch.tensor([5.0, -5.0]), "scale_factor": torch.tensor(0.5)}),
    }  # fmt: skip


def expected(state):
    rows = {}
    for name, tensor in state.items():
        tensor = tensor.detach()
        wide = torch.view_as_real(tensor) if tensor.is_complex() else tensor
        rows[name] = {"dtype": DTYPES[tensor.dtype], "shape": list(tensor.shape), "values": wide.to(torch.float64).flatten().tolist()}
    return rows


def repack(data, compression, drop=()):
    """The archive as Python writes it: sizes in the local headers, no padding; as older PyTorch, without some records."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(out, "w") as target:
        for name in source.namelist():
            if not any(name.endswith(suffix) for suffix in drop):
                pickle = name.endswith("data.pkl")
                info = zipfile.ZipInfo(name)
                target.writestr(info, source.read(name), compress_type=compression if pickle else zipfile.ZIP_STORED)
    return out.getvalue()


def saved(value, **options):
    out = io.BytesIO()
    torch.save(value, out, **options)
    return out.getvalue()


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    files, rows = {}, {}

    def add(name, data, state):
        files[name] = data
        rows[name] = expected(state)

    old = {"_use_new_zipfile_serialization": False}
    state = views()
    add("views.pt", saved(state), state)
    add("views-legacy.pt", saved(state, **old), state)
    for protocol in (3, 4, 5):
        add(f"protocol-{protocol}.pth", saved(small(), pickle_protocol=protocol), small())
        add(f"protocol-{protocol}-legacy.pth", saved(small(), pickle_protocol=protocol, **old), small())
    run = lightning()
    add("lightning.ckpt", saved(run), run["state_dict"])
    add("lightning-legacy.ckpt", saved(run, **old), run["state_dict"])
    extras = ("byteorder", ".format_version", ".storage_alignment", "serialization_id")
    add("older.bin", repack(saved(small()), zipfile.ZIP_STORED, extras), small())
    add("deflated-pickle.bin", repack(saved(small()), zipfile.ZIP_DEFLATED), small())
    add("parallel.pt", saved({"model": small("module."), "optimizer": {"step": torch.tensor(1.0)}, "epoch": 1}), small())
    add("nested.pt", saved({"encoder": small(), "decoder": {"out": [torch.tensor([1.0])]}}),
        {**{f"encoder.{name}": t for name, t in small().items()}, "decoder.out.0": torch.tensor([1.0])})  # fmt: skip
    add("averages.pt", saved({"state_dict": small(), "state_dict_ema": {n: t * 10 for n, t in small().items()}}), small())
    add("tensor.pt", saved(torch.tensor([1.0, 2.0])), {"tensor": torch.tensor([1.0, 2.0])})
    files["module.pt"] = saved(torch.nn.Linear(2, 2))
    files["module-legacy.pt"] = saved(torch.nn.Linear(2, 2), **old)
    files["sparse.pt"] = saved({"a": torch.eye(3).to_sparse()})
    files["quantized.pt"] = saved({"a": torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)})
    script = io.BytesIO()
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), script)
    files["script.pt"] = script.getvalue()
    for name, data in files.items():
        (OUT / name).write_bytes(data)
    (OUT / "expected.json").write_text(json.dumps(rows, indent=None, separators=(",", ":")) + "\n")


main()
