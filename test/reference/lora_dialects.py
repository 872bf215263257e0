"""Writes test/fixtures/lora-dialects: whole images of the tiny models with a LoRA file in each dialect of names.

    python test/reference/lora_dialects.py [case-name-part ...]

A file is read by the library that owns its dialect: diffusers' `load_lora_weights`, PEFT, or lycoris_lora. Its image is
compared with the one of a formula, weight + scale * up @ down, so that a tensor which a library skips does not go
unnoticed. Where no library reads a dialect (OpenCLIP's and CompVis' names, convolutions under CompVis' names, A1111's
inpainting models, oft_diag), the formula alone is the reference. The forms of LyCORIS come from lora_forms.py, which
describes its own references.

No tensor is stored: cases.json lists names, shapes and amplitudes, and the values are hashes of the names. Every image
differs by at least 8 of 255 on average from the one without the file.
"""

import json
import re
import shutil
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from lycoris import create_lycoris_from_weights
from peft import LoraConfig, PeftModel, get_peft_model, inject_adapter_in_model
from peft.utils import get_peft_model_state_dict, set_peft_model_state_dict
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file

import lora
import lora_forms
import pipelines
import pipelines_models as models
import prompt_grammar

OUT = Path(__file__).resolve().parents[1] / "fixtures" / "lora-dialects"
OPTIONS = pipelines.PLAIN | dict(width=32, height=32, steps=4)
RANK = 4
CASES = {}

# A few layers of each kind.
UNET = re.compile(
    r"((down_blocks\.1\.attentions\.0|up_blocks\.1\.attentions\.1)\.transformer_blocks\.0\."
    r"(attn2\.to_(q|k|v)|attn2\.to_out\.0|ff\.net\.0\.proj|ff\.net\.2)|mid_block\.attentions\.0\..*attn1\.to_v)$"
)
CONVOLUTIONS = re.compile(
    r"(down_blocks\.0\.(resnets\.1\.(conv1|time_emb_proj)|downsamplers\.0\.conv)|down_blocks\.1\.resnets\.0\.(conv2|conv_shortcut)"
    r"|mid_block\.resnets\.1\.conv1|up_blocks\.0\.upsamplers\.0\.conv|up_blocks\.1\.(resnets\.0\.conv_shortcut|upsamplers\.0\.conv)"
    r"|(mid_block|up_blocks\.1)\.attentions\.0\.proj_(in|out))$"
)
TEXT = re.compile(r"(text_model\.)?encoder\.layers\.(0\.self_attn\.(q|k|v|out)_proj|[02]\.mlp\.fc[12])$")


def case(function):
    """Registers a case: a function that returns its Dialect."""
    CASES[function.__name__.replace("_", "-")] = function
    return function


class Dialect:
    """A file of one dialect: entries {name of the layer in the file: (component, module, {leaf: [shape, amplitude, mean]})},
    numbers {name of a tensor: value}, and how to apply it."""

    def __init__(self, model, apply, scale=1.0, metadata=None, config=None, file="lora.safetensors"):
        self.model, self.apply, self.file = model, apply, file
        self.scale_of = scale if callable(scale) else lambda _name: scale
        self.metadata, self.config = metadata or {}, config
        self.entries, self.numbers = {}, {}

    def low_rank(self, tiny, place, leaves, pick=(UNET, TEXT), alpha=None, rank_of=lambda _name: RANK):
        """Adds low-rank factors of the layers that match; `alpha` is the value of a tensor next to them."""
        for component, name, layer in layers_of(tiny, *pick):
            spelled, rank = place(component, name), rank_of(name)
            down, up = lora.shapes(layer, rank)
            own = leaves(component, name) if callable(leaves) else leaves
            both = 3 * STRENGTH * layer.weight.std().item() / rank**0.5 / self.scale_of(name)
            first = models.fan_in_amplitude(down, 1.0)
            self.entries[spelled] = (component, name, {own[0]: [down, first], own[1]: [up, models.amplitude(both / first)]})
            if alpha is not None:
                self.numbers[f"{spelled}.alpha"] = alpha
        return self

    def tensors(self, case_name):
        """The content of the file."""
        state = {}
        for place, (_, _, leaves) in self.entries.items():
            for leaf, (shape, amplitude, *mean) in leaves.items():
                values = models.noise(f"{case_name}.{place}{leaf}", int(np.prod(shape)))
                values = np.float32(mean[0] if mean else 0) + np.float32(amplitude) * values
                state[place + leaf] = torch.from_numpy(values.reshape(shape).astype(np.float32))
        return state | {name: torch.tensor(float(value)) for name, value in self.numbers.items()}

    def differences(self, state):
        """(component, module, difference of the weight, [magnitude] of DoRA) of each entry, by the formula."""
        for place, (component, name, leaves) in self.entries.items():
            down, up, *magnitude = (state[place + leaf] for leaf in leaves)
            yield component, name, self.scale_of(name) * (up.flatten(1) @ down.flatten(1)), magnitude

    def record(self, kinds):
        """For cases.json: layers by the index of their kind, which is a set of leaves."""
        for _, _, leaves in self.entries.values():
            if leaves not in kinds:
                kinds.append(leaves)
        return dict(
            model=self.model,
            layers=[[place, kinds.index(leaves)] for place, (_, _, leaves) in self.entries.items()],
            **({"numbers": self.numbers} if self.numbers else {}),
            **({"metadata": self.metadata} if self.metadata else {}),
            **({"config": self.config} if self.config else {}),
            **({"file": self.file} if self.file != "lora.safetensors" else {}),
        )


STRENGTH = 1.0


def layers_of(tiny, unet, text=None):
    for component, module in lora.modules_of(tiny):
        pattern = unet if component == "unet" else text
        for name, layer in lora.layers_of(module):
            if pattern and pattern.match(name):
                yield component, name, layer


def full(component, name):
    """transformers 5 omits `text_model.`, which LoRA files contain."""
    return name if component == "unet" or name.startswith("text_model.") else f"text_model.{name}"


def kohya(encoders):
    return lambda component, name: lora.kohya(component, full(component, name), encoders)


def dotted(component, name):
    return f"{component}.{full(component, name)}"


KOHYA = (".lora_down.weight", ".lora_up.weight")
PEFT = (".lora_A.weight", ".lora_B.weight")


# -- kohya -------------------------------------------------------------------------------------------------------------


@case
def sd1_kohya_without_alpha(tiny):
    return Dialect("sd1", by_diffusers).low_rank(tiny("sd1"), kohya(1), KOHYA)


@case
def sd1_kohya_alpha_0(tiny):
    """An alpha of 0 stands for the rank."""
    return Dialect("sd1", by_lycoris).low_rank(tiny("sd1"), kohya(1), KOHYA, alpha=0)


@case
def sd2_kohya(tiny):
    """SD2's U-Net has two levels."""
    blocks = r"(down_blocks\.0|up_blocks\.1|mid_block)\.attentions\.0\."
    unet = re.compile(blocks + r".*(attn[12]\.to_(q|v)|attn2\.to_k|to_out\.0|ff\.net\.2|proj_in)$")
    return Dialect("sd2", by_diffusers, scale=0.5).low_rank(tiny("sd2"), kohya(1), KOHYA, (unet, TEXT), alpha=RANK / 2)


@case
def sdxl_sgm(tiny):
    """sd-scripts' SDXL: CompVis' names of the U-Net."""
    return sgm(tiny, "sdxl", by_diffusers, (UNET, TEXT))


@case
def sdxl_sgm_convolutions(tiny):
    """diffusers reads no convolutions under these names."""
    return sgm(tiny, "sdxl", by_formula, (CONVOLUTIONS, None))


@case
def sd1_ldm_convolutions(tiny):
    return sgm(tiny, "sd1", by_formula, (CONVOLUTIONS, None))


def sgm(tiny, name, apply, pick):
    model = tiny(name)
    flat = {row[1].removesuffix(".weight"): row[5] for row in model.rows if row[0] == "unet"}

    def place(component, module):
        if component != "unet":
            return lora.kohya(component, full(component, module), len(model.text))
        return "lora_unet_" + flat[module].removeprefix("model.diffusion_model.").removesuffix(".weight").replace(".", "_")

    return Dialect(name, apply, scale=0.75).low_rank(model, place, KOHYA, pick, alpha=3)


@case
def sd1_diffusion_model(tiny):
    """ComfyUI's trainers: CompVis' names with dots."""
    model = tiny("sd1")
    flat = {row[1].removesuffix(".weight"): row[5] for row in model.rows if row[0] == "unet"}
    place = lambda _, module: flat[module].removeprefix("model.").removesuffix(".weight")  # noqa: E731
    return Dialect("sd1", by_formula).low_rank(model, place, KOHYA, (UNET, None))


# -- OpenCLIP's names --------------------------------------------------------------------------------------------------


def openclip(dialect, model, component, prefix):
    """Adds factors under OpenCLIP's names; query, key and value share a matrix."""
    encoder = dict(lora.modules_of(model))[component]
    width, blocks = encoder.config.hidden_size, encoder.config.num_hidden_layers
    top = "text_model." if hasattr(encoder, "text_model") else ""
    for index in range(blocks):
        for own, module, rows, columns in [
            ("attn_in_proj", "qkv", 3 * width, width), ("attn_out_proj", "self_attn.out_proj", width, width),
            ("mlp_c_fc", "mlp.fc1", 2 * width, width), ("mlp_c_proj", "mlp.fc2", width, 2 * width),
        ]:  # fmt: skip
            place = f"{prefix}transformer_resblocks_{index}_{own}"
            first = models.fan_in_amplitude([RANK, columns], 1.0)
            second = models.amplitude(3 * STRENGTH / columns**0.5 / RANK**0.5 / first)
            shapes = {KOHYA[0]: [[RANK, columns], first], KOHYA[1]: [[rows, RANK], second]}
            dialect.entries[place] = (component, f"{top}encoder.layers.{index}.{module}", shapes)
    return dialect


@case
def sd2_openclip(tiny):
    return openclip(Dialect("sd2", by_formula), tiny("sd2"), "text_encoder", "lora_te_")


@case
def sdxl_openclip(tiny):
    return openclip(Dialect("sdxl", by_formula), tiny("sdxl"), "text_encoder_2", "lora_te2_")


# -- diffusers ---------------------------------------------------------------------------------------------------------


@case
def sd1_processor(tiny):
    """diffusers up to 0.17: factors belong to the attention processor."""

    def place(component, name):
        if component == "unet":
            return "unet." + re.sub(r"\.(to_(?:q|k|v|out))(\.0)?$", r".processor.\1_lora", name)
        return "text_encoder." + re.sub(r"\.(q|k|v|out)_proj$", r".to_\1_lora", full(component, name))

    unet = re.compile(UNET.pattern.replace(r"|ff\.net\.0\.proj|ff\.net\.2", ""))
    text = re.compile(TEXT.pattern.replace(r"|[02]\.mlp\.fc[12]", ""))
    return Dialect("sd1", by_diffusers).low_rank(tiny("sd1"), place, (".down.weight", ".up.weight"), (unet, text))


@case
def sd1_lora_linear_layer(tiny):
    """diffusers 0.18 to 0.25."""

    def leaves(component, _):
        return [f".{'lora' if component == 'unet' else 'lora_linear_layer'}.{part}.weight" for part in ("down", "up")]

    return Dialect("sd1", by_diffusers).low_rank(tiny("sd1"), dotted, leaves)


@case
def sd1_saved_by_diffusers(tiny):
    return saved(tiny, "sd1", 0.5, lora_alpha=2)


@case
def sdxl_saved_by_diffusers(tiny):
    return saved(tiny, "sdxl", 0.75, lora_alpha=3)


@case
def sd1_rank_stabilized(tiny):
    return saved(tiny, "sd1", 1.5, lora_alpha=3, use_rslora=True)


@case
def sd1_patterns(tiny):
    """Ranks and alphas of their own for some layers."""
    patterns = dict(rank_pattern={"attn2.to_k": 2, "mlp.fc1": 8},
                    alpha_pattern={"attn2.to_k": 4, "mlp.fc1": 4, "ff.net.2": 8})  # fmt: skip

    def matching(group, name, default):
        return next((value for key, value in patterns[group].items() if name.endswith(f".{key}")), default)

    rank_of = lambda name: matching("rank_pattern", name, RANK)  # noqa: E731
    return saved(tiny, "sd1", lambda name: matching("alpha_pattern", name, 2) / rank_of(name), rank_of, lora_alpha=2, **patterns)


@case
def sd1_dora(tiny):
    dialect = saved(tiny, "sd1", 0.75, lora_alpha=3, use_dora=True)
    dialect.apply = by_peft_parts
    return dialect


def saved(tiny, name, scale, rank_of=lambda _name: RANK, **config):
    """Names and metadata as diffusers writes them; transformers 5 omits `text_model.`."""
    model = tiny(name)
    dialect = Dialect(name, by_diffusers, scale)
    dialect.low_rank(model, lambda component, module: f"{component}.{module}", PEFT, rank_of=rank_of)
    parts = dict(lora.modules_of(model))
    if config.get("use_dora"):
        for component, module, leaves in dialect.entries.values():
            weight = parts[component].get_submodule(module).weight
            norm = weight.norm(dim=1).mean().item()
            leaves[".lora_magnitude_vector"] = [[len(weight)], models.amplitude(0.4 * norm), models.amplitude(1.4 * norm)]
    layers, metadata = {}, {}
    for component, module in parts.items():
        targets = [name for own, name, _ in dialect.entries.values() if own == component]
        module = inject_adapter_in_model(LoraConfig(r=RANK, target_modules=targets, **config), module, adapter_name="default")
        layers[f"{component}_lora_layers"] = get_peft_model_state_dict(module, adapter_name="default")
        metadata[f"{component}_lora_adapter_metadata"] = module.peft_config["default"].to_dict()
    pipeline = StableDiffusionXLPipeline if len(model.text) == 2 else StableDiffusionPipeline
    with tempfile.TemporaryDirectory() as folder:
        pipeline.save_lora_weights(folder, **layers, **metadata)
        [path] = Path(folder).iterdir()
        with safe_open(path, "pt") as file:
            config = json.loads(file.metadata()["lora_adapter_metadata"])
            shapes = {key: file.get_slice(key).get_shape() for key in file.keys()}
    # A set in PEFT; sorted, so that the script writes the same file each time.
    config = {key: sorted(value) if key.endswith(".target_modules") else value for key, value in config.items()}
    dialect.metadata = {"lora_adapter_metadata": json.dumps(config, sort_keys=True)}
    assert shapes == {place + leaf: leaves[leaf][0] for place, (_, _, leaves) in dialect.entries.items() for leaf in leaves}
    return dialect


# -- PEFT --------------------------------------------------------------------------------------------------------------


@case
def sd1_peft_folder(tiny):
    """adapter_model.safetensors and adapter_config.json."""
    config = dict(peft_type="LORA", r=RANK, lora_alpha=6, target_modules=[".*"], inference_mode=True)
    dialect = Dialect("sd1", by_peft, scale=1.5, config=config, file="adapter_model.safetensors")
    dialect.low_rank(tiny("sd1"), lambda _, name: f"base_model.model.{name}", PEFT, (UNET, None))
    config["target_modules"] = [name for _, name, _ in dialect.entries.values()]
    return dialect


@case
def sd1_peft_rank_stabilized_folder(tiny):
    dialect = sd1_peft_folder(tiny)
    dialect.config |= dict(use_rslora=True, lora_alpha=3)
    return dialect


@case
def sd1_peft_state_dict(tiny):
    """The state of a PeftModel, with the name of the adapter."""
    leaves = (".lora_A.default.weight", ".lora_B.default.weight")
    return Dialect("sd1", by_peft).low_rank(tiny("sd1"), lambda _, name: f"base_model.model.{name}", leaves, (UNET, None))


@case
def sd1_without_prefix(tiny):
    """A U-Net's own adapter, as `unet.save_lora_adapter` writes it."""
    return Dialect("sd1", by_diffusers).low_rank(tiny("sd1"), lambda _, name: name, PEFT, (UNET, None))


# -- inpainting --------------------------------------------------------------------------------------------------------


@case
def inpaint_conv_in(tiny):
    """A LoRA of a model with 4 channels on one with 9: A1111 pads the difference with zeros."""
    layers = re.compile(r"(conv_in|down_blocks\.0\.resnets\.0\.conv1|conv_out)$")
    return Dialect("inpaint", by_formula).low_rank(tiny("sd1"), kohya(1), KOHYA, (layers, None))


# -- LyCORIS -----------------------------------------------------------------------------------------------------------


@case
def sd1_lycoris_prefix(tiny):
    """Files of the library itself instead of a trainer, here of LoHa."""
    dialect = Dialect("sd1", by_lycoris_network, scale=0.5)
    for _, name, layer in layers_of(tiny("sd1"), UNET):
        rows, columns = layer.weight.shape
        size = models.amplitude(1.6 * (layer.weight.std().item() / dialect.scale_of(name)) ** 0.25)
        shapes = {"a": [rows, RANK], "b": [RANK, columns]}
        leaves = {f".hada_w{side}_{part}": [shapes[part], size] for side in (1, 2) for part in "ab"}
        place = "lycoris_" + name.replace(".", "_")
        dialect.entries[place] = ("unet", name, leaves)
        dialect.numbers[f"{place}.alpha"] = RANK / 2
    return dialect


@case
def sd1_oft_diag(tiny):
    """LyCORIS before 2.0 stored the rotations instead of their generators."""
    dialect = Dialect("sd1", by_rotation)
    for component, name, layer in layers_of(tiny("sd1"), UNET, TEXT):
        blocks = [len(layer.weight) // 4, 4, 4]
        dialect.entries[kohya(1)(component, name)] = (component, name, {".oft_diag": [blocks, 0.5, 0.25]})
    return dialect


# -- application -------------------------------------------------------------------------------------------------------


def by_formula(dialect, model, state, folder):
    parts = dict(lora.modules_of(model))
    for component, name, difference, magnitude in dialect.differences(state):
        if name.endswith(".qkv"):
            for side, third in zip("qkv", difference.chunk(3)):
                layer = parts[component].get_submodule(name.replace("qkv", f"self_attn.{side}_proj"))
                layer.weight.data = layer.weight + third
            continue
        layer = parts[component].get_submodule(name)
        weight = layer.weight.clone()
        columns = difference.shape[1] // weight[0, 0].numel()
        weight[:, :columns] += difference.reshape(weight.shape[0], columns, *weight.shape[2:])
        if magnitude:
            weight *= (magnitude[0] / weight.norm(dim=1))[:, None]
        layer.weight.data = weight
    return lambda pipe: None


def by_rotation(dialect, model, state, folder):
    """W'[k, m] = sum over n of R[k, n, m] W[k, n], as LyCORIS and A1111."""
    parts = dict(lora.modules_of(model))
    for place, (component, name, _) in dialect.entries.items():
        layer, blocks = parts[component].get_submodule(name), state[f"{place}.oft_diag"]
        rows = layer.weight.reshape(len(blocks), blocks.shape[1], -1)
        layer.weight.data = torch.einsum("knm,knp->kmp", blocks, rows).reshape(layer.weight.shape)
    return lambda pipe: None


def by_diffusers(dialect, model, state, folder):
    def prepare(pipe):
        if not next(iter(state)).startswith(("unet.", "text_encoder", "lora_")):
            pipe.unet.load_lora_adapter(dict(state), prefix=None)
            return
        for weights in (pipe.unet, *model.text):
            assert not getattr(weights, "peft_config", None)
        pipe.load_lora_weights(str(folder), weight_name=dialect.file)

    return prepare


def by_peft(dialect, model, state, folder):
    if dialect.config:
        model.unet = PeftModel.from_pretrained(model.unet, folder).base_model.model
        return lambda pipe: None
    config = LoraConfig(r=RANK, lora_alpha=RANK, target_modules=[name for _, name, _ in dialect.entries.values()])
    peft = get_peft_model(model.unet, config)
    assert not peft.load_state_dict(state, strict=False).unexpected_keys
    model.unet = peft.base_model.model
    return lambda pipe: None


def by_peft_parts(dialect, model, state, folder):
    """PEFT under the names and configs of diffusers; transformers 5.24 does not find the magnitudes of a text encoder's DoRA."""
    configs = json.loads(dialect.metadata["lora_adapter_metadata"])
    for component, module in lora.modules_of(model):
        own = {key.removeprefix(f"{component}."): value for key, value in configs.items() if key.startswith(f"{component}.")}
        inject_adapter_in_model(LoraConfig(**own), module, adapter_name="default")
        weights = {key.removeprefix(f"{component}."): value for key, value in state.items() if key.startswith(f"{component}.")}
        assert not set_peft_model_state_dict(module, weights, adapter_name="default").unexpected_keys
    return lambda pipe: None


def by_lycoris(dialect, model, state, folder):
    parts = dict(lora.modules_of(model))
    for place, (component, name, _) in dialect.entries.items():
        own = {f"x{key.removeprefix(place)}": value for key, value in state.items() if key.startswith(f"{place}.")}
        layer = parts[component].get_submodule(name)
        wrapper = lora_forms.wrapper_of(own, layer)
        layer.adapter = [wrapper.eval()]  # kept alive, but not a child
        wrapper.apply_to()
    return lambda pipe: None


def by_lycoris_network(dialect, model, state, folder):
    network, _ = create_lycoris_from_weights(1.0, None, model.unet, weights_sd=dict(state))
    assert len(network.loras) == len(dialect.entries)
    network.eval().apply_to()
    model.network = network
    return lambda pipe: None


# -- images ------------------------------------------------------------------------------------------------------------


def pixels_of(model, prepare=lambda pipe: None):
    spec = dict(name=model.name, options=OPTIONS, segments=None, negative=None, scheduler=None, diffusers="euler")
    if model.unet.config.in_channels == 9:
        latent = pipelines.text_to_image(model, spec, OPTIONS["seed"])
    else:
        latent = pipelines.diffusers_latent(model, spec, OPTIONS["seed"], prepare)
    return pipelines.webui.to_pixels(pipelines.webui.decode(model, latent))


PLAIN = {}


def plain(name):
    if name not in PLAIN:
        PLAIN[name] = pixels_of(prompt_grammar.load(name))
    return PLAIN[name]


def save_image(name, model, pixels, note=""):
    effect = prompt_grammar.difference(pixels, plain(model)).mean()
    print(f"{name:32} effect {effect:5.1f}{note}", flush=True)
    assert effect >= 8, "an image that the file hardly changes proves nothing"
    Image.fromarray(pixels).save(OUT / f"{name}.png", optimize=True)


def write_case(name, make, kinds):
    dialect = make(prompt_grammar.load)
    state = dialect.tensors(name)
    with tempfile.TemporaryDirectory() as folder:
        save_file(state, Path(folder) / dialect.file, metadata={"format": "pt", **dialect.metadata})
        if dialect.config:
            (Path(folder) / "adapter_config.json").write_text(json.dumps(dialect.config))
        model = prompt_grammar.load(dialect.model)
        pixels = pixels_of(model, dialect.apply(dialect, model, state, Path(folder)))
        note = ""
        if dialect.apply not in (by_formula, by_rotation, by_lycoris_network):
            other = prompt_grammar.load(dialect.model)
            by_formula(dialect, other, state, None)
            off = prompt_grammar.difference(pixels, pixels_of(other)).max()
            note = f"  formula differs by {off}"
            assert off <= 2, f"{name}: the library skips or scales something, {off}"
    save_image(name, dialect.model, pixels, note)
    return dict(name=name, **dialect.record(kinds))


def write_form(form):
    """An image of a form of LyCORIS, with the values of lora_forms.py."""
    model = prompt_grammar.load("sd1")
    rows = lora_forms.rows_of(model, form)
    model.unet = lora_forms.adapted(model.unet, "unet", form, rows, 1)
    model.text[0] = lora_forms.adapted(model.text[0], "text_encoder", form, rows, 1)
    save_image(f"form-{form}", "sd1", pixels_of(model))


def main():
    warnings.filterwarnings("ignore")
    torch.set_grad_enabled(False)
    wanted = sys.argv[1:]
    if not wanted:
        shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True, exist_ok=True)
    chosen = lambda name: not wanted or any(part in name for part in wanted)  # noqa: E731
    kinds = []
    records = [write_case(name, make, kinds) for name, make in CASES.items() if chosen(name)]
    forms = [form for form in lora_forms.FORMS if form not in lora_forms.IMAGES]
    for form in forms:
        if chosen(f"form-{form}"):
            write_form(form)
    if not wanted:
        lines = lambda rows: ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows)  # noqa: E731
        (OUT / "cases.json").write_text(
            f'{{"options": {json.dumps(OPTIONS)},\n"forms": {json.dumps(forms)},\n"kinds": [\n{lines(kinds)}\n],\n'
            f'"dialects": [\n{lines(records)}\n]}}\n'
        )


if __name__ == "__main__":
    main()
