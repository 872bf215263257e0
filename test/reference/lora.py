"""Writes test/fixtures/lora: results of PEFT for LoRAs on the tiny models of pipelines_models.py.

    python test/reference/lora.py

No factor is stored: like the models' weights they are hashes of their names, so that the tests write the same files
in each naming scheme. Stored are, for each model and LoRA, the modules it changes with their shapes and amplitudes,
and for each case the outputs of the U-Net and of the text encoders; for two cases whole images.
"""

import copy
import json
import re
import shutil
from pathlib import Path

import numpy as np
import torch
from diffusers.loaders.lora_conversion_utils import _convert_non_diffusers_lora_to_diffusers
from gguf.constants import GGMLQuantizationType
from gguf.quants import dequantize, quantize
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils import get_peft_model_state_dict
from PIL import Image
from safetensors.torch import save_file
from transformers import CLIPTokenizer

import pipelines as pictures
import pipelines_models as models
import pipelines_webui as webui

OUT = Path(__file__).resolve().parents[1] / "fixtures" / "lora"
PIPELINES = Path(__file__).resolve().parents[1] / "fixtures" / "pipelines"

# `whole` changes every linear layer and convolution (LoCon) and has an alpha; `attention` is the most common kind of
# LoRA and has none.
LORAS = {
    "whole": dict(rank=4, alpha=2.0, pick=lambda name: True),
    "attention": dict(rank=3, alpha=None, pick=lambda name: name.split(".")[-1] in ATTENTION or name.endswith("to_out.0")),
}
ATTENTION = ("to_q", "to_k", "to_v", "q_proj", "k_proj", "v_proj", "out_proj")

# [case, {LoRA: [weight, weight of the text encoders]}]
CASES = [
    ("none", {}),
    ("half", {"whole": [0.5, 0.5]}),
    ("full", {"whole": [1, 1]}),
    ("negative", {"whole": [-0.7, -0.7]}),
    ("no-alpha", {"attention": [1, 0.25]}),
    ("two", {"whole": [0.5, 1], "attention": [0.8, 0.8]}),
]
PICTURES = [
    ("sd1", {"whole": [0.8, 0.8]}),
    ("sdxl", {"whole": [0.6, 0.6], "attention": [0.5, 1]}),
]
# Size of a change at weight 1, relative to the weight.
STRENGTH = {"whole": 0.5, "attention": 0.4}


def modules_of(model):
    yield "unet", model.unet
    for i, module in enumerate(model.text):
        yield model.text_component(i), module


def layers_of(module):
    for name, layer in module.named_modules():
        if isinstance(layer, (torch.nn.Linear, torch.nn.Conv2d)):
            yield name, layer


def shapes(layer, rank):
    """Returns (down, up) as files contain them."""
    out, *rest = layer.weight.shape
    return [rank, *rest], [out, rank] + [1] * (len(rest) - 1)


def rows_of(model, lora):
    """[component, module, shape of down, shape of up, amplitude of down, amplitude of up]"""
    spec, rows = LORAS[lora], []
    for component, module in modules_of(model):
        for name, layer in layers_of(module):
            if not spec["pick"](name):
                continue
            down, up = shapes(layer, spec["rank"])
            size = layer.weight.std().item()
            # A product of `rank` terms of both amplitudes (whose noise has a deviation of 1 / √3).
            both = STRENGTH[lora] * size * 3 / spec["rank"] ** 0.5 / ((spec["alpha"] or spec["rank"]) / spec["rank"])
            first = models.fan_in_amplitude(down, 1.0)
            rows.append([component, name, down, up, first, models.amplitude(both / first)])
    return rows


def factor(lora, row, part):
    shape, amplitude = (row[2], row[4]) if part == "down" else (row[3], row[5])
    values = models.noise(f"{lora}.{row[0]}.{row[1]}.{part}", int(np.prod(shape)))
    return torch.from_numpy((amplitude * values).reshape(shape).astype(np.float32))


def with_adapters(module, component, rows):
    """Returns the module with all LoRAs injected by PEFT, and a function that sets their weights."""
    module = copy.deepcopy(module)
    for lora, spec in LORAS.items():
        own = {row[1]: row for row in rows[lora] if row[0] == component}
        config = LoraConfig(r=spec["rank"], lora_alpha=spec["alpha"] or spec["rank"], target_modules=list(own))
        module = inject_adapter_in_model(config, module, adapter_name=lora)
        seen = 0
        for name, layer in module.named_modules():
            if isinstance(layer, LoraLayer) and name in own:
                assert tuple(layer.lora_A[lora].weight.shape) == tuple(own[name][2]), name
                layer.lora_A[lora].weight.data = factor(lora, own[name], "down")
                layer.lora_B[lora].weight.data = factor(lora, own[name], "up")
                seen += 1
        assert seen == len(own)

    def set_weights(weights):
        for layer in module.modules():
            if not isinstance(layer, BaseTunerLayer):
                continue
            layer.set_adapter([lora for lora in weights if lora in layer.lora_A])
            for lora, weight in weights.items():
                if lora in layer.lora_A:
                    layer.set_scale(lora, weight)
            layer.enable_adapters(bool(weights))

    return module.eval().requires_grad_(False), set_weights


def rounded_to_q8(module):
    """Returns the module with its matrices as ggml's q8_0 stores them; rows that do not fill whole blocks stay f16,
    which is exact."""
    module = copy.deepcopy(module)
    for _, layer in layers_of(module):
        matrix = layer.weight.reshape(layer.weight.shape[0], -1)
        is_matrix = layer.weight.dim() == 2 or layer.weight.shape[2:] == (1, 1)
        if is_matrix and matrix.shape[1] % 32 == 0:
            kind = GGMLQuantizationType.Q8_0
            back = dequantize(quantize(matrix.detach().numpy(), kind), kind)
            layer.weight.data = torch.from_numpy(back.reshape(layer.weight.shape).astype(np.float32))
    return module


# -- names ------------------------------------------------------------------------------------------------------------


def kohya(component, name, encoders):
    prefix = {"unet": "lora_unet_", "text_encoder": "lora_te_" if encoders == 1 else "lora_te1_", "text_encoder_2": "lora_te2_"}
    return prefix[component] + name.replace(".", "_")


def check_names(model, rows):
    """Asserts that diffusers reads the names that the tests write: kohya's, and PEFT's as diffusers itself saves them."""
    encoders = len(model.text)
    # transformers 5 omits `text_model.`, which LoRA files contain.
    full = lambda row: row[1] if row[0] == "unet" or row[1].startswith("text_") else f"text_model.{row[1]}"  # noqa: E731
    state = {}
    for row in rows:
        name = kohya(row[0], full(row), encoders)
        state[f"{name}.lora_down.weight"] = torch.zeros(row[2])
        state[f"{name}.lora_up.weight"] = torch.zeros(row[3])
        state[f"{name}.alpha"] = torch.tensor(2.0)
    found, _ = _convert_non_diffusers_lora_to_diffusers(state)
    wanted = {f"{row[0]}.{full(row)}" for row in rows if row[1] not in UNREAD}
    converted = {as_now(key) for key in found}
    missing = wanted - converted
    assert len(missing) < 0.1 * len(wanted), (len(missing), sorted(missing)[:20], sorted(found)[:5])


def as_now(key):
    """The module of a key under the names of diffusers' old attention processors."""
    place = re.sub(r"[._]lora\.(down|up)\.weight$", "", key).replace(".processor.", ".")
    if ".self_attn." in place:
        return re.sub(r"to_(q|k|v|out)$", r"\1_proj", place)
    return re.sub(r"to_out$", "to_out.0", place)


# diffusers' reader of kohya files has no rule for these.
UNREAD = ("conv_in", "conv_out")


def check_saved_names(module, component, rows):
    saved = get_peft_model_state_dict(module, adapter_name="attention")
    own = [row for row in rows if row[0] == component]
    assert {key.removesuffix(".lora_A.weight") for key in saved if "lora_A" in key} == {row[1] for row in own}


# -- cases ------------------------------------------------------------------------------------------------------------


def unet_inputs(model):
    normal = lambda seed, *shape: torch.randn(shape, generator=torch.Generator().manual_seed(seed))  # noqa: E731
    config = model.unet.config
    inputs = {"sample": normal(1, 2, config.in_channels, 12, 8), "timestep": torch.tensor([37.0, 801.0]),
              "context": normal(2, 2, 9, config.cross_attention_dim)}  # fmt: skip
    if config.addition_embed_type == "text_time":
        inputs["text_embeds"] = normal(3, 2, 192)
        inputs["time_ids"] = torch.tensor([[64.0, 48, 0, 0, 64, 48], [96, 64, 3, 5, 96, 64]])
    return inputs


def run_unet(unet, inputs):
    added = {key: inputs[key] for key in ("text_embeds", "time_ids") if key in inputs}
    return unet(inputs["sample"], inputs["timestep"], inputs["context"], added_cond_kwargs=added or None).sample


def tokens_of(model):
    return torch.arange(7).reshape(1, 7) * 97 % (models.TOKENS - 2)


def run_text(encoder, tokens):
    """The last state before the final norm: hidden_states[-1] of transformers."""
    return encoder(tokens, output_hidden_states=True).hidden_states[-1]


def module_cases(model, rows, tensors):
    inputs, tokens = unet_inputs(model), tokens_of(model)
    for key, value in inputs.items():
        tensors[f"{model.name}/inputs/{key}"] = value
    tensors[f"{model.name}/inputs/tokens"] = tokens.to(torch.int32)
    for storage in ("f16", "q8_0"):
        for component, module in modules_of(model):
            base = rounded_to_q8(module) if storage == "q8_0" else module
            adapted, set_weights = with_adapters(base, component, rows)
            if storage == "f16":
                check_saved_names(adapted, component, rows["attention"])
            run = (lambda m: run_unet(m, inputs)) if component == "unet" else (lambda m: run_text(m, tokens))
            plain = run(base)
            for name, loras in CASES:
                side = 0 if component == "unet" else 1
                set_weights({lora: both[side] for lora, both in loras.items()})
                out = run(adapted)
                change = ((out - plain).abs().max() / plain.abs().max()).item()
                assert change > 0.05 or not loras, f"{model.name} {component} {name} changes only {change}"
                tensors[f"{model.name}/{storage}/{component}/{name}"] = out


def picture_case(name, loras, rows):
    model = models.TinyModel(name)
    model.scheduler = model.spec["scheduler"]
    model.tokenizers = [CLIPTokenizer.from_pretrained(PIPELINES / "tokenizer")]
    if len(model.text) == 2:
        model.tokenizers.append(CLIPTokenizer.from_pretrained(PIPELINES / "tokenizer_2"))
    model.factor = 2 ** (len(model.vae.config.block_out_channels) - 1)
    options = dict(pictures.PLAIN)
    spec = dict(name=name, options=options, segments=None, negative=None, scheduler=None, diffusers="euler")
    _, plain = pictures.make(model, spec, options["seed"])
    model.unet, set_weights = with_adapters(model.unet, "unet", rows)
    set_weights({lora: both[0] for lora, both in loras.items()})
    for i, module in enumerate(model.text):
        model.text[i], set_weights = with_adapters(module, model.text_component(i), rows)
        set_weights({lora: both[1] for lora, both in loras.items()})
    _, pixels = pictures.make(model, spec, options["seed"])
    effect = np.abs(pixels.astype(int) - plain.astype(int)).mean()
    print(name, "mean effect", effect)
    assert effect >= 8, "an image that the LoRA hardly changes proves nothing"
    Image.fromarray(pixels).save(OUT / f"{name}.png", optimize=True)
    return {"model": name, "loras": loras, "options": options, "image": f"{name}.png", "effect": round(float(effect), 1)}


def main():
    torch.set_grad_enabled(False)
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    tensors, manifest, records = {}, {}, []
    for name in ("sd1", "sdxl"):
        model = models.TinyModel(name)
        rows = {lora: rows_of(model, lora) for lora in LORAS}
        check_names(model, rows["whole"])
        manifest[name] = rows
        module_cases(model, rows, tensors)
        records += [picture_case(name, loras, rows) for model_name, loras in PICTURES if model_name == name]
    save_file({key: value.contiguous() for key, value in tensors.items()}, OUT / "outputs.safetensors")
    loras = {name: {"rank": spec["rank"], "alpha": spec["alpha"]} for name, spec in LORAS.items()}
    (OUT / "cases.json").write_text(json.dumps({"loras": loras, "cases": CASES, "pictures": records}, indent=1) + "\n")
    lines = []
    for name, each in manifest.items():
        for lora, rows in each.items():
            listed = ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows)
            lines.append(f'"{name}/{lora}": [\n{listed}\n]')
    (OUT / "manifest.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
