"""Writes test/fixtures/pipelines: tiny random models and whole images of every pipeline, with the reference formulas.

    python test/reference/pipelines.py [case-name-part ...]

Images come from diffusers' own pipelines if they compute the same (euler and karras, ddim, plms, lcm, tcd, SDXL); the
others from A1111's formulas over diffusers' modules (`pipelines_webui.py`). Options in cases.json have the names of
the command line's options. Prompts are split into (text, weight) pieces by hand, so that no parser verifies itself.
"""

import json
import shutil
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from diffusers import (
    DDIMScheduler, EulerDiscreteScheduler, LCMScheduler, PNDMScheduler, StableDiffusionPipeline,
    StableDiffusionXLPipeline, TCDScheduler, UniPCMultistepScheduler,
)  # fmt: skip
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint, convert_ldm_vae_checkpoint
from PIL import Image, ImageDraw
from transformers import CLIPTokenizer

import pipelines_models as models
import pipelines_webui as webui

OUT = Path(__file__).resolve().parents[1] / "fixtures" / "pipelines"
CASES = []


def load(name):
    model = models.TinyModel(name)
    model.write_folder(OUT / name)
    model.scheduler = model.spec["scheduler"]
    model.tokenizers = [CLIPTokenizer.from_pretrained(OUT / "tokenizer")]
    if len(model.text) == 2:
        model.tokenizers.append(CLIPTokenizer.from_pretrained(OUT / "tokenizer_2"))
    model.factor = 2 ** (len(model.vae.config.block_out_channels) - 1)
    check_renaming(model)
    return model


def check_renaming(model):
    """Asserts that diffusers' converters read our single-file names back."""
    state = model.single_file()
    for module, convert in ((model.unet, convert_ldm_unet_checkpoint), (model.vae, convert_ldm_vae_checkpoint)):
        converted, wanted = convert(dict(state), dict(module.config)), module.state_dict()
        assert set(converted) == set(wanted)
        assert all(torch.equal(converted[k].reshape(wanted[k].shape), wanted[k]) for k in wanted)


# -- images ----------------------------------------------------------------------------------------------------------


def drawing(width, height):
    """A smooth image with edges, which shows errors of an encoder and of resampling."""
    y, x = np.mgrid[0:height, 0:width]
    base = np.stack([255 * x / width, 255 * y / height, 128 + 90 * np.sin(x / 7) * np.cos(y / 9)], axis=-1)
    image = Image.fromarray(base.astype(np.uint8))
    draw = ImageDraw.Draw(image)
    draw.ellipse([width * 0.2, height * 0.25, width * 0.6, height * 0.7], fill=(230, 60, 40))
    draw.rectangle([width * 0.55, height * 0.5, width * 0.9, height * 0.85], fill=(30, 90, 200))
    return image


def masking(width, height, box):
    mask = Image.new("L", (width, height), 0)
    ImageDraw.Draw(mask).rectangle(box, fill=255)
    return mask


IMAGES = {
    "init.png": drawing(64, 64), "init-large.png": drawing(96, 80), "init-ragged.png": drawing(70, 51),
    "mask.png": masking(64, 64, [20, 12, 47, 43]), "mask-small.png": masking(64, 64, [18, 22, 25, 29]),
    "mask-large.png": masking(96, 80, [30, 14, 71, 49]),
}  # fmt: skip


# -- cases -----------------------------------------------------------------------------------------------------------

APPLE = "a red apple on the road"
PLAIN = dict(prompt=APPLE, negative="blurry ugly", steps=6, cfg=7, sampler="euler", schedule="karras", seed=11,
             width=64, height=64)  # fmt: skip


def case(name, model, segments=None, negative=None, scheduler=None, diffusers=None, **options):
    """Adds one case; `segments` and `negative` are the pieces of the prompts if their syntax has weights."""
    merged = {k: v for k, v in (PLAIN | options).items() if v is not None}
    CASES.append(dict(name=name, model=model, options=merged, segments=segments, negative=negative, scheduler=scheduler,
                      diffusers=diffusers))  # fmt: skip


def text_cases():
    case("sd1-euler-karras", "sd1", diffusers="euler")
    case("sd1-ddim", "sd1", diffusers="ddim", sampler="ddim", schedule=None)
    case("sd1-ddim-eta", "sd1", diffusers="ddim", sampler="ddim", schedule=None, eta=0.7)
    case("sd1-plms", "sd1", diffusers="plms", sampler="plms", schedule=None, steps=7)
    case("sd1-lcm", "sd1", diffusers="lcm", sampler="lcm", schedule=None, steps=4, cfg=2)
    case("sd1-tcd", "sd1", diffusers="tcd", sampler="tcd", schedule=None, steps=4, cfg=2)
    case("sd1-unipc", "sd1", sampler="unipc", steps=7)
    case("sd1-dpmpp-2m", "sd1", sampler="dpmpp_2m", steps=8)
    case("sd1-discrete", "sd1", schedule="discrete", negative_prompt="")
    case("sd1-euler-a", "sd1", sampler="euler_a", schedule="discrete", count=3, seed=41)
    case("sd1-euler-a-cuda", "sd1", sampler="euler_a", schedule="karras", rng="cuda", count=2)
    case("sd1-heun", "sd1", sampler="heun", steps=4)
    case("sd1-lms", "sd1", sampler="lms", schedule="discrete")
    case("sd1-dpm2-a", "sd1", sampler="dpm2_a", steps=5)
    case("sd1-dpmpp-2s-a", "sd1", sampler="dpmpp_2s_a", steps=5, eta=0.5)
    case("sd1-dpmpp-sde", "sd1", sampler="dpmpp_sde", steps=5)
    case("sd1-dpmpp-2m-sde", "sd1", sampler="dpmpp_2m_sde", count=2)
    case("sd1-dpmpp-2m-sde-cuda", "sd1", sampler="dpmpp_2m_sde", rng="cuda", seed=4294967301)
    case("sd1-dpmpp-3m-sde", "sd1", sampler="dpmpp_3m_sde", schedule="exponential", steps=7)
    case("sd1-cuda", "sd1", rng="cuda")
    case("sd1-cfg-1", "sd1", cfg=1)
    case("sd1-cfg-0", "sd1", cfg=0)
    case("sd1-rescale", "sd1", diffusers="euler", guidanceRescale=0.7)
    case("sd2-rescale", "sd2", diffusers="euler", guidanceRescale=0.7)
    case("sd1-interval", "sd1", guidanceInterval=[0.5, 6])
    case("sd1-wide", "sd1", width=96, height=40)
    case("sd1-odd", "sd1", width=52, height=36)
    case("sd1-clip-skip", "sd1", clipSkip=2)
    case("sd2-euler-karras", "sd2", diffusers="euler")
    case("sd2-ddim", "sd2", diffusers="ddim", sampler="ddim", schedule=None)
    case("sd2-dpmpp-2m", "sd2", sampler="dpmpp_2m", steps=8, clipSkip=2, width=72, height=56)
    case("sd2-zero-snr", "sd2", scheduler={"rescale_betas_zero_snr": True}, schedule="discrete", sampler="euler_a")
    case("sd2-x0", "sd2", prediction="x0", sampler="dpmpp_2m")
    case("sd2-eps", "sd2", prediction="eps", sampler="dpmpp_2m")
    case("sdxl-euler-karras", "sdxl", diffusers="euler", negative_prompt="")
    case("sdxl-negative", "sdxl", diffusers="euler", steps=5)
    case("sdxl-wide", "sdxl", width=80, height=56, sampler="dpmpp_2m", clipSkip=2)
    case("sdxl-sde", "sdxl", sampler="dpmpp_2m_sde", negative_prompt="")
    case("inpaint-text", "inpaint", sampler="dpmpp_2m")


def prompt_cases():
    brk = ("", webui.BREAK)
    many = " ".join(f"{c} {t}" for c in ("red", "green", "blue", "gold", "silver", "dark") for t in
                    ("apple", "castle", "dog", "flower", "horse", "king", "moon", "river"))  # fmt: skip
    case("prompt-emphasis", "sd1", prompt="a (red:1.4) apple [on] ((the)) road",
         segments=[("a ", 1), ("red", 1.4), (" apple ", 1), ("on", 1 / 1.1), (" ", 1), ("the", 1.1 * 1.1), (" road", 1)])  # fmt: skip
    case("prompt-escapes", "sd1", prompt=r"a \(red\) apple (with \[gold\]:0.7)",
         segments=[("a (red) apple ", 1), ("with [gold]", 0.7)])  # fmt: skip
    case("prompt-long", "sd1", prompt=many + " mountain", segments=[(many + " mountain", 1)], sampler="dpmpp_2m")
    case("prompt-long-negative", "sd1", negative_prompt=many, negative=[(many, 1)])
    comma = " ".join(["apple"] * 66) + ", gold king and silver queen (on the road:1.3), night"
    case("prompt-comma", "sd1", prompt=comma,
         segments=[(comma.split("(")[0], 1), ("on the road", 1.3), (", night", 1)])  # fmt: skip
    case("prompt-break", "sd1", prompt="a red apple BREAK on the (dark:1.2) road",
         segments=[("a red apple", 1), brk, ("on the ", 1), ("dark", 1.2), (" road", 1)])  # fmt: skip
    case("prompt-xl", "sdxl", prompt="a (red:1.5) apple BREAK on the road",
         segments=[("a ", 1), ("red", 1.5), (" apple", 1), brk, ("on the road", 1)])  # fmt: skip
    case("prompt-sd2", "sd2", prompt="a (red:1.5) apple on the road", segments=[("a ", 1), ("red", 1.5), (" apple on the road", 1)])


def image_cases():
    common = dict(init="init.png", width=None, height=None, sampler="dpmpp_2m", steps=8)
    case("image", "sd1", **common)
    case("image-sample", "sd1", **common, posterior="sample", strength=0.5, count=2)
    case("image-strong", "sd1", **common, strength=1)
    case("image-weak", "sd1", **common | dict(sampler="euler_a", schedule="discrete"), strength=0.3)
    case("image-sde", "sd1", **common | dict(sampler="dpmpp_2m_sde"), strength=0.6)
    case("image-ragged", "sd1", **common | dict(init="init-ragged.png"), strength=0.5)
    case("image-resized", "sd1", **common | dict(init="init-large.png", width=64, height=48), strength=0.5)
    case("image-sd2", "sd2", **common, strength=0.6)
    case("image-xl", "sdxl", **common | dict(steps=6), strength=0.6)
    masked = common | dict(mask="mask.png", strength=0.7)
    case("mask-original", "sd1", **masked, fill="original")
    case("mask-noise", "sd1", **masked, fill="noise", maskBlur=2)
    case("mask-nothing", "sd1", **masked | dict(sampler="euler_a"), fill="nothing", maskBlur=0)
    case("mask-fill", "sd1", **masked, fill="fill")
    case("mask-only", "sd1", **masked | dict(mask="mask-small.png"), fill="original", onlyMasked=True, padding=8,
         maskBlur=0)  # fmt: skip
    case("mask-resized", "sd1", **masked | dict(init="init-large.png", mask="mask-large.png", width=68, height=40), fill="fill")
    case("mask-inpaint", "inpaint", **masked, fill="original")
    case("mask-inpaint-sample", "inpaint", **masked, fill="noise", posterior="sample")
    case("mask-inpaint-none", "inpaint", **common, strength=0.7)


def hires_cases():
    common = dict(width=48, height=48, hiresScale=1.5, hiresSteps=5, hiresStrength=0.6)
    case("hires-latent", "sd1", **common, hiresUpscaler="latent")
    case("hires-lanczos", "sd1", **common, hiresUpscaler="lanczos", sampler="dpmpp_2m")
    case("hires-ancestral", "sd1", **common | dict(hiresSteps=None), hiresUpscaler="latent", sampler="euler_a", count=2)
    case("hires-inpaint", "inpaint", **common, hiresUpscaler="latent")
    case("hires-xl", "sdxl", **common | dict(hiresScale=1.25, width=64), hiresUpscaler="latent", steps=5)


def extra_cases():
    """Further options of A1111's API: variations, seed resize, ENSD, resize modes, second passes with their own
    settings."""
    small = dict(width=48, height=40, steps=4)
    case("extra-variation", "sd1", **small, subseed=5, subseedStrength=0.3, count=2, sampler="euler_a")
    case("extra-variation-cuda", "sd1", **small, subseed=77, subseedStrength=0.6, rng="cuda", sampler="dpmpp_2m_sde")
    case("extra-resize-smaller", "sd1", **small, seedResizeFrom=dict(width=28, height=56), sampler="euler_a")
    case("extra-resize-larger", "sd1", **small, seedResizeFrom=dict(width=84, height=64), subseed=3, subseedStrength=0.5,
         etaNoiseSeedDelta=31337, sampler="euler_a")  # fmt: skip
    case("extra-ensd", "sd1", **small, etaNoiseSeedDelta=31337, sampler="dpmpp_2s_a", count=2)
    case("extra-hires", "sd1", **small, subseed=9, subseedStrength=0.4, hiresScale=1.5, hiresSteps=3, hiresStrength=0.6,
         hiresUpscaler="nearest", hiresPrompt="a castle at night", hiresNegative="red", hiresSampler="dpmpp_2m",
         hiresSchedule="exponential")  # fmt: skip
    common = dict(init="init-ragged.png", width=56, height=48, sampler="euler_a", steps=5, strength=0.6)
    case("extra-crop", "sd1", **common, resizeMode="crop", initialNoiseMultiplier=0.8, subseed=2, subseedStrength=0.2)
    case("extra-fill", "sd1", **common | dict(width=48, height=64), resizeMode="fill")
    case("extra-fill-wide", "sd1", **common | dict(width=72, height=32), resizeMode="fill")
    case("extra-latent", "sd1", **common | dict(init="init.png", width=48, height=72), resizeMode="latent")
    masked = common | dict(init="init-large.png", mask="mask-large.png")
    case("extra-mask-crop", "sd1", **masked, resizeMode="crop", fill="original", maskBlur=[6, 1], maskRound=False)
    case("extra-mask-fill", "sd1", **masked | dict(width=40, height=56), resizeMode="fill", fill="nothing")
    case("extra-mask-invert", "sd1", **masked, fill="noise", maskInvert=True, maskBlur=2)
    case("extra-mask-only", "sd1", **masked | dict(width=72, height=24), fill="original", onlyMasked=True, padding=6, count=2)


# -- generation ------------------------------------------------------------------------------------------------------


def diffusers_pipeline(model, spec, seed):
    """Returns diffusers' pipeline for a case and the arguments of its call."""
    o = spec["options"]
    beta = {k: model.scheduler[k] for k in ("beta_start", "beta_end", "beta_schedule", "num_train_timesteps", "prediction_type")}
    scheduler = {
        "euler": lambda: EulerDiscreteScheduler(**beta, use_karras_sigmas=True, timestep_spacing="linspace"),
        "ddim": lambda: DDIMScheduler(**beta, clip_sample=False, set_alpha_to_one=False, steps_offset=1),
        "plms": lambda: PNDMScheduler(**beta, skip_prk_steps=True, set_alpha_to_one=False, steps_offset=1),
        "lcm": lambda: LCMScheduler(**beta, set_alpha_to_one=False),
        "tcd": lambda: TCDScheduler(**beta, set_alpha_to_one=False),
    }[spec["diffusers"]]()
    run = dict(prompt=o["prompt"], num_inference_steps=o["steps"], guidance_scale=o["cfg"], width=o["width"], height=o["height"],
               generator=torch.Generator().manual_seed(seed), output_type="latent")  # fmt: skip
    if "guidanceRescale" in o:
        run["guidance_rescale"] = o["guidanceRescale"]
    if "eta" in o or spec["diffusers"] == "tcd":
        run["eta"] = o.get("eta", 0.3)
    negative = o.get("negative", "")
    if len(model.text) == 2:
        pipe = StableDiffusionXLPipeline(model.vae, model.text[0], model.text[1], model.tokenizers[0], model.tokenizers[1],
                                         model.unet, scheduler, force_zeros_for_empty_prompt=True, add_watermarker=False)  # fmt: skip
        run["negative_prompt"] = negative or None  # None leads to zeros
    else:
        pipe = StableDiffusionPipeline(model.vae, model.text[0], model.tokenizers[0], model.unet, scheduler, None, None,
                                       requires_safety_checker=False)  # fmt: skip
        run["negative_prompt"] = negative
    pipe.set_progress_bar_config(disable=True)
    return pipe, run


def diffusers_latent(model, spec, seed, prepare=lambda pipe: None):
    pipe, run = diffusers_pipeline(model, spec, seed)
    prepare(pipe)
    return pipe(**run).images


def unipc(denoiser, x, sigmas):
    """diffusers' UniPC on the given sigmas, with its model output at their continuous timesteps."""
    scheduler = UniPCMultistepScheduler(prediction_type="sample", solver_order=2, solver_type="bh2", predict_x0=True,
                                        final_sigmas_type="zero")  # fmt: skip
    scheduler.set_timesteps(len(sigmas) - 1)
    scheduler.sigmas = sigmas
    x = x / (sigmas[0] ** 2 + 1) ** 0.5  # the scheduler's x is variance preserving
    for i, t in enumerate(scheduler.timesteps):
        x0 = denoiser(x * (sigmas[i] ** 2 + 1) ** 0.5, sigmas[i : i + 1])
        x = scheduler.step(x0, t, x).prev_sample
    return x


class Work:
    """The second and later passes of a case: prompts at a size, then sampling from given noise."""

    def __init__(self, model, spec, seed):
        # With a variation the subseed is incremented instead of the seed.
        count = seed - spec["options"]["seed"]
        varies = spec["options"].get("subseedStrength", 0) != 0
        self.model, self.o, self.seed = model, spec["options"], seed - count if varies else seed
        o = self.o
        self.subseed = o.get("subseed", 0) + count
        plain = lambda text: [(text, 1.0)] if text else []  # noqa: E731
        skip = o.get("clipSkip", 1)
        cond = webui.encode(model, spec["segments"] or plain(o["prompt"]), skip)
        negative = spec["negative"] or plain(o.get("negative", ""))
        uncond = webui.encode(model, negative, skip, zero=len(model.text) == 2 and not negative)
        length = max(cond[0].shape[1], uncond[0].shape[1])
        self.cond, self.uncond = ((webui.pad_with_empty(model, c, length, skip), p) for c, p in (cond, uncond))
        self.rng = o.get("rng", "cpu")

    def noise(self, latent_size):
        o, factor = self.o, self.model.factor
        resize = o.get("seedResizeFrom")
        return webui.VariedNoise(self.rng, self.seed, (4, *latent_size), self.subseed, o.get("subseedStrength", 0),
                                 resize and [resize["height"] // factor, resize["width"] // factor],
                                 o.get("etaNoiseSeedDelta", 0))  # fmt: skip

    def plain_noise(self, latent_size):
        return webui.NOISE[self.rng](self.seed, (4, *latent_size))

    def denoiser(self, size, **more):
        more["interval"] = self.o.get("guidanceInterval")
        return webui.Denoiser(self.model, self.cond, self.uncond, self.o["cfg"], size, **more)

    def sample(self, denoiser, x, sigmas, noise, full=None):
        if self.o["sampler"] == "unipc":
            return unipc(denoiser, x, sigmas)
        return webui.sample(denoiser, x, sigmas, self.o["sampler"], noise, self.seed, self.rng, full, self.o.get("eta"))

    def from_image(self, denoiser, latent, noise, steps, strength, fixed=False):
        """A1111's img2img; `fixed`: the given number of steps is run completely (hires fix)."""
        t = steps - 1 if fixed else int(min(strength, 0.999) * steps)
        steps = int(steps / min(strength, 0.999)) if fixed else steps
        full = webui.schedule(denoiser, self.o["schedule"], steps)
        sigmas = full[steps - t - 1 :]
        return self.sample(denoiser, latent + noise.next()[None] * sigmas[0] * self.o.get("initialNoiseMultiplier", 1), sigmas, noise, full)


def text_to_image(model, spec, seed):
    o = spec["options"]
    work = Work(model, spec, seed)
    size = (o["height"], o["width"])
    latent_size = [s // model.factor for s in size]
    noise = work.noise(latent_size)
    concat = None
    if model.unet.config.in_channels == 9:  # completely masked: a gray image under a full mask
        grey = webui.encode_image(model, torch.zeros(1, 3, *size))
        concat = torch.cat([torch.ones(1, 1, *latent_size), grey], dim=1)
    denoiser = work.denoiser(size, concat=concat)
    sigmas = webui.schedule(denoiser, o["schedule"], o["steps"])
    # diffusers' UniPC starts from the noise itself, which is sqrt(1 + sigma^2) times it in k-diffusion's scale.
    scale = (1 + sigmas[0] ** 2) ** 0.5 if o["sampler"] == "unipc" else sigmas[0]
    latent = work.sample(denoiser, noise.next()[None] * scale, sigmas, noise)
    if "hiresScale" not in o:
        return latent
    large = [int(s * o["hiresScale"]) // model.factor * model.factor for s in size]
    large_latent = [s // model.factor for s in large]
    if concat is not None:
        concat = torch.cat([torch.ones(1, 1, *large_latent), webui.encode_image(model, torch.zeros(1, 3, *large))], dim=1)
    if o["hiresUpscaler"] == "latent":
        latent = torch.nn.functional.interpolate(latent, size=large_latent, mode="bilinear", antialias=False)
    else:
        kernel = {"lanczos": Image.LANCZOS, "nearest": Image.NEAREST}[o["hiresUpscaler"]]
        image = Image.fromarray(webui.to_pixels(webui.decode(model, latent))).resize(large[::-1], kernel)
        latent = webui.encode_image(model, webui.to_tensor(image))
    second = Work(model, spec | dict(options=o | {k: o[f"hires{k.capitalize()}"] for k in ("prompt", "negative", "sampler", "schedule")
                                                  if f"hires{k.capitalize()}" in o}), seed)  # fmt: skip
    return second.from_image(second.denoiser(large, concat=concat), latent, second.noise(large_latent),
                             o.get("hiresSteps", o["steps"]), o["hiresStrength"], fixed=True)  # fmt: skip


def image_to_image(model, spec, seed):
    o = spec["options"]
    work = Work(model, spec, seed)
    image = IMAGES[o["init"]]
    factor = model.factor
    width, height = (o.get("width") or image.width // factor * factor), (o.get("height") or image.height // factor * factor)
    size, latent_size = (height, width), (height // factor, width // factor)
    noise = work.noise(latent_size)
    finish = lambda pixels: pixels  # noqa: E731
    resize_mode = {"crop": 1, "fill": 2}.get(o.get("resizeMode"), 0)
    mask, region = None, None
    if "mask" in o:
        mask = IMAGES[o["mask"]]
        if o.get("maskInvert"):
            mask = mask.point(lambda v: 255 - v)
        mask = webui.blur_mask(mask, o.get("maskBlur", 4))
        original = image
        if o.get("onlyMasked"):
            overlay = mask
            region = webui.crop_region(mask, o["padding"], (width, height))
            mask = webui.resize_image(2, mask.crop(region), width, height)
            image = webui.resize_image(2, image.crop(region), width, height)
        elif image.size != (width, height):
            image, mask = (webui.resize_image(resize_mode, each, width, height) for each in (image, mask))
            original = image
        if region is None:
            overlay = mask.point(lambda v: min(2 * v, 255))

        def finish(pixels):
            if region is None:
                return webui.paste_back(pixels, original, overlay)
            x1, y1, x2, y2 = region
            whole = original.copy()
            whole.paste(webui.resize_image(1, Image.fromarray(pixels), x2 - x1, y2 - y1), (x1, y1))
            return webui.paste_back(np.asarray(whole), original, overlay)

    if image.size != (width, height) and o.get("resizeMode") != "latent":
        image = webui.resize_image(resize_mode, image, width, height)
    if "mask" in o and o["fill"] != "original":  # A1111 fills before it encodes, even if the latent is replaced afterwards
        image = webui.fill(image, mask)
    posterior = (lambda: noise.next()[None]) if o.get("posterior") == "sample" else (lambda: None)
    latent = webui.encode_image(model, webui.to_tensor(image), posterior())
    if o.get("resizeMode") == "latent":
        latent = torch.nn.functional.interpolate(latent, size=latent_size, mode="bilinear")
    blend, concat = None, None
    if mask is not None:
        small = webui.latent_mask(mask, latent.shape, o.get("maskRound", True))
        if o["fill"] == "noise":  # from a separate generator: the numbers of the image's first noise
            latent = latent * (1 - small) + work.plain_noise(latent_size).next()[None] * small
        elif o["fill"] == "nothing":
            latent = latent * (1 - small)
        blend = (latent, small)
    if model.unet.config.in_channels == 9:
        full = torch.ones(1, 1, height, width) if mask is None else torch.from_numpy(np.asarray(mask, dtype=np.float32) / 255)
        full = torch.round(full).reshape(1, 1, height, width)
        hidden = webui.encode_image(model, webui.to_tensor(image) * (1 - full), posterior())
        concat = torch.cat([torch.nn.functional.interpolate(full, size=latent_size), hidden], dim=1)
    denoiser = work.denoiser(size, blend=blend, concat=concat)
    result = work.from_image(denoiser, latent, noise, o["steps"], o.get("strength", 0.75))
    if blend is not None:
        result = result * blend[1] + blend[0] * (1 - blend[1])
    return result, finish


def make(model, spec, seed):
    """(latent [1, 4, h, w], pixels [H, W, 3])"""
    finish = lambda pixels: pixels  # noqa: E731
    if spec["diffusers"]:
        latent = diffusers_latent(model, spec, seed)
    elif "init" in spec["options"]:
        latent, finish = image_to_image(model, spec, seed)
    else:
        latent = text_to_image(model, spec, seed)
    return latent, finish(webui.to_pixels(webui.decode(model, latent)))


def write_case(model, spec):
    """Returns the images and latents of a case, and its record for cases.json."""
    o = spec["options"]
    model.scheduler = model.spec["scheduler"] | (spec["scheduler"] or {})
    predictions = {"x0": "sample", "eps": "epsilon", "v": "v_prediction"}
    if "prediction" in o:
        model.scheduler = model.scheduler | {"prediction_type": predictions[o["prediction"]]}
    latents, files = [], []
    for i in range(o.get("count", 1)):
        latent, pixels = make(model, spec, o["seed"] + i)
        latents.append(latent)
        files.append(spec["name"] + (f"-{i + 1}" if i else "") + ".png")
        Image.fromarray(pixels).save(OUT / "expected" / files[-1], optimize=True)
    np.save(OUT / "expected" / f"{spec['name']}.npy", torch.cat(latents).numpy())
    record = dict(name=spec["name"], model=spec["model"], options=o, images=files)
    if spec["scheduler"]:
        record["scheduler"] = spec["scheduler"]
    return record


def encoder_cases(loaded):
    """Latents of an image as `safelight encode` writes them."""
    for name, model in loaded.items():
        tensor = webui.to_tensor(IMAGES["init.png"])
        np.save(OUT / "expected" / f"encode-{name}.npy", webui.encode_image(model, tensor).numpy())
        noise = webui.CpuNoise(5, (4, 64 // model.factor, 64 // model.factor)).next()[None]
        np.save(OUT / "expected" / f"encode-{name}-sample-5.npy", webui.encode_image(model, tensor, noise).numpy())


def main():
    warnings.filterwarnings("ignore")
    torch.set_grad_enabled(False)
    shutil.rmtree(OUT, ignore_errors=True)
    (OUT / "expected").mkdir(parents=True)
    (OUT / "images").mkdir()
    models.write_tokenizer(OUT / "tokenizer")
    models.write_tokenizer(OUT / "tokenizer_2", pad="!")
    for name, image in IMAGES.items():
        image.save(OUT / "images" / name, optimize=True)
    for add in (text_cases, prompt_cases, image_cases, hires_cases, extra_cases):
        add()
    wanted = sys.argv[1:]
    loaded = {name: load(name) for name in models.MODELS}
    records = []
    for spec in CASES:
        negative = spec["options"].pop("negative_prompt", None)
        if negative is not None:
            spec["options"]["negative"] = negative
        if not wanted or any(part in spec["name"] for part in wanted):
            print(spec["name"], flush=True)
            records.append(write_case(loaded[spec["model"]], spec))
    encoder_cases(loaded)
    models.write_json(OUT / "checksums.json", {name: model.checksum() for name, model in loaded.items()})
    (OUT / "cases.json").write_text("[\n" + ",\n".join(json.dumps(r) for r in records) + "\n]\n")


if __name__ == "__main__":
    main()
