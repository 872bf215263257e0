"""Writes test/fixtures/lycoris: outputs of the tiny Stable Diffusion 1 of pipelines_models.py with every form of LyCORIS adapter.

    python test/reference/lora_forms.py

The reference is the forward pass of lycoris_lora's modules, and PEFT for its spelling of DoRA. Two rules differ on purpose and are computed here
with ComfyUI's formula (comfy/weight_adapter/base.py): the strength of DoRA, W + s(V - W), and norms per input column. As in lora.py, no
factor is stored: the tests derive the same values from a hash of each tensor's name.
"""

import copy
import json
import shutil
from pathlib import Path

import numpy as np
import torch
from lycoris.modules import IA3Module, get_module, make_module
from lycoris.functional.general import factorization
from peft import LoraConfig, inject_adapter_in_model
from PIL import Image
from safetensors.torch import save_file
from transformers import CLIPTokenizer

import lora
import pipelines as pictures
import pipelines_models as models

OUT = Path(__file__).resolve().parents[1] / "fixtures" / "lycoris"
MODEL = "sd1"


def size_of(layer):
    out, inputs, *kernel = layer.weight.shape
    return out, inputs, kernel


def split(n):
    """The factor pair of a side, as LyCORIS splits it."""
    return factorization(n, 4)


def low_rank(layer, rank=4):
    out, inputs, kernel = size_of(layer)
    return {"lora_up.weight": [out, rank, *[1] * len(kernel)], "lora_down.weight": [rank, inputs, *kernel], "alpha": 3.0}


def tucker(layer, rank=4):
    out, inputs, kernel = size_of(layer)
    if kernel != [3, 3]:
        return low_rank(layer)
    return {"lora_up.weight": [out, rank, 1, 1], "lora_mid.weight": [rank, rank, 3, 3], "lora_down.weight": [rank, inputs, 1, 1], "alpha": 3.0}  # fmt: skip


def loha(layer, rank=3):
    out, inputs, kernel = size_of(layer)
    width = inputs * int(np.prod(kernel))
    return {"hada_w1_a": [out, rank], "hada_w1_b": [rank, width], "hada_w2_a": [out, rank], "hada_w2_b": [rank, width], "alpha": 2.0}  # fmt: skip


def loha_tucker(layer, rank=3):
    out, inputs, kernel = size_of(layer)
    if kernel != [3, 3]:
        return loha(layer)
    core = [rank, rank, 3, 3]
    return {"hada_t1": core, "hada_w1_a": [rank, out], "hada_w1_b": [rank, inputs], "hada_t2": core, "hada_w2_a": [rank, out], "hada_w2_b": [rank, inputs], "alpha": 2.0}  # fmt: skip


def lokr_sides(layer):
    out, inputs, kernel = size_of(layer)
    (o1, o2), (i1, i2) = split(out), split(inputs)
    return o1, o2, i1, i2, kernel


def lokr(layer, rank=2):
    o1, o2, i1, i2, kernel = lokr_sides(layer)
    return {"lokr_w1": [o1, i1], "lokr_w2_a": [o2, rank], "lokr_w2_b": [rank, i2 * int(np.prod(kernel))], "alpha": 1.5}


def lokr_full(layer):
    o1, o2, i1, i2, kernel = lokr_sides(layer)
    return {"lokr_w1": [o1, i1], "lokr_w2": [o2, i2, *kernel], "alpha": 5.0}


def lokr_both(layer, rank=2):
    o1, o2, i1, i2, kernel = lokr_sides(layer)
    w1 = {"lokr_w1_a": [o1, rank], "lokr_w1_b": [rank, i1]}
    return {**w1, "lokr_w2_a": [o2, rank], "lokr_w2_b": [rank, i2 * int(np.prod(kernel))], "alpha": 1.5}


def lokr_tucker(layer, rank=2):
    o1, o2, i1, i2, kernel = lokr_sides(layer)
    if kernel != [3, 3]:
        return lokr(layer)
    return {"lokr_w1": [o1, i1], "lokr_t2": [rank, rank, 3, 3], "lokr_w2_a": [rank, o2], "lokr_w2_b": [rank, i2], "alpha": 1.5}  # fmt: skip


def dora(layer):
    out, _, kernel = size_of(layer)
    return {**low_rank(layer), "dora_scale": [out, 1, *[1] * len(kernel)]}


def dora_input(layer):
    _, inputs, kernel = size_of(layer)
    return {**low_rank(layer), "dora_scale": [1, inputs, *[1] * len(kernel)]}


def dora_loha(layer):
    out, _, kernel = size_of(layer)
    return {**loha(layer), "dora_scale": [out, 1, *[1] * len(kernel)]}


def ia3(on_input):
    def shapes(layer):
        out, inputs, kernel = size_of(layer)
        n = inputs if on_input else out
        return {"weight": [1, n, *[1] * len(kernel)] if kernel else [n], "on_input": float(on_input)}

    return shapes


def oft(rescale=False, alpha=0.0):
    def shapes(layer):
        out, _, kernel = size_of(layer)
        block, count = factorization(out, 8)
        block, count = min(block, count), max(block, count)
        scaled = {"rescale": [out, *[1] * (1 + len(kernel))]} if rescale else {}
        return {"oft_blocks": [count, block, block], "alpha": alpha, **scaled}

    return shapes


def boft(rescale=False, alpha=0.0):
    def shapes(layer):
        out, _, kernel = size_of(layer)
        block = 4 if out % 4 == 0 else 2
        count = out // block
        if out % 2 or (count & -count) == 1:
            return None
        stages = sum(int(i) for i in f"{count - 1:b}") + 1
        # As many stages as the butterflies of this side allow.
        while out % (2 ** (stages - 1) * block):
            stages -= 1
        scaled = {"rescale": [out, *[1] * (1 + len(kernel))]} if rescale else {}
        return {"oft_blocks": [stages, count, block, block], "alpha": alpha, **scaled}

    return shapes


def full(layer):
    out, inputs, kernel = size_of(layer)
    bias = {"diff_b": [out]} if layer.bias is not None else {}
    return {"diff": [out, inputs, *kernel], **bias}


def norm(layer):
    (n,) = layer.weight.shape
    return {"w_norm": [n], "b_norm": [n]}


# name: (shapes of a layer's tensors, strengths, kinds of layers)
FORMS = {
    "tucker": (tucker, (1, 0.6)),
    "loha": (loha, (1, 0.6)),
    "loha-tucker": (loha_tucker, (1,)),
    "lokr": (lokr, (1, -0.5)),
    "lokr-full": (lokr_full, (1,)),
    "lokr-both": (lokr_both, (1,)),
    "lokr-tucker": (lokr_tucker, (1,)),
    "dora": (dora, (1, 0.6)),
    "dora-input": (dora_input, (1, 0.6)),
    "dora-loha": (dora_loha, (1,)),
    "ia3-output": (ia3(False), (1, 0.6)),
    "ia3-input": (ia3(True), (1, 0.6)),
    "oft": (oft(), (1, 0.6)),
    "oft-bounded": (oft(True, 0.02), (1,)),
    "boft": (boft(), (1, 0.6)),
    "boft-bounded": (boft(True, 0.02), (1,)),
    "full": (full, (1, 0.6)),
    "norm": (norm, (1, 0.6)),
}
IMAGES = ("loha", "lokr", "dora", "boft")
# Largest value of a factor, by role; a role that is not listed gets what makes the difference as large as `STRENGTH` of the weight.
STRENGTH = 0.5


def layers_of(component, module, form):
    """Every second layer that the form fits, so that others stay as they are."""
    kind = (torch.nn.LayerNorm, torch.nn.GroupNorm) if form == "norm" else (torch.nn.Linear, torch.nn.Conv2d)
    layers = [(name, layer) for name, layer in module.named_modules() if isinstance(layer, kind)]
    return layers[::2]


def rows_of(model, form):
    """[component, module, {role: [shape, amplitude, mean]}, {role: number}] of each changed layer."""
    rows = []
    for component, module in lora.modules_of(model):
        for name, layer in layers_of(component, module, form):
            tensors = FORMS[form][0](layer)
            if tensors is None:
                continue
            shapes = {role: value for role, value in tensors.items() if isinstance(value, list)}
            numbers = {role: value for role, value in tensors.items() if not isinstance(value, list)}
            factors = {role: [shape, *amplitude(form, role, shape, layer)] for role, shape in shapes.items()}
            rows.append([component, name, factors, numbers])
    return rows


def amplitude(form, role, shape, layer):
    """(amplitude, mean) of a tensor, rounded so that JSON keeps them."""
    size = float(layer.weight.float().std())
    fixed = {"oft_blocks": 0.3, "rescale": 0.2, "weight": 0.4, "w_norm": 0.3, "b_norm": 0.3, "diff_b": 0.2}
    if role in fixed:
        return fixed[role], 1.0 if role == "rescale" else 0.0
    if role == "dora_scale":
        # Norms of random rows or columns.
        length = float(np.sqrt(layer.weight.numel() / max(shape)))
        return models.amplitude(0.3 * size * length), models.amplitude(1.2 * size * length)
    if role == "diff":
        return models.amplitude(STRENGTH * size), 0.0
    # The product of all factors has about STRENGTH of the weight's size: each gets its root.
    count = 4 if form.startswith(("loha", "dora-loha")) else 3
    return models.amplitude(1.6 * (STRENGTH * size) ** (1 / count)), 0.0


def values(form, row, role):
    shape, amplitude, mean = row[2][role]
    noise = models.noise(f"{form}.{row[0]}.{row[1]}.{role}", int(np.prod(shape)))
    return torch.from_numpy((mean + amplitude * noise).reshape(shape).astype(np.float32))


def state_of(form, row):
    state = {f"x.{role}": values(form, row, role) for role in row[2]}
    for role, number in row[3].items():
        state[f"x.{role}"] = torch.tensor(int(number) if role == "on_input" else number)
    return state


def comfy_dora(layer, difference, magnitude, strength):
    weight = layer.weight
    changed = weight + difference.reshape(weight.shape)
    axes = tuple(i for i in range(weight.dim()) if magnitude.shape[i] == 1)
    norm = changed.pow(2).sum(dim=axes, keepdim=True).sqrt() + torch.finfo(torch.float32).eps
    layer.weight.data = weight + strength * (changed * magnitude / norm - weight)


def wrapper_of(state, layer):
    if "x.on_input" in state:
        # Their loader of IA3 expects one tensor and is given two.
        wrapper = IA3Module("x", layer, 1, train_on_input=bool(state["x.on_input"]))
        wrapper.weight.copy_(state["x.weight"])
        return wrapper
    kind, params = get_module(state, "x")
    return make_module(kind, params, "x", layer)


def adapted(module, component, form, rows, strength):
    """A copy of the module with the form's layers changed by LyCORIS at this strength."""
    module = copy.deepcopy(module)
    layers = dict(module.named_modules())
    for row in rows:
        if row[0] != component:
            continue
        layer = layers[row[1]]
        state = state_of(form, row)
        if "x.dora_scale" in state and (strength != 1 or form == "dora-input"):
            down, up = state["x.lora_down.weight"], state["x.lora_up.weight"]
            scale = float(state["x.alpha"]) / down.shape[0]
            comfy_dora(layer, scale * up.flatten(1) @ down.flatten(1), state["x.dora_scale"], strength)
            continue
        if form == "full":
            layer.weight.data = layer.weight + strength * state["x.diff"]
            if "x.diff_b" in state:
                layer.bias.data = layer.bias + strength * state["x.diff_b"]
            continue
        if form in ("lokr-both", "lokr-tucker"):
            # LyCORIS trains these forms (decompose_both, use_tucker), but its loader does not build them for small layers.
            left = state["x.lokr_w1"] if "x.lokr_w1" in state else state["x.lokr_w1_a"] @ state["x.lokr_w1_b"]
            if "x.lokr_t2" in state:
                right = torch.einsum("ijkl,jr,ip->prkl", state["x.lokr_t2"], state["x.lokr_w2_b"], state["x.lokr_w2_a"])
            else:
                right = state["x.lokr_w2_a"] @ state["x.lokr_w2_b"]
                right = right.reshape(right.shape[0], -1, *layer.weight.shape[2:])
            left = left.reshape(*left.shape, *[1] * (right.dim() - 2))
            scale = float(state["x.alpha"]) / state["x.lokr_w2_b"].shape[0]
            layer.weight.data = layer.weight + strength * scale * torch.kron(left.contiguous(), right.contiguous())
            continue
        wrapper = wrapper_of(state, layer)
        wrapper.multiplier = strength
        wrapper.eval()
        layer.adapter = [wrapper]  # kept alive, but not a child
        wrapper.apply_to()
    return module.eval()


def main():
    torch.set_grad_enabled(False)
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    model = models.TinyModel(MODEL)
    inputs, tokens = lora.unet_inputs(model), lora.tokens_of(model)
    tensors = {f"inputs/{key}": value for key, value in inputs.items()} | {"inputs/tokens": tokens.to(torch.int32)}
    run = {"unet": lambda m: lora.run_unet(m, inputs), "text_encoder": lambda m: lora.run_text(m, tokens)}
    plain = {component: run[component](module) for component, module in lora.modules_of(model)}
    manifest, cases = {}, []
    for form, (_, strengths) in FORMS.items():
        rows = rows_of(model, form)
        manifest[form] = rows
        for strength in strengths:
            for component, module in lora.modules_of(model):
                out = run[component](adapted(module, component, form, rows, strength))
                change = ((out - plain[component]).abs().max() / plain[component].abs().max()).item()
                print(f"{form:14} {strength:5} {component:14} {change:.3f}")
                assert 0.05 < change < 20, "a change that cannot be seen, or that drowns all else, proves nothing"
                tensors[f"{form}/{strength}/{component}"] = out
                cases.append([form, strength, component])
    peft_dora(model, tensors, run["unet"])
    images = [image_case(form, manifest[form]) for form in IMAGES]
    save_file({key: value.contiguous() for key, value in tensors.items()}, OUT / "outputs.safetensors")
    (OUT / "cases.json").write_text(json.dumps({"cases": cases, "images": images}, indent=1) + "\n")
    lines = []
    for form, rows in manifest.items():
        listed = ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows)
        lines.append(f'"{form}": [\n{listed}\n]')
    (OUT / "manifest.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


def peft_dora(model, tensors, run):
    """PEFT's DoRA over the layers and with the values of `dora`, under the alpha of PEFT's config."""
    rows = [row for row in rows_of(model, "dora") if row[0] == "unet" and len(row[2]["lora_down.weight"][0]) == 2]
    config = LoraConfig(r=4, lora_alpha=3, use_dora=True, target_modules=[row[1] for row in rows])
    unet = inject_adapter_in_model(config, copy.deepcopy(model.unet), adapter_name="a")
    layers = dict(unet.named_modules())
    for row in rows:
        layer = layers[row[1]]
        layer.lora_A["a"].weight.data = values("dora", row, "lora_down.weight")
        layer.lora_B["a"].weight.data = values("dora", row, "lora_up.weight")
        layer.lora_magnitude_vector["a"].weight.data = values("dora", row, "dora_scale").flatten()
    tensors["peft-dora/unet"] = run(unet.eval())


def image_case(form, rows):
    model = models.TinyModel(MODEL)
    model.scheduler = model.spec["scheduler"]
    model.tokenizers = [CLIPTokenizer.from_pretrained(lora.PIPELINES / "tokenizer")]
    model.factor = 2 ** (len(model.vae.config.block_out_channels) - 1)
    options = dict(pictures.PLAIN)
    spec = dict(name=MODEL, options=options, segments=None, negative=None, scheduler=None, diffusers="euler")
    _, plain = pictures.make(model, spec, options["seed"])
    model.unet = adapted(model.unet, "unet", form, rows, 1)
    model.text[0] = adapted(model.text[0], "text_encoder", form, rows, 1)
    _, pixels = pictures.make(model, spec, options["seed"])
    effect = np.abs(pixels.astype(int) - plain.astype(int)).mean()
    print(form, "mean effect", effect)
    assert effect >= 8, "an image that the adapter hardly changes proves nothing"
    Image.fromarray(pixels).save(OUT / f"{form}.png", optimize=True)
    return {"form": form, "options": options, "image": f"{form}.png", "effect": round(float(effect), 1)}


if __name__ == "__main__":
    main()
