"""Writes test/fixtures/few-steps: a U-Net that embeds the guidance scale, and whole images of few-step sampling.

    python test/reference/few_steps.py    (torch, diffusers, transformers as pinned in requirements.txt)

The model is SD1 of pipelines.py with larger predictions, so that they show next to the noise. The latent consistency model has
one more weight, `time_embedding.cond_proj`, whose values come from a hash of its name like the others. Images come from diffusers' pipelines: latent consistency models from
LatentConsistencyModelPipeline, the others from StableDiffusionPipeline with the scheduler that the model cards recommend.
"""

import json
from pathlib import Path

import numpy as np
import torch
from diffusers import (
    DDIMScheduler, EulerAncestralDiscreteScheduler, EulerDiscreteScheduler, LatentConsistencyModelPipeline, LCMScheduler,
    StableDiffusionPipeline, TCDScheduler, UNet2DConditionModel,
)  # fmt: skip
from safetensors.torch import save_file
from transformers import CLIPTokenizer

import pipelines_models as models

ROOT = Path(__file__).resolve().parents[1] / "fixtures"
OUT = ROOT / "few-steps"
GUIDANCE_WIDTH = 64
BETAS = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", num_train_timesteps=1000)
PLAIN = dict(prompt="a red apple on the road", seed=11, width=64, height=48)
TENSORS, CASES = {}, []
DECODED = ("lcm", "lcm-lora", "hyper")


def embedding_model(plain):
    """Enlarges the predictions of the SD1 model; returns its U-Net with an embedding of the guidance scale, and the manifest rows
    in which both differ from SD1."""
    unet = UNet2DConditionModel(**plain.spec["unet"], time_cond_proj_dim=GUIDANCE_WIDTH)
    shape = list(unet.time_embedding.cond_proj.weight.shape)
    row = ["unet", "time_embedding.cond_proj.weight", shape, models.fan_in_amplitude(shape, 16.0), 0.0,
           "model.diffusion_model.time_embed.cond_proj.weight", None]  # fmt: skip
    out = next(each for each in plain.rows if each[1] == "conv_out.weight")
    larger = [*out[:3], 4 * out[3], *out[4:]]
    rows = [larger if each is out else each for each in plain.rows]
    models.load("unet", plain.unet, rows)
    return models.load("unet", unet, [*rows, row]), [row, larger]


def embedded(scales):
    """diffusers' get_guidance_scale_embedding."""
    return LatentConsistencyModelPipeline.get_guidance_scale_embedding(None, torch.tensor(scales) - 1, GUIDANCE_WIDTH)


def unet_case(unet):
    """One evaluation of a batch of two with different scales."""
    sample = torch.from_numpy(models.noise("few-steps.sample", 2 * 4 * 7 * 6)).reshape(2, 4, 7, 6) * 2
    context = torch.from_numpy(models.noise("few-steps.context", 2 * 5 * 128)).reshape(2, 5, 128) * 2
    scales, timesteps = [8.5, 1.0], torch.tensor([759.0, 259.0])
    run = lambda values: unet(sample, timesteps, context, timestep_cond=embedded(values)).sample  # noqa: E731
    TENSORS["unet"] = run(scales).contiguous()
    assert (run([7.5, 2.0]) - TENSORS["unet"]).abs().amax() > 0.05 * TENSORS["unet"].abs().amax()
    return dict(scales=scales, timesteps=timesteps.tolist())


def image(name, model, pipe, options, run):
    """Adds a case with the final latent and, of one case per kind of model, the image's bytes `[H, W, 3]`."""
    o = PLAIN | options
    pipe.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(o["seed"])
    size = dict(width=o["width"], height=o["height"])
    latent = pipe(o["prompt"], num_inference_steps=o["steps"], generator=generator, output_type="latent", **size, **run).images
    TENSORS[f"{name}.latent"] = latent.contiguous()
    if name in DECODED:
        decoded = model.vae.decode(latent / model.vae.config.scaling_factor).sample[0]
        pixels = (255 * (decoded / 2 + 0.5).clamp(0, 1)).round().byte().permute(1, 2, 0)
        TENSORS[f"{name}.image"] = pixels.contiguous()
    CASES.append(dict(name=name, options=o))
    print(name, f"{latent.std():.3f}")


def main():
    torch.set_grad_enabled(False)
    plain = models.TinyModel("sd1")
    tokenizer = CLIPTokenizer.from_pretrained(ROOT / "pipelines" / "tokenizer")
    unet, rows = embedding_model(plain)

    for name, options in {
        "lcm": dict(steps=4, cfg=8.5), "lcm-weak": dict(steps=4, cfg=1.5), "lcm-more": dict(steps=8, cfg=8.5, width=40),
    }.items():  # fmt: skip
        pipe = LatentConsistencyModelPipeline(plain.vae, plain.text[0], tokenizer, unet, LCMScheduler(**BETAS), None, None,
                                              requires_safety_checker=False)  # fmt: skip
        image(name, plain, pipe, options | dict(sampler="lcm"), dict(guidance_scale=options["cfg"]))

    trailing = dict(timestep_spacing="trailing", **BETAS)
    schedulers = {
        "euler": lambda: EulerDiscreteScheduler(**trailing),
        "euler_a": lambda: EulerAncestralDiscreteScheduler(**trailing),
        "ddim": lambda: DDIMScheduler(**trailing, clip_sample=False),
        "lcm": lambda: LCMScheduler(**BETAS),
        "tcd": lambda: TCDScheduler(**BETAS),
    }
    for name, options, run in [
        ("turbo", dict(steps=4, cfg=1, sampler="euler_a", schedule="trailing"), {}),
        ("turbo-1", dict(steps=1, cfg=1, sampler="euler_a", schedule="trailing"), {}),
        ("lightning", dict(steps=4, cfg=1, sampler="euler", schedule="trailing"), {}),
        ("hyper", dict(steps=8, cfg=1, sampler="ddim", schedule="trailing"), {}),
        ("lcm-lora", dict(steps=6, cfg=1.5, sampler="lcm"), {}),
        ("lcm-trailing", dict(steps=4, cfg=1.5, sampler="lcm", schedule="trailing"), dict(timesteps=[999, 749, 499, 249])),
        ("tcd-lora", dict(steps=4, cfg=1, sampler="tcd"), dict(eta=0.3)),
        ("tcd-eta", dict(steps=6, cfg=1.5, sampler="tcd", eta=0.8), dict(eta=0.8)),
        ("hyper-unified", dict(steps=1, cfg=1, sampler="tcd", eta=1), dict(eta=1.0)),
    ]:
        pipe = StableDiffusionPipeline(plain.vae, plain.text[0], tokenizer, plain.unet, schedulers[options["sampler"]](), None,
                                       None, requires_safety_checker=False)  # fmt: skip
        image(name, plain, pipe, options, dict(guidance_scale=options["cfg"]) | run)

    OUT.mkdir(parents=True, exist_ok=True)
    cases = ",\n".join(json.dumps(case) for case in CASES)
    head = json.dumps(dict(width=GUIDANCE_WIDTH, rows=rows, unet=unet_case(unet)))[:-1]
    (OUT / "cases.json").write_text(f'{head}, "images": [\n{cases}\n]}}\n')
    save_file(TENSORS, OUT / "expected.safetensors")
    print(f"{sum(path.stat().st_size for path in OUT.iterdir()) / 1024:.0f} KiB", np.__version__)


if __name__ == "__main__":
    main()
