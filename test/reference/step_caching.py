"""Writes test/fixtures/step-caching: final latents of diffusers' pipelines with step caching.

    python test/reference/step_caching.py

DeepCache and T-GATE are computed by their packages. There are none for the other methods on U-Nets: Spectrum follows
the paper (Han et al. 2026) with the constants of its code for SDXL, first-block caching the rule of ParaAttention with
the blocks of Comfy-WaveSpeed. The models are the tiny ones of `pipelines.py`, which store no weights. SD2's has levels
of one layer, SDXL's none at ds 1.
"""

import json
import math
import warnings

import numpy as np
import torch
from DeepCache import DeepCacheSDHelper
from tgate import TgateSDLoader, TgateSDXLLoader
from transformers import CLIPTokenizer

import pipelines
import pipelines_models as models

OUT = pipelines.OUT.parent / "step-caching"

# name, model, the scheduler of diffusers, method, strength or DeepCache's parameters, further options
DDIM = dict(sampler="ddim", schedule=None)
CASES = [
    ("sd1-finest", "sd1", "euler", "deepcache", (3, 0), {}),
    ("sd1-one-layer", "sd1", "ddim", "deepcache", (2, 1), DDIM),
    ("sd1-whole-level", "sd1", "euler", "deepcache", (4, 2), dict(cfg=3)),
    ("sd1-second-level", "sd1", "euler", "deepcache", (3, 4), dict(width=96, height=40)),
    ("sd1-middle-alone", "sd1", "euler", "deepcache", (3, 8), dict(steps=7)),
    ("sd1-never-again", "sd1", "ddim", "deepcache", (100, 3), DDIM),
    ("sd1-unguided", "sd1", "euler", "deepcache", (3, 0), dict(cfg=1)),
    ("sd2-level-of-one", "sd2", "euler", "deepcache", (3, 2), {}),
    ("sd2-second-level", "sd2", "euler", "deepcache", (2, 3), {}),
    ("sdxl-finest", "sdxl", "euler", "deepcache", (3, 0), {}),
    ("sdxl-second-level", "sdxl", "euler", "deepcache", (2, 4), {}),
    ("sd1-tgate", "sd1", "ddim", "tgate", 0.5, DDIM | dict(steps=8)),
    ("sd1-tgate-early", "sd1", "euler", "tgate", 0.8, dict(steps=8, width=96, height=40)),
    ("sd2-tgate", "sd2", "ddim", "tgate", 0.6, DDIM | dict(steps=8)),
    ("sdxl-tgate", "sdxl", "euler", "tgate", 0.5, dict(steps=8)),
    ("sd1-spectrum", "sd1", "euler", "spectrum", 0.5, dict(steps=20)),
    ("sd2-spectrum", "sd2", "ddim", "spectrum", 0.9, DDIM | dict(steps=14)),
    ("sdxl-spectrum", "sdxl", "euler", "spectrum", 0.3, dict(steps=16)),
    ("sd1-first-block", "sd1", "euler", "first-block", 0.2, dict(steps=12)),
    ("sd2-first-block", "sd2", "ddim", "first-block", 0.35, DDIM | dict(steps=12)),
    ("sdxl-first-block", "sdxl", "euler", "first-block", 0.3, dict(steps=12)),
]


def load(name):
    model = models.TinyModel(name)
    model.scheduler = model.spec["scheduler"]
    model.tokenizers = [CLIPTokenizer.from_pretrained(pipelines.OUT / f) for f in ("tokenizer", "tokenizer_2")[: len(model.text)]]
    return model


class Wrapped:
    """Replaces the forward of a U-Net, which sees guidance as one batch."""

    def __init__(self, unet):
        self.unet, self.forward = unet, unet.forward
        self.complete, self.evaluation = 0, 0
        unet.up_blocks[-1].register_forward_hook(lambda module, inputs, output: setattr(self, "end", output))
        unet.forward = self.run

    def finish(self, end):
        unet = self.unet
        return (unet.conv_out(unet.conv_act(unet.conv_norm_out(end))),)


class Spectrum(Wrapped):
    """Forecasts the features before the output layers."""

    def __init__(self, unet, strength):
        super().__init__(unet)
        self.flex, self.window, self.forecasts = 1.5 * strength, 2.0, 0
        self.times, self.features = [], []

    @staticmethod
    def polynomials(step):
        x = torch.tensor(step * 2 / 50 - 1, dtype=torch.float64)
        return torch.stack([torch.special.chebyshev_polynomial_t(x, n) for n in range(5)])

    def run(self, sample, timestep, **kwargs):
        step, self.evaluation = self.evaluation, self.evaluation + 1
        complete = step < 5 or (self.forecasts + 1) % math.floor(self.window) == 0
        if complete:
            self.window += self.flex if step >= 5 else 0
            self.forecasts = 0
            self.complete += 1
            out = self.forward(sample, timestep, **kwargs)
            self.times.append(step)
            self.features.append(self.end)
            return out
        self.forecasts += 1
        design = torch.stack([self.polynomials(t) for t in self.times])
        stacked = torch.stack(self.features).double()
        coefficients = torch.linalg.solve(design.T @ design + 0.1 * torch.eye(5), design.T @ stacked.flatten(1))
        fitted = (self.polynomials(step) @ coefficients).reshape(stacked.shape[1:])
        (before, last), (t0, t1) = stacked[-2:], self.times[-2:]
        linear = last + (step - t1) / (t1 - t0) * (last - before)
        return self.finish((0.5 * fitted + 0.5 * linear).float())


class FirstBlock(Wrapped):
    """Reuses what the blocks after the first one added, while the first one's own contribution changes little."""

    def __init__(self, unet, strength):
        super().__init__(unet)
        self.threshold, self.residual, self.changes = 0.4 * strength, None, []

    def first(self, sample, timestep, encoder_hidden_states, added_cond_kwargs=None, **kwargs):
        unet, block = self.unet, self.unet.down_blocks[0]
        emb = unet.time_embedding(unet.get_time_embed(sample=sample, timestep=timestep))
        more = unet.get_aug_embed(emb=emb, encoder_hidden_states=encoder_hidden_states, added_cond_kwargs=added_cond_kwargs)
        emb = emb if more is None else emb + more
        before = unet.conv_in(sample)
        after = block.resnets[0](before, emb)
        if getattr(block, "attentions", None):
            after = block.attentions[0](after, encoder_hidden_states=encoder_hidden_states, return_dict=False)[0]
        return after, after - before

    def run(self, sample, timestep, **kwargs):
        after, residual = self.first(sample, timestep, **kwargs)
        if self.residual is not None:
            # Safelight decides by the branch that changes most.
            change = max(((r - p).abs().mean() / p.abs().mean()).item() for r, p in zip(residual, self.residual))
            self.changes.append(change)
            if change < self.threshold:
                return self.finish(after + self.rest)
        self.residual = residual
        self.complete += 1
        out = self.forward(sample, timestep, **kwargs)
        self.rest = self.end - after
        return out


def latent_of(model, spec, method, strength):
    options = spec["options"]
    pipe, run = pipelines.diffusers_pipeline(model, spec, options["seed"])
    if method == "deepcache":
        helper = DeepCacheSDHelper(pipe=pipe)
        helper.set_params(cache_interval=strength[0], cache_branch_id=strength[1])
        helper.enable()
    elif method == "tgate":
        gate = max(1, round(options["steps"] * (1 - strength)))
        loader = TgateSDXLLoader if len(model.text) == 2 else TgateSDLoader
        return loader(pipe).tgate(**run, gate_step=gate, sp_interval=1, fi_interval=1, warm_up=0).images
    elif method:
        cache = {"spectrum": Spectrum, "first-block": FirstBlock}[method](pipe.unet, strength)
        latent = pipe(**run).images
        assert options["steps"] / 4 < cache.complete < options["steps"], f"{cache.complete} complete evaluations"
        margins = [abs(change - cache.threshold) for change in getattr(cache, "changes", [])]
        assert min(margins, default=1) > 1e-4, f"a decision of {method} depends on rounding: {margins}"
        return latent
    return pipe(**run).images


def main():
    warnings.filterwarnings("ignore")
    torch.set_grad_enabled(False)
    OUT.mkdir(parents=True, exist_ok=True)
    records = []
    for name, model, scheduler, method, strength, more in CASES:
        options = {k: v for k, v in (pipelines.PLAIN | more).items() if v is not None}
        spec = dict(options=options, diffusers=scheduler)
        # Caches cannot be removed again, so each run creates its modules.
        latent = latent_of(load(model), spec, method, strength)
        plain = latent_of(load(model), spec, None, None)
        change = ((latent - plain).abs().max() / plain.abs().max()).item()
        assert change > 5e-3, f"{name}: caching changes the latent by {change} only"
        # Pipelines return latents scaled for the sampler, as Safelight does.
        np.save(OUT / f"{name}.npy", latent.numpy().astype(np.float32))
        if method == "deepcache":
            cache = {"deepCache": dict(zip(("interval", "branch"), strength))}
        else:
            cache = {"stepCache": method, "stepCacheStrength": strength}
        records.append(dict(name=name, model=model, options=options | cache))
        print(name, f"{change:.3f}")
    (OUT / "cases.json").write_text("[\n" + ",\n".join(json.dumps(r) for r in records) + "\n]\n")


if __name__ == "__main__":
    main()
