"""Writes test/fixtures/ldm: whole images of CompVis' latent diffusion and of the corresponding diffusers pipelines.

    pip install --no-deps stable-diffusion-sdkit==2.1.5 taming-transformers-rom1504==0.0.6
    python test/reference/latent_diffusion.py

CompVis' U-Net and samplers and taming's autoencoder generate the images of the `ldm` cases, as CompVis' scripts call
them; diffusers' pipelines generate the others. No weight is stored: each is a hash of its name
(`pipelines_models.py`). models.json has the manifests `[name, shape, amplitude, base]` of components, cases.json the
composition of each checkpoint and the options of its image.
"""

import json
import sys
import types

import numpy as np
import taming_import  # noqa: F401
import torch
from PIL import Image, ImageDraw
from safetensors.torch import save_file

from common import FIXTURES
from pipelines_models import fan_in_amplitude, tensor

torch.set_grad_enabled(False)
OUT = FIXTURES / "ldm"
MODELS, CASES, EXPECTED = {}, [], {}

GAINS = [("attn2.to_q", 2.0), ("attn2.to_k", 2.0), ("attn2.to_v", 2.0), ("to_q", 1.6), ("to_k", 1.6), ("qkv", 1.6), ("conv2", 0.7),
         ("conv_out", 0.7), ("out.2", 0.5), ("", 1.0)]  # fmt: skip


# -- parts -----------------------------------------------------------------------------------------------------------


def part(name, module):
    """Fills a module with numbers from the names of its tensors, and records its manifest."""
    rows, state = [], {}
    for key, value in module.state_dict().items():
        if not value.dtype.is_floating_point:
            continue
        shape = list(value.shape)
        if key.endswith("bias"):
            amp, base = 0.125, 0.0
        elif len(shape) == 1:
            amp, base = 0.25, 1.0
        elif any(end in key for end in ("embedding.weight", "embed_tokens", "embed_positions", "label_emb", "class_embedding", "_emb.")):
            amp, base = (16.0 if "quantize" in key else 1.0), 0.0
        else:
            amp, base = fan_in_amplitude(shape, next(gain for has, gain in GAINS if has in key)), 0.0
        rows.append([key, shape, amp, base])
        state[key] = torch.from_numpy(tensor(f"{name}.{key}", [name, key, shape, amp, base]))
    module.load_state_dict(state, strict=False)
    known = MODELS.setdefault(name, rows)
    assert known == rows
    return module.eval().requires_grad_(False)


def noise(seeds, shape):
    return torch.stack([torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds])


def keep(name, latents, pictures):
    """Converts images `[B, 3, H, W]` in -1..1 to rows of RGB bytes."""
    EXPECTED[f"{name}/latent"] = latents.float().contiguous()
    pixels = ((pictures.clamp(-1, 1) + 1) / 2 * 255).round().permute(0, 2, 3, 1).expand(-1, -1, -1, 3)
    EXPECTED[f"{name}/picture"] = pixels.to(torch.uint8).contiguous()
    print(name, tuple(latents.shape), f"{latents.std():.2f}", f"{pixels.float().std():.1f}")


# -- CompVis ---------------------------------------------------------------------------------------------------------

VQ_DD = dict(double_z=False, z_channels=3, resolution=32, in_channels=3, out_ch=3, ch=32, ch_mult=[1, 1, 2], num_res_blocks=1,
             attn_resolutions=[], dropout=0.0)  # fmt: skip
VQ = {"target": "ldm.models.autoencoder.VQModelInterface",
      "params": {"embed_dim": 3, "n_embed": 64, "ddconfig": VQ_DD, "lossconfig": {"target": "torch.nn.Identity"}}}  # fmt: skip
KL_DD = dict(VQ_DD, double_z=True, z_channels=4)
KL = {"target": "ldm.models.autoencoder.AutoencoderKL",
      "params": {"embed_dim": 4, "ddconfig": KL_DD, "lossconfig": {"target": "torch.nn.Identity"}}}  # fmt: skip


class Codebook(torch.nn.Module):
    """LDM's VQModelInterface over taming's modules: encode returns the latent before quantization, decode quantizes."""

    def __init__(self):
        super().__init__()
        from taming.modules.diffusionmodules.model import Decoder, Encoder
        from taming.modules.vqvae.quantize import VectorQuantizer2

        self.encoder, self.decoder = Encoder(**VQ_DD), Decoder(**VQ_DD)
        self.quantize = VectorQuantizer2(64, 3, beta=0.25)
        self.quant_conv, self.post_quant_conv = torch.nn.Conv2d(3, 3, 1), torch.nn.Conv2d(3, 3, 1)

    def encode(self, x):
        return self.quant_conv(self.encoder(x))

    def decode(self, z):
        return self.decoder(self.post_quant_conv(self.quantize(z)[0]))


class Distribution(torch.nn.Module):
    """AutoencoderKL without an encoder, which is not used here."""

    def __init__(self):
        super().__init__()
        from taming.modules.diffusionmodules.model import Decoder, Encoder

        self.encoder, self.decoder = Encoder(**KL_DD), Decoder(**dict(KL_DD, double_z=False))
        self.quant_conv, self.post_quant_conv = torch.nn.Conv2d(8, 8, 1), torch.nn.Conv2d(4, 4, 1)

    def decode(self, z):
        return self.decoder(self.post_quant_conv(z))


def unet(name, **params):
    from ldm.modules.diffusionmodules.openaimodel import UNetModel

    base = dict(image_size=8, in_channels=3, out_channels=3, model_channels=32, num_res_blocks=1, attention_resolutions=[1, 2],
                channel_mult=[1, 2], use_checkpoint=False)  # fmt: skip
    params = base | params
    return part(name, UNetModel(**params).eval()), params


class Diffusion:
    """The members of LatentDiffusion that CompVis' samplers use; schedule of `make_beta_schedule`."""

    device = torch.device("cpu")

    def __init__(self, unet, training, call):
        from ldm.modules.diffusionmodules.util import make_beta_schedule

        self.unet, self.call = unet, call
        self.parameterization = training.get("parameterization", "eps")
        self.num_timesteps = training["timesteps"]
        betas = make_beta_schedule(training.get("beta_schedule", "linear"), self.num_timesteps, training["linear_start"], training["linear_end"])
        alphas = np.cumprod(1 - betas)
        self.betas, self.alphas_cumprod = torch.tensor(betas).float(), torch.tensor(alphas).float()
        self.alphas_cumprod_prev = torch.tensor(np.append(1.0, alphas[:-1])).float()

    def apply_model(self, x, t, condition):
        return self.call(self.unet, x, t, condition)

    def predict_eps_from_z_and_v(self, x, t, v):
        a = self.alphas_cumprod[t].view(-1, 1, 1, 1)
        return a.sqrt() * v + (1 - a).sqrt() * x

    def predict_start_from_z_and_v(self, x, t, v):
        a = self.alphas_cumprod[t].view(-1, 1, 1, 1)
        return a.sqrt() * x - (1 - a).sqrt() * v


CALLS = {
    "crossattn": lambda net, x, t, c: net(x, t, context=c),
    "adm": lambda net, x, t, c: net(x, t, y=c),
    "concat": lambda net, x, t, c: net(torch.cat([x, c], 1), t),
    None: lambda net, x, t, _: net(x, t),
}
TRAINING = dict(timesteps=1000, linear_start=0.0015, linear_end=0.0195)


def sample(model, sampler, steps, start, condition=None, unconditional=None, scale=1.0):
    from ldm.models.diffusion.ddim import DDIMSampler
    from ldm.models.diffusion.plms import PLMSSampler

    draw = {"ddim": DDIMSampler, "plms": PLMSSampler}[sampler](model)
    latents, _ = draw.sample(S=steps, batch_size=len(start), shape=start.shape[1:], conditioning=condition, x_T=start, eta=0.0, verbose=False,
                             unconditional_guidance_scale=scale, unconditional_conditioning=unconditional)  # fmt: skip
    return latents


def ldm_case(name, net, config, parts, first, *, key=None, training=TRAINING, factor=1.0, buffer=False, condition=None, options, **tensors):
    """Writes a checkpoint of `parts` (prefix: manifest) with its YAML, and the image that it generates with these
    options."""
    seeds = [options["seed"] + i for i in range(options.get("count", 1))]
    model = Diffusion(net, training, CALLS[key])
    size = options.pop("size", [8, 8])
    start = noise(seeds, (config["out_channels"], *size))
    told, nothing = (condition or (lambda count: (None, None)))(len(seeds))
    latents = sample(model, options["sampler"], options["steps"], start, told, nothing, options.get("cfg", 1.0))
    keep(name, latents, first.decode(latents / factor) if first else latents)
    target = "ldm.models.diffusion.ddpm.LatentDiffusion" if first else "ldm.models.diffusion.ddpm.DDPM"
    stage = {} if first is None else {"first_stage_config": KL if isinstance(first, Distribution) else VQ}
    params = {**training, "image_size": 8, "channels": config["out_channels"], **stage, **tensors.pop("yaml", {}),
              **({} if buffer else {"scale_factor": factor}),
              "unet_config": {"target": "ldm.modules.diffusionmodules.openaimodel.UNetModel", "params": config}}  # fmt: skip
    options.update(tensors.pop("ask", {}))
    CASES.append(dict(name=name, yaml={"model": {"target": target, "params": params}}, parts=parts, options=options, size=size,
                      **({"scale_factor": factor} if buffer else {}), **tensors))  # fmt: skip


def ldm_cases():
    vq, kl = part("vq", Codebook()), part("kl", Distribution())
    first = {"first_stage_model.": "vq"}

    # cin256-v2: a class is a token; the last one represents no class.
    net, config = unet("cin", num_heads=1, use_spatial_transformer=True, transformer_depth=1, context_dim=16)
    table = part("classes", torch.nn.ModuleDict({"embedding": torch.nn.Embedding(5, 16)}))["embedding"]

    def classes(label):
        return lambda count: tuple(table(torch.tensor([n] * count))[:, None] for n in (label, 4))

    embedder = {"target": "ldm.modules.encoders.modules.ClassEmbedder", "params": {"n_classes": 5, "embed_dim": 16, "key": "class_label"}}
    made = dict(key="crossattn", yaml={"cond_stage_config": embedder, "conditioning_key": "crossattn"})
    parts = {"model.diffusion_model.": "cin", "cond_stage_model.": "classes", **first}
    ldm_case("class", net, config, parts, vq, condition=classes(2),
             options=dict(sampler="ddim", steps=4, cfg=3.0, seed=5, count=2), **{"class": 2}, **made)  # fmt: skip
    ldm_case("class-plms", net, config, parts, vq, condition=classes(0),
             options=dict(sampler="plms", steps=5, cfg=1.5, seed=9), **{"class": 0}, **made)  # fmt: skip

    # celebahq, ffhq: attention blocks, unconditional.
    net, config = unet("faces", num_head_channels=32)
    parts = {"model.diffusion_model.": "faces", **first}
    plain = dict(yaml={"cond_stage_config": "__is_unconditional__"})
    ldm_case("faces", net, config, parts, vq, options=dict(sampler="ddim", steps=5, seed=3, count=2), **plain)
    ldm_case("faces-v", net, config, parts, vq, training=dict(TRAINING, parameterization="v", beta_schedule="cosine"),
             options=dict(sampler="ddim", steps=4, seed=4), **plain)  # fmt: skip

    # churches: KL, scale and shift, residual blocks that resample; the scale factor was measured.
    net, config = unet("churches", num_heads=4, use_scale_shift_norm=True, resblock_updown=True, in_channels=4, out_channels=4)
    ldm_case("churches", net, config, {"model.diffusion_model.": "churches", "first_stage_model.": "kl"}, kl, factor=0.75, buffer=True,
             training=dict(TRAINING, linear_end=0.0155), options=dict(sampler="plms", steps=4, seed=6, size=[8, 12]), **plain)  # fmt: skip

    # A class for which the U-Net has its own embedding table.
    net, config = unet("labels", num_heads=2, num_classes=4)
    ldm_case("labels", net, config, {"model.diffusion_model.": "labels", **first}, vq, key="adm",
             condition=lambda count: (torch.tensor([3] * count), None), yaml={"conditioning_key": "adm"},
             options=dict(sampler="ddim", steps=5, seed=1), **{"class": 3})  # fmt: skip


# -- diffusers -------------------------------------------------------------------------------------------------------


def described(module):
    config = {k: v for k, v in module.config.items() if k not in ("_use_default_values", "_diffusers_version")}
    return {"_class_name": type(module).__name__, **json.loads(json.dumps(config))}


def folder_case(name, cls, components, parts, options, call, size, ask=None, files=None):
    """Writes a diffusers folder and the image of its pipeline. `parts`: manifests of components; `ask`: the
    equivalent options of Safelight."""
    pipeline = cls(**components)
    pipeline.set_progress_bar_config(disable=True)
    last, step = {}, pipeline.scheduler.step

    def recorded(*given, **more):
        done = step(*given, **more)
        last["latent"] = done.prev_sample
        return done

    pipeline.scheduler.step = recorded
    generators = [torch.Generator().manual_seed(options["seed"] + i) for i in range(options.get("count", 1))]
    # One generator if the pipeline accepts no list.
    drawn = pipeline(generator=generators if len(generators) > 1 else generators[0], num_inference_steps=options["steps"],
                     output_type="np", **call).images  # fmt: skip
    keep(name, last["latent"], torch.from_numpy(drawn).permute(0, 3, 1, 2) * 2 - 1)
    index = {"_class_name": cls.__name__, **{key: ["diffusers", type(value).__name__] for key, value in components.items()}}
    configs = {f"{key}/{'scheduler_' if key == 'scheduler' else ''}config.json": described(value) for key, value in components.items()
               if hasattr(value, "config") and key not in ("tokenizer", "bert")}  # fmt: skip
    CASES.append(dict(name=name, folder={"model_index.json": index, **configs, **(files or {})}, parts=parts,
                      options={**options, **(ask or {})}, size=size))  # fmt: skip


def small_unet(name, **config):
    from diffusers import UNet2DModel

    base = dict(sample_size=16, layers_per_block=1, norm_num_groups=8, block_out_channels=(16, 32), attention_head_dim=8,
                down_block_types=("DownBlock2D", "AttnDownBlock2D"), up_block_types=("AttnUpBlock2D", "UpBlock2D"))  # fmt: skip
    return part(name, UNet2DModel(**base | config))


def folder_cases():
    from diffusers import DDIMPipeline, DDIMScheduler, DDPMPipeline, DDPMScheduler, LDMSuperResolutionPipeline, VQModel
    from diffusers.pipelines.deprecated.latent_diffusion_uncond.pipeline_latent_diffusion_uncond import LDMPipeline

    # google/ddpm-*: pixel space, clamped at each step.
    pixels = small_unet("pixels", downsample_padding=0, flip_sin_to_cos=False, freq_shift=1, norm_eps=1e-6)
    parts = {"unet/diffusion_pytorch_model": "pixels"}
    folder_case("ddpm", DDPMPipeline, dict(unet=pixels, scheduler=DDPMScheduler()), parts, dict(steps=6, seed=2, count=2),
                dict(batch_size=2), [16, 16], dict(sampler="ddpm"))  # fmt: skip
    # The step continues from the clamped prediction, as in Nichol and Dhariwal's code.
    folder_case("ddpm-ddim", DDIMPipeline, dict(unet=pixels, scheduler=DDIMScheduler()), parts, dict(steps=5, seed=3),
                dict(use_clipped_model_output=True), [16, 16], dict(sampler="ddim"))  # fmt: skip
    gray = small_unet("gray", in_channels=1, out_channels=1)
    folder_case("ddpm-gray", DDPMPipeline, dict(unet=gray, scheduler=DDPMScheduler(clip_sample=False, prediction_type="v_prediction")),
                {"unet/diffusion_pytorch_model": "gray"}, dict(steps=4, seed=1), {}, [16, 16], dict(sampler="ddpm"))  # fmt: skip

    vq = part("vqvae", VQModel(block_out_channels=(16, 32), down_block_types=("DownEncoderBlock2D",) * 2, layers_per_block=1,
                               up_block_types=("UpDecoderBlock2D",) * 2, latent_channels=3, num_vq_embeddings=32, norm_num_groups=8,
                               sample_size=16, scaling_factor=0.5))  # fmt: skip
    betas = dict(beta_schedule="scaled_linear", beta_start=0.0015, beta_end=0.0195, clip_sample=False)
    latents = small_unet("latents", sample_size=8)
    parts = {"unet/diffusion_pytorch_model": "latents", "vqvae/diffusion_pytorch_model": "vqvae"}
    folder_case("ldm-faces", LDMPipeline, dict(vqvae=vq, unet=latents, scheduler=DDIMScheduler(**betas)), parts, dict(steps=5, seed=7), {},
                [8, 8], dict(sampler="ddim"))  # fmt: skip


# -- a condition image concatenated to the latent --------------------------------------------------------------------


def drawing(width, height):
    y, x = np.mgrid[0:height, 0:width]
    base = np.stack([255 * x / width, 255 * y / height, 128 + 90 * np.sin(x / 3) * np.cos(y / 4)], axis=-1)
    return Image.fromarray(base.astype(np.uint8))


def picture_cases():
    from diffusers import DDIMScheduler, LDMSuperResolutionPipeline, VQModel

    OUT.mkdir(parents=True, exist_ok=True)
    drawing(32, 32).save(OUT / "init.png")
    drawing(16, 8).save(OUT / "small.png")
    mask = Image.new("L", (32, 32), 0)
    ImageDraw.Draw(mask).rectangle([9, 6, 22, 25], fill=255)
    mask.save(OUT / "mask.png")

    # scripts/inpaint.py: the masked image's latent and the mask, from noise; outside of the mask the image is kept.
    vq = part("vq", Codebook())
    image, hole = (torch.from_numpy(np.array(Image.open(OUT / name), dtype=np.float32) / 255) for name in ("init.png", "mask.png"))
    image, hole = image.permute(2, 0, 1)[None], (hole[None, None] >= 0.5).float()
    masked = ((1 - hole) * image) * 2 - 1
    where = torch.nn.functional.interpolate(hole * 2 - 1, size=(8, 8))
    beside = torch.cat([vq.encode(masked), where], 1)
    net, config = unet("inpaint", num_heads=2, in_channels=7)

    class Whole:
        decode = staticmethod(lambda z: ((1 - hole) * image + hole * ((vq.decode(z) + 1) / 2).clamp(0, 1)) * 2 - 1)

    ldm_case("inpaint", net, config, {"model.diffusion_model.": "inpaint", "first_stage_model.": "vq"}, Whole(), key="concat",
             training=dict(TRAINING, linear_end=0.0205), condition=lambda count: (beside.repeat(count, 1, 1, 1), None),
             yaml={"cond_stage_config": "__is_first_stage__", "conditioning_key": "concat"},
             options=dict(sampler="ddim", steps=4, seed=8, count=2), ask=dict(init="init.png", mask="mask.png", maskBlur=0))  # fmt: skip

    net = small_unet("enlarge", in_channels=6, sample_size=8)
    first = part("vqvae", VQModel(block_out_channels=(16, 32), down_block_types=("DownEncoderBlock2D",) * 2, layers_per_block=1,
                                  up_block_types=("UpDecoderBlock2D",) * 2, latent_channels=3, num_vq_embeddings=32, norm_num_groups=8,
                                  sample_size=16, scaling_factor=0.5))  # fmt: skip
    betas = dict(beta_schedule="scaled_linear", beta_start=0.0015, beta_end=0.0155, clip_sample=False)
    low = torch.from_numpy(np.array(Image.open(OUT / "small.png"), dtype=np.float32) / 255 * 2 - 1).permute(2, 0, 1)[None]
    folder_case("super-resolution", LDMSuperResolutionPipeline, dict(vqvae=first, unet=net, scheduler=DDIMScheduler(**betas)),
                {"unet/diffusion_pytorch_model": "enlarge", "vqvae/diffusion_pytorch_model": "vqvae"}, dict(steps=4, seed=5),
                dict(image=low), [8, 16], dict(sampler="ddim", init="small.png"))  # fmt: skip


# -- text by BERT ---------------------------------------------------------------------------------------------------

WORDS = """[PAD] [UNK] [CLS] [SEP] [MASK] ! ' ( ) , - . : ? a an the of on in with and red green blue fox cat dog castle moon night paint
##ing ##s ##ed ##er un ##believ ##able cafe n b ##o ##x x 1 ##2 ##3 \u4e2d \u6587 \u00df \u03c3 old strasse stra ##\u00dfe""".split()
TEXTS = ["", "a red fox", "A RED Fox, unbelievable!", "painting foxes", "caf\u00e9 na\u00efve", "\u4e2d\u6587 and\u4e2d", "x123 xx", "a\u200bb\tc\u0000d",
         "[MASK] fox[SEP]", "Stra\u00dfe \u03a3\u03c3", "(red) - blue...", "\u2014the\u2019s", "o" * 101, "\U0001f98a fox", "e\u0301 a\u0308"]  # fmt: skip


def x_transformers(state):
    """LDM's names of diffusers' text encoder, as convert_original_checkpoint reads them."""
    names = {"model.embed_tokens": "token_emb", "model.embed_positions": "pos_emb.emb", "model.layer_norm": "norm"}
    inner = {"self_attn_layer_norm": (0, "0"), "self_attn.q_proj": (0, "1.to_q"), "self_attn.k_proj": (0, "1.to_k"), "self_attn.v_proj": (0, "1.to_v"),
             "self_attn.out_proj": (0, "1.to_out"), "final_layer_norm": (1, "0"), "fc1": (1, "1.net.0.0"), "fc2": (1, "1.net.2")}  # fmt: skip
    renamed = {}
    for key, value in state.items():
        stem, leaf = key.rsplit(".", 1)
        if stem in names:
            renamed[f"{names[stem]}.{leaf}"] = value
            continue
        layer, rest = stem.removeprefix("model.layers.").split(".", 1)
        odd, place = inner[rest]
        renamed[f"attn_layers.layers.{2 * int(layer) + odd}.{place}.{leaf}"] = value
    return renamed


class Renamed(torch.nn.Module):
    """A module whose state has other names, from which its weights are then hashed."""

    def __init__(self, module):
        super().__init__()
        self.inner = [module]

    def state_dict(self):
        return x_transformers(self.inner[0].state_dict())

    def load_state_dict(self, state, strict=False):
        back = {new: old for old, new in zip(self.inner[0].state_dict(), x_transformers(self.inner[0].state_dict()))}
        self.inner[0].load_state_dict({back[key]: value for key, value in state.items()})


def text_cases():
    from diffusers import AutoencoderKL, DDIMScheduler, LDMTextToImagePipeline, UNet2DConditionModel
    from diffusers.pipelines.latent_diffusion.pipeline_latent_diffusion import LDMBertConfig, LDMBertModel
    from transformers import BertTokenizerFast

    vocabulary = "\n".join(WORDS) + "\n"
    (OUT / "vocab.txt").write_text(vocabulary, encoding="utf-8")
    tokenizer = BertTokenizerFast(vocab={word: i for i, word in enumerate(WORDS)}, do_lower_case=True, model_max_length=77)
    tokens = [[text, tokenizer(text, add_special_tokens=False).input_ids] for text in TEXTS]
    (OUT / "tokens.json").write_text("[\n" + ",\n".join(json.dumps(row) for row in tokens) + "\n]\n")

    def bert():
        config = LDMBertConfig(vocab_size=len(WORDS), encoder_layers=2, encoder_ffn_dim=64, encoder_attention_heads=8, head_dim=8, d_model=32)
        module = LDMBertModel(config).eval()
        module.to_logits = torch.nn.Identity()
        return module

    def encode(module, text):
        ids = tokenizer([text], padding="max_length", max_length=77, truncation=True, return_tensors="pt").input_ids
        return module(ids)[0]

    prompt, cfg = "A red fox, painting", 4.0
    module = part("bert", bert())
    net = part("text-unet", UNet2DConditionModel(
        sample_size=8, in_channels=4, out_channels=4, layers_per_block=1, block_out_channels=(32, 64), cross_attention_dim=32, attention_head_dim=4,
        norm_num_groups=8, down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D")))  # fmt: skip
    vae = part("text-vae", AutoencoderKL(block_out_channels=(16,) * 4, down_block_types=("DownEncoderBlock2D",) * 4, layers_per_block=1, latent_channels=4,
                                         up_block_types=("UpDecoderBlock2D",) * 4, norm_num_groups=8, sample_size=64))  # fmt: skip
    betas = dict(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, clip_sample=False)
    files = {"bert/config.json": json.loads(module.config.to_json_string()), "tokenizer/vocab.txt": vocabulary}
    folder_case("text-folder", LDMTextToImagePipeline, dict(vqvae=vae, bert=module, tokenizer=tokenizer, unet=net, scheduler=DDIMScheduler(**betas)),
                {"unet/diffusion_pytorch_model": "text-unet", "vqvae/diffusion_pytorch_model": "text-vae", "bert/model": "bert"},
                dict(steps=4, seed=11), dict(prompt=[prompt], guidance_scale=cfg, height=64, width=64), [8, 8],
                dict(sampler="ddim", prompt=prompt, cfg=cfg), files)  # fmt: skip

    named = bert()
    part("ldm-bert", Renamed(named))
    net, config = unet("text", num_heads=4, use_spatial_transformer=True, transformer_depth=1, context_dim=32)
    embedder = {"target": "ldm.modules.encoders.modules.BERTEmbedder", "params": {"n_embed": 32, "n_layer": 2}}
    ldm_case("text", net, config, {"model.diffusion_model.": "text", "first_stage_model.": "vq", "cond_stage_model.transformer.": "ldm-bert"},
             part("vq", Codebook()), key="crossattn", yaml={"cond_stage_config": embedder, "conditioning_key": "crossattn"},
             condition=lambda count: (encode(named, prompt), encode(named, "")), options=dict(sampler="ddim", steps=4, cfg=cfg, seed=12),
             ask=dict(prompt=prompt))  # fmt: skip


def main():
    sys.modules.setdefault("xformers", None)
    sys.modules.setdefault("pytorch_lightning", types.ModuleType("pytorch_lightning"))
    ldm_cases()
    folder_cases()
    picture_cases()
    text_cases()
    OUT.mkdir(parents=True, exist_ok=True)
    manifests = [f'"{name}": [\n' + ",\n".join(json.dumps(row) for row in rows) + "\n]" for name, rows in MODELS.items()]
    (OUT / "models.json").write_text("{\n" + ",\n".join(manifests) + "\n}\n")
    (OUT / "cases.json").write_text("[\n" + ",\n".join(json.dumps(case) for case in CASES) + "\n]\n")
    save_file(EXPECTED, OUT / "expected.safetensors")


if __name__ == "__main__":
    main()
