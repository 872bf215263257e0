"""Tiny random models of the Stable Diffusion families, for the whole-image fixtures.

No weight is stored: every tensor is a counter-based hash of its name, so that Python here and TypeScript in the tests
(`test/support/tiny-models.ts`) generate the same bytes from a manifest of names, shapes and amplitudes. Values have
at most 11 significant bits, which f16 holds exactly.

A manifest row also contains the tensor's name in a single-file ("ldm") checkpoint, and its layout there.
"""

import hashlib
import json
import math
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

WORDS = """a an the of on in with and red green blue apple fox cat dog castle moon night bright dark small tall old new
painting photo water fire tree house river mountain snow rain soft blurry ugly bad quality very sharp light glass stone
gold silver flower bird horse ship road cloud star king queen""".split()

MERGE_COUNT = 200


# -- vocabulary ------------------------------------------------------------------------------------------------------


def byte_symbols():
    """CLIP's (GPT-2's) printable stand-ins for the 256 bytes, in its order."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in printable]
    return [chr(b) for b in printable] + [chr(256 + i) for i in range(len(others))]


def vocabulary():
    """Learns byte pair merges of a few words by counting, as BPE does; returns (tokens in id order, merges)."""
    words = [[*word[:-1], word[-1] + "</w>"] for word in WORDS]
    merges = []
    while len(merges) < MERGE_COUNT:
        pairs = {}
        for word in words:
            for pair in zip(word, word[1:]):
                pairs[pair] = pairs.get(pair, 0) + 1
        if not pairs:
            break
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        for word in words:
            i = 0
            while i < len(word) - 1:
                if (word[i], word[i + 1]) == best:
                    word[i : i + 2] = ["".join(best)]
                i += 1
    symbols = byte_symbols()
    tokens = symbols + [s + "</w>" for s in symbols] + ["".join(m) for m in merges] + ["<|startoftext|>", "<|endoftext|>"]
    return tokens, merges


def write_tokenizer(folder: Path, pad="<|endoftext|>", model_max_length=77):
    folder.mkdir(parents=True, exist_ok=True)
    tokens, merges = vocabulary()
    special = {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "pad_token": pad, "unk_token": "<|endoftext|>"}
    write_json(folder / "vocab.json", {token: i for i, token in enumerate(tokens)})
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges), encoding="utf-8")
    write_json(folder / "special_tokens_map.json", special)
    write_json(
        folder / "tokenizer_config.json",
        {"tokenizer_class": "CLIPTokenizer", "model_max_length": model_max_length, **special},
    )


def write_json(path: Path, value):
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


# -- weights ---------------------------------------------------------------------------------------------------------


def name_hash(name: str) -> int:
    """FNV-1a over the name's bytes."""
    value = 0x811C9DC5
    for byte in name.encode():
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value


def noise(name: str, count: int) -> np.ndarray:
    """`count` numbers (2u - 255) / 256 with u = 0 .. 255: 32-bit murmur finalizer over a Weyl sequence."""
    with np.errstate(over="ignore"):
        x = np.uint32(name_hash(name)) + np.arange(count, dtype=np.uint32) * np.uint32(0x9E3779B9)
        x ^= x >> np.uint32(16)
        x *= np.uint32(0x85EBCA6B)
        x ^= x >> np.uint32(13)
        x *= np.uint32(0xC2B2AE35)
        x ^= x >> np.uint32(16)
    return ((x >> np.uint32(24)).astype(np.float32) * 2 - 255) / 256


def amplitude(value: float) -> float:
    """The nearest c * 2^k with c of 4 .. 7, so that amplitude times noise has at most 11 bits."""
    k = math.floor(math.log2(value)) - 2
    return max(4, min(7, round(value / 2.0**k))) * 2.0**k


def tensor(key: str, row) -> np.ndarray:
    _, _, shape, amp, base = row[:5]
    halves = np.array(amp if isinstance(amp, list) else [amp, amp], dtype=np.float32)
    # Two amplitudes: of the first half and of the second half of the leading dimension.
    values = noise(key, math.prod(shape)).reshape(2, -1) if isinstance(amp, list) else noise(key, math.prod(shape))[None]
    return (base + halves[: len(values), None] * values).reshape(shape).astype(np.float32)


def fan_in_amplitude(shape, gain):
    return amplitude(gain * math.sqrt(3 / math.prod(shape[1:])))


# Gains by the end of a parameter's name; the first match applies. Attention is sharp and its values strong, so that a
# word
# affects the image.
UNET_GAINS = [
    ("attn2.to_q", 2.0), ("attn2.to_k", 2.0), ("attn2.to_v", 2.0), ("attn2.to_out.0", 2.0),
    ("attn1.to_q", 1.4), ("attn1.to_k", 1.4), ("attn1.to_v", 1.0), ("attn1.to_out.0", 0.7),
    ("ff.net.0.proj", 1.0), ("ff.net.2", 1.0), ("proj_out", 1.4), ("time_emb_proj", 0.7), ("conv2", 0.7),
    ("conv_out", 0.4), ("", 1.0),
]
# SDXL's states skip the final norm and are larger: with the same gains attention would select a single token, and
# rounding
# errors would grow from step to step.
SDXL_GAINS = [("attn2.to_q", 1.0), ("attn2.to_k", 0.75), ("attn2.to_v", 1.8), ("attn1.to_q", 1.0), ("attn1.to_k", 1.0), *UNET_GAINS]
VAE_GAINS = [("decoder.conv_out", 0.8), ("encoder.conv_out", 1.6), ("conv2", 0.6), ("", 1.0)]
TEXT_GAINS = [("q_proj", 1.6), ("k_proj", 1.6), ("v_proj", 1.2), ("out_proj", 1.0), ("fc2", 1.2), ("", 1.0)]


def rows_of(component: str, module: torch.nn.Module, gains, ldm):
    """Manifest rows `[component, name, shape, amplitude, base, ldm name or null, ldm layout]` of a module's state."""
    rows = []
    for name, value in module.state_dict().items():
        shape = list(value.shape)
        stem = name.rsplit(".", 1)[0]
        gain = next(g for end, g in gains if stem.endswith(end))
        if name.endswith("bias"):
            amp, base = 0.125, 0.0
        elif len(shape) == 1:
            amp, base = 0.25, 1.0
        elif "embedding" in stem and component.startswith("text"):
            amp, base = (1.5 if "token" in stem else 0.5), 0.0
        else:
            amp, base = fan_in_amplitude(shape, gain), 0.0
            if stem == "quant_conv":  # means large enough to be visible next to the noise, moderate deviations
                amp = [fan_in_amplitude(shape, 8.0), fan_in_amplitude(shape, 1.0)]
        rows.append([component, name, shape, amp, base, *ldm(name, shape)])
    return rows


def load(component: str, module: torch.nn.Module, rows):
    state = {row[1]: torch.from_numpy(tensor(f"{component}.{row[1]}", row)) for row in rows if row[0] == component}
    for key, value in state.items():
        assert torch.equal(value.half().float(), value), f"{key} is not exact in f16"
    module.load_state_dict(state)
    return module.eval().requires_grad_(False)


# -- single-file names -----------------------------------------------------------------------------------------------


def ldm_unet(config):
    levels, layers = len(config["block_out_channels"]), config["layers_per_block"]
    resnet = {"norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1", "norm2": "out_layers.0",
              "conv2": "out_layers.3", "conv_shortcut": "skip_connection"}  # fmt: skip
    top = {"conv_in": "input_blocks.0.0", "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2",
           "add_embedding.linear_1": "label_emb.0.0", "add_embedding.linear_2": "label_emb.0.2", "conv_norm_out": "out.0",
           "conv_out": "out.2"}  # fmt: skip

    def block(index, sub, rest):
        return f"{index}.{sub}." + rest

    def name(path):
        stem, kind = path.rsplit(".", 1)
        if stem in top:
            return f"{top[stem]}.{kind}"
        parts = path.split(".")
        if parts[0] == "mid_block":
            index = {("resnets", "0"): 0, ("attentions", "0"): 1, ("resnets", "1"): 2}[(parts[1], parts[2])]
            inner = resnet[parts[3]] + "." + kind if parts[1] == "resnets" else ".".join(parts[3:])
            return f"middle_block.{index}.{inner}"
        level, what = int(parts[1]), parts[2]
        if parts[0] == "down_blocks":
            first = 1 + level * (layers + 1)
            if what == "downsamplers":
                return f"input_blocks.{first + layers}.0.op.{kind}"
            prefix = f"input_blocks.{first + int(parts[3])}"
            return f"{prefix}.0.{resnet[parts[4]]}.{kind}" if what == "resnets" else f"{prefix}.1." + ".".join(parts[4:])
        first = level * (layers + 1)
        if what == "upsamplers":
            has_attention = config["up_block_types"][level].startswith("CrossAttn")
            return f"output_blocks.{first + layers}.{2 if has_attention else 1}.conv.{kind}"
        prefix = f"output_blocks.{first + int(parts[3])}"
        return f"{prefix}.0.{resnet[parts[4]]}.{kind}" if what == "resnets" else f"{prefix}.1." + ".".join(parts[4:])

    assert levels
    return lambda path, _shape: ("model.diffusion_model." + name(path), None)


def ldm_vae(config):
    levels = len(config["block_out_channels"])
    attention = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}

    def name(path):
        stem, kind = path.rsplit(".", 1)
        parts = stem.split(".")
        if parts[0] in ("quant_conv", "post_quant_conv"):
            return path
        side, parts = parts[0], parts[1:]
        if parts[0] in ("conv_in", "conv_out"):
            return f"{side}.{parts[0]}.{kind}"
        if parts[0] == "conv_norm_out":
            return f"{side}.norm_out.{kind}"
        if parts[0] == "mid_block" and parts[1] == "attentions":
            return f"{side}.mid.attn_1.{attention['.'.join(parts[3:])]}.{kind}"
        if parts[0] == "mid_block":
            return f"{side}.mid.block_{int(parts[2]) + 1}.{parts[3]}.{kind}"
        level = int(parts[1]) if side == "encoder" else levels - 1 - int(parts[1])
        way = "down" if side == "encoder" else "up"
        if parts[2] in ("downsamplers", "upsamplers"):
            return f"{side}.{way}.{level}.{way}sample.conv.{kind}"
        inner = {"conv_shortcut": "nin_shortcut"}.get(parts[4], parts[4])
        return f"{side}.{way}.{level}.block.{parts[3]}.{inner}.{kind}"

    def mapped(path, shape):
        is_projection = ".attentions." in path and len(shape) == 2
        return "first_stage_model." + name(path), "conv" if is_projection else None

    return mapped


def ldm_clip(prefix):
    """transformers' names with a prefix (SD1, SDXL's first encoder)."""
    return lambda path, _shape: (f"{prefix}transformer.text_model.{path}", None)


def ldm_openclip(prefix):
    """OpenCLIP's names: fused in_proj, text_projection as x @ P (SD2, SDXL's second encoder)."""
    layer = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj",
             "self_attn.out_proj": "attn.out_proj"}  # fmt: skip
    top = {"embeddings.token_embedding.weight": "token_embedding.weight",
           "embeddings.position_embedding.weight": "positional_embedding",
           "final_layer_norm.weight": "ln_final.weight", "final_layer_norm.bias": "ln_final.bias"}  # fmt: skip

    def mapped(path, _shape):
        path = path.removeprefix("text_model.")
        if path == "text_projection.weight":
            return prefix + "model.text_projection", "transpose"
        if path in top:
            return prefix + "model." + top[path], None
        _, _, index, rest = path.split(".", 3)
        stem, kind = rest.rsplit(".", 1)
        block = f"{prefix}model.transformer.resblocks.{index}."
        if stem in ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"):
            return f"{block}attn.in_proj_{kind}", "fused" + str("qkv".index(stem[10]))
        return f"{block}{layer[stem]}.{kind}", None

    return mapped


# -- the models ------------------------------------------------------------------------------------------------------

TOKENS = len(vocabulary()[0])


def text_config(act, width, layers, projection=None, window=77):
    return CLIPTextConfig(
        vocab_size=TOKENS, hidden_size=width, intermediate_size=2 * width, num_hidden_layers=layers, hidden_act=act,
        num_attention_heads=width // 64, max_position_embeddings=window, bos_token_id=TOKENS - 2, eos_token_id=TOKENS - 1,
        pad_token_id=TOKENS - 1, projection_dim=projection or width,
    )  # fmt: skip


def vae_config(widths, layers, scaling):
    return dict(
        in_channels=3, out_channels=3, latent_channels=4, block_out_channels=widths, layers_per_block=layers,
        down_block_types=["DownEncoderBlock2D"] * len(widths), up_block_types=["UpDecoderBlock2D"] * len(widths),
        norm_num_groups=32, scaling_factor=scaling, sample_size=64,
    )  # fmt: skip


def scheduler_config(prediction="epsilon", **more):
    return dict(
        _class_name="PNDMScheduler", beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear",
        num_train_timesteps=1000, prediction_type=prediction, skip_prk_steps=True, set_alpha_to_one=False, steps_offset=1,
        **more,
    )  # fmt: skip


def sd1_unet(in_channels=4):
    return dict(
        in_channels=in_channels, out_channels=4, sample_size=16, layers_per_block=2, block_out_channels=[32, 64, 64],
        down_block_types=["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
        up_block_types=["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
        cross_attention_dim=128, attention_head_dim=8, use_linear_projection=False, norm_num_groups=32,
    )  # fmt: skip


SD2_UNET = dict(
    in_channels=4, out_channels=4, sample_size=8, layers_per_block=1, block_out_channels=[64, 128],
    down_block_types=["CrossAttnDownBlock2D", "DownBlock2D"], up_block_types=["UpBlock2D", "CrossAttnUpBlock2D"],
    cross_attention_dim=128, attention_head_dim=[1, 2], use_linear_projection=True, norm_num_groups=32,
)  # fmt: skip
SDXL_UNET = dict(
    in_channels=4, out_channels=4, sample_size=16, layers_per_block=2, block_out_channels=[32, 64, 128],
    down_block_types=["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
    up_block_types=["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
    cross_attention_dim=320, attention_head_dim=[1, 1, 2], transformer_layers_per_block=[1, 1, 2],
    use_linear_projection=True, norm_num_groups=32, addition_embed_type="text_time", addition_time_embed_dim=256,
    projection_class_embeddings_input_dim=192 + 6 * 256,
)  # fmt: skip

SD1 = dict(
    pipeline="StableDiffusionPipeline", unet=sd1_unet(), vae=vae_config([32, 32, 64], 2, 0.18215),
    text=[("quick_gelu", 128, 3, None)], ldm=[ldm_clip("cond_stage_model.")], scheduler=scheduler_config(),
)  # fmt: skip
MODELS = {
    "sd1": SD1,
    "inpaint": SD1 | dict(pipeline="StableDiffusionInpaintPipeline", unet=sd1_unet(9)),
    "sd2": dict(
        pipeline="StableDiffusionPipeline", unet=SD2_UNET, vae=vae_config([32, 32, 32, 64], 2, 0.18215),
        text=[("gelu", 128, 3, None)], ldm=[ldm_openclip("cond_stage_model.")], scheduler=scheduler_config("v_prediction"),
    ),
    "sdxl": dict(
        pipeline="StableDiffusionXLPipeline", unet=SDXL_UNET, vae=vae_config([32, 64, 64], 2, 0.13025),
        text=[("quick_gelu", 128, 3, None), ("gelu", 192, 3, 192)],
        ldm=[ldm_clip("conditioner.embedders.0."), ldm_openclip("conditioner.embedders.1.")],
        scheduler=scheduler_config() | {"_class_name": "EulerDiscreteScheduler"},
    ),
}  # fmt: skip


class TinyModel:
    """Returns the modules of one model with their weights, and the manifest that recreates them."""

    def __init__(self, name: str):
        spec = MODELS[name]
        self.name, self.spec = name, spec
        self.unet = UNet2DConditionModel(**spec["unet"])
        self.vae = AutoencoderKL(**spec["vae"])
        self.text = []
        for act, width, layers, projection in spec["text"]:
            kind = CLIPTextModelWithProjection if projection else CLIPTextModel
            self.text.append(kind(text_config(act, width, layers, projection)))
        gains = SDXL_GAINS if len(self.text) == 2 else UNET_GAINS
        self.rows = rows_of("unet", self.unet, gains, ldm_unet(spec["unet"]))
        self.rows += rows_of("vae", self.vae, VAE_GAINS, ldm_vae(spec["vae"]))
        for i, (module, ldm) in enumerate(zip(self.text, spec["ldm"])):
            self.rows += rows_of(self.text_component(i), module, TEXT_GAINS, ldm)
        load("unet", self.unet, self.rows)
        load("vae", self.vae, self.rows)
        for i, module in enumerate(self.text):
            load(self.text_component(i), module, self.rows)

    @staticmethod
    def text_component(i):
        return "text_encoder" if i == 0 else f"text_encoder_{i + 1}"

    def write_folder(self, folder: Path):
        """Writes configs, tokenizer files and the manifest: the whole folder except for the weights."""
        folder.mkdir(parents=True, exist_ok=True)
        index = {"_class_name": self.spec["pipeline"], "unet": ["diffusers", "UNet2DConditionModel"],
                 "vae": ["diffusers", "AutoencoderKL"], "scheduler": ["diffusers", self.spec["scheduler"]["_class_name"]]}  # fmt: skip
        for name, module in (("unet", self.unet), ("vae", self.vae)):
            (folder / name).mkdir(exist_ok=True)
            write_json(folder / name / "config.json", module_config(module, self.spec[name]))
        for i, module in enumerate(self.text):
            component = self.text_component(i)
            index[component] = ["transformers", type(module).__name__]
            index[component.replace("text_encoder", "tokenizer")] = ["transformers", "CLIPTokenizer"]
            (folder / component).mkdir(exist_ok=True)
            config = {k: v for k, v in module.config.to_dict().items() if k not in ("dtype", "transformers_version")}
            write_json(folder / component / "config.json", config | {"architectures": [type(module).__name__]})
        if self.spec["pipeline"] == "StableDiffusionXLPipeline":
            index["force_zeros_for_empty_prompt"] = True
        (folder / "scheduler").mkdir(exist_ok=True)
        write_json(folder / "scheduler" / "scheduler_config.json", self.spec["scheduler"])
        write_json(folder / "model_index.json", index)
        lines = ",\n".join(json.dumps(row) for row in self.rows)
        (folder / "weights.json").write_text(f"[\n{lines}\n]\n")

    def checksum(self):
        """SHA-256 over all tensors as f16, in the manifest's order: both generators must agree on every bit."""
        digest = hashlib.sha256()
        for row in self.rows:
            digest.update(tensor(f"{row[0]}.{row[1]}", row).astype(np.float16).tobytes())
        return digest.hexdigest()

    def single_file(self):
        """Returns the weights under their single-file names, as `torch.load` of a real checkpoint returns them."""
        state, fused = {}, {}
        for row in self.rows:
            component, name, *_, ldm, layout = row
            value = torch.from_numpy(tensor(f"{component}.{name}", row))
            if layout and layout.startswith("fused"):
                fused.setdefault(ldm, {})[int(layout[5])] = value
                continue
            state[ldm] = value[:, :, None, None] if layout == "conv" else value.T.contiguous() if layout == "transpose" else value
        for key, parts in fused.items():
            state[key] = torch.cat([parts[i] for i in range(3)])
        return state


def module_config(module, given):
    """The whole config as in real files, without the version."""
    config = {k: v for k, v in module.config.items() if k not in ("_use_default_values", "_diffusers_version")}
    return {"_class_name": type(module).__name__, **json.loads(json.dumps(config | given))}
