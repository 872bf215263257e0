"""Writes test/fixtures/step-caching: final latents of diffusers' pipelines with the DeepCache package (Ma et al.
2023).

    python test/reference/deepcache.py

The models are the tiny ones of `pipelines.py`, which store no weights. SD2's has levels of one layer, SDXL's none at
ds 1.
"""

import json
import warnings

import numpy as np
import torch
from DeepCache import DeepCacheSDHelper
from transformers import CLIPTokenizer

import pipelines
import pipelines_models as models

OUT = pipelines.OUT.parent / "step-caching"

# name, model, the scheduler of diffusers, DeepCache's parameters, further options
CASES = [
    ("sd1-finest", "sd1", "euler", 3, 0, {}),
    ("sd1-one-layer", "sd1", "ddim", 2, 1, dict(sampler="ddim", schedule=None)),
    ("sd1-whole-level", "sd1", "euler", 4, 2, dict(cfg=3)),
    ("sd1-second-level", "sd1", "euler", 3, 4, dict(width=96, height=40)),
    ("sd1-middle-alone", "sd1", "euler", 3, 8, dict(steps=7)),
    ("sd1-never-again", "sd1", "ddim", 100, 3, dict(sampler="ddim", schedule=None)),
    ("sd1-unguided", "sd1", "euler", 3, 0, dict(cfg=1)),
    ("sd2-level-of-one", "sd2", "euler", 3, 2, {}),
    ("sd2-second-level", "sd2", "euler", 2, 3, {}),
    ("sdxl-finest", "sdxl", "euler", 3, 0, {}),
    ("sdxl-second-level", "sdxl", "euler", 2, 4, {}),
]


def load(name):
    model = models.TinyModel(name)
    model.scheduler = model.spec["scheduler"]
    model.tokenizers = [CLIPTokenizer.from_pretrained(pipelines.OUT / f) for f in ("tokenizer", "tokenizer_2")[: len(model.text)]]
    return model


def main():
    warnings.filterwarnings("ignore")
    torch.set_grad_enabled(False)
    OUT.mkdir(parents=True, exist_ok=True)
    loaded = {name: load(name) for name in {case[1] for case in CASES}}
    records = []
    for name, model, scheduler, interval, branch, more in CASES:
        options = {k: v for k, v in (pipelines.PLAIN | more).items() if v is not None}
        spec = dict(options=options, diffusers=scheduler)

        def cached(pipe):
            helper = DeepCacheSDHelper(pipe=pipe)
            helper.set_params(cache_interval=interval, cache_branch_id=branch)
            helper.enable()

        # A helper cannot be removed again, so each case creates its modules.
        latent = pipelines.diffusers_latent(load(model), spec, options["seed"], cached)
        plain = pipelines.diffusers_latent(loaded[model], spec, options["seed"])
        change = ((latent - plain).abs().max() / plain.abs().max()).item()
        assert change > 5e-3, f"{name}: caching changes the latent by {change} only"
        # Pipelines return latents scaled for the sampler, as Safelight does.
        np.save(OUT / f"{name}.npy", latent.numpy().astype(np.float32))
        deep_cache = {"interval": interval, "branch": branch}
        records.append(dict(name=name, model=model, options=options | {"deepCache": deep_cache}))
        print(name, f"{change:.3f}")
    (OUT / "cases.json").write_text("[\n" + ",\n".join(json.dumps(r) for r in records) + "\n]\n")


if __name__ == "__main__":
    main()
