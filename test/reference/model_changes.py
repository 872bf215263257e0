"""Writes test/fixtures/model-changes: final latents of diffusers' pipelines with changes of the U-Net's computation.

    python test/reference/model_changes.py

FreeU, perturbed-attention and self-attention guidance are diffusers' own, token merging is tomesd's without random
destinations, and seamless tiling is circular padding of all convolutions, as in A1111. The models are the tiny ones of
`pipelines.py`, which store no weights.
"""

import json
import warnings

import numpy as np
import tomesd
import torch
from diffusers import StableDiffusionPAGPipeline, StableDiffusionSAGPipeline, StableDiffusionXLPAGPipeline
from PIL import Image

import pipelines
from step_caching import load

OUT = pipelines.OUT.parent / "model-changes"
DDIM = dict(sampler="ddim", schedule=None)

# name, model, the scheduler of diffusers, options
CASES = [
    ("freeu-sd1", "sd1", "euler", dict(freeU=[1.5, 1.6, 0.9, 0.2])),
    ("freeu-sd2-odd", "sd2", "ddim", DDIM | dict(freeU=[1.4, 0.7, 1.2, 0.2], width=56, height=40)),
    ("freeu-sdxl", "sdxl", "euler", dict(freeU=[1.3, 1.4, 0.9, 0.2], width=80)),
    ("merging-sd1", "sd1", "euler", dict(tokenMerging=0.5)),
    ("merging-sd1-odd", "sd1", "ddim", DDIM | dict(tokenMerging=0.7, width=72, height=40, cfg=1)),
    ("merging-sd2", "sd2", "ddim", DDIM | dict(tokenMerging=0.3)),
    ("pag-sd1", "sd1", "euler", dict(pag=3)),
    ("pag-sd1-unguided", "sd1", "ddim", DDIM | dict(pag=5, cfg=1)),
    ("pag-sd2-rescaled", "sd2", "ddim", DDIM | dict(pag=4, guidanceRescale=0.7)),
    ("pag-sdxl", "sdxl", "euler", dict(pag=3)),
    ("sag-sd1", "sd1", "ddim", DDIM | dict(sag=0.75, width=96, height=80)),
    ("sag-sd1-unguided", "sd1", "ddim", DDIM | dict(sag=2, cfg=1)),
    ("sag-sd2-v", "sd2", "ddim", DDIM | dict(sag=1.5, width=80)),
    ("tiling-sd1", "sd1", "euler", dict(tiling=True, width=96)),
    ("tiling-sdxl", "sdxl", "ddim", DDIM | dict(tiling=True)),
]


def pag(pipe, run, scale):
    cls = StableDiffusionXLPAGPipeline if hasattr(pipe, "text_encoder_2") else StableDiffusionPAGPipeline
    more = dict(force_zeros_for_empty_prompt=True, add_watermarker=False) if cls is StableDiffusionXLPAGPipeline else dict(requires_safety_checker=False)
    pipe = cls(**pipe.components, **more)
    pipe.set_progress_bar_config(disable=True)
    return pipe(**run, pag_scale=scale, pag_adaptive_scale=0).images


def sag(pipe, run, scale):
    pipe = StableDiffusionSAGPipeline(**pipe.components, requires_safety_checker=False)
    pipe.set_progress_bar_config(disable=True)
    masking = pipe.sag_masking

    def checked(x0, attention, size, t, eps):
        heads = attention.shape[0] // x0.shape[0]
        received = attention.reshape(x0.shape[0], heads, *attention.shape[1:]).mean(1).sum(1)
        margin = (received - 1).abs().min()
        assert margin > 1e-4, f"a mask depends on rounding: {margin}"
        return masking(x0, attention, size, t, eps)

    pipe.sag_masking = checked
    return pipe(**run, sag_scale=scale).images


def wrap(module):
    for part in module.modules():
        if isinstance(part, torch.nn.Conv2d):
            part.padding_mode = "circular"


def latent_of(model, spec, changes):
    pipe, run = pipelines.diffusers_pipeline(model, spec, spec["options"]["seed"])
    if "freeU" in changes:
        pipe.enable_freeu(**dict(zip(("b1", "b2", "s1", "s2"), changes["freeU"])))
    if "tokenMerging" in changes:
        tomesd.apply_patch(pipe, ratio=changes["tokenMerging"], use_rand=False)
    if "tiling" in changes:
        wrap(model.unet)
        wrap(model.vae)
    if "pag" in changes:
        return pag(pipe, run, changes["pag"])
    if "sag" in changes:
        return sag(pipe, run, changes["sag"])
    return pipe(**run).images


def decode(model, latent):
    config = model.vae.config
    image = model.vae.decode(latent / config.scaling_factor).sample[0].permute(1, 2, 0)
    return Image.fromarray(((image.clamp(-1, 1) + 1) * 127.5).round().numpy().astype(np.uint8))


def main():
    warnings.filterwarnings("ignore")
    torch.set_grad_enabled(False)
    OUT.mkdir(parents=True, exist_ok=True)
    records = []
    for name, model, scheduler, more in CASES:
        changes = {k: more[k] for k in ("freeU", "tokenMerging", "pag", "sag", "tiling") if k in more}
        options = {k: v for k, v in (pipelines.PLAIN | more).items() if v is not None}
        spec = dict(options=options, diffusers=scheduler)
        # Changes are not removed again, so each run creates its modules.
        changed, original = load(model), load(model)
        latent, plain = latent_of(changed, spec, changes), latent_of(original, spec, {})
        change = ((latent - plain).abs().max() / plain.abs().max()).item()
        assert change > 5e-3, f"{name}: the latent changes by {change} only"
        np.save(OUT / f"{name}.npy", latent.numpy().astype(np.float32))
        if "tiling" in changes:
            decode(changed, latent).save(OUT / f"{name}.png")
        records.append(dict(name=name, model=model, options=options))
        print(name, f"{change:.3f}")
    (OUT / "cases.json").write_text("[\n" + ",\n".join(json.dumps(r) for r in records) + "\n]\n")


if __name__ == "__main__":
    main()
