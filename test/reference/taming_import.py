"""Makes taming-transformers' modules importable with current transformers and without PyTorch Lightning.

    venv/bin/pip install --no-deps taming-transformers-rom1504==0.0.6
"""

import importlib
import importlib.machinery
import sys
import types

import torch
import transformers


def top_k_top_p_filtering(logits, top_k=0, top_p=1.0, filter_value=-float("inf")):
    """The function that transformers 3 and 4 exported under this name (removed in 5), by its documentation: keeps the
    top k logits, then the smallest set of the most probable ones whose sum exceeds p."""
    if top_k > 0:
        kth = torch.topk(logits, min(top_k, logits.shape[-1]))[0][..., -1:]
        logits = logits.masked_fill(logits < kth, filter_value)
    if top_p < 1.0:
        ordered, order = torch.sort(logits, descending=True)
        before = torch.cumsum(ordered.softmax(-1), -1).roll(1, -1)
        before[..., 0] = 0
        drop = torch.zeros_like(before, dtype=torch.bool).scatter(-1, order, before > top_p)
        logits = logits.masked_fill(drop, filter_value)
    return logits


def stub(name, **members):
    module = types.ModuleType(name)
    module.__spec__ = importlib.machinery.ModuleSpec(name, None)
    for key, value in members.items():
        setattr(module, key, value)
    sys.modules.setdefault(name, module)


if not hasattr(transformers, "top_k_top_p_filtering"):
    transformers.top_k_top_p_filtering = top_k_top_p_filtering
try:
    import pytorch_lightning  # noqa: F401
except ImportError:
    stub("pytorch_lightning", LightningModule=torch.nn.Module, Trainer=object, Callback=object, LightningDataModule=object,
         seed_everything=None)  # fmt: skip


def instantiate_from_config(config):
    """Instantiates {target, params}, as in taming's YAML (taming.main requires torchvision and Lightning's callbacks)."""
    module, _, name = config["target"].rpartition(".")
    return getattr(importlib.import_module(module), name)(**config.get("params", {}))


stub("taming.main", instantiate_from_config=instantiate_from_config)
