"""Writes test/fixtures/upscale: tiny upscaling networks and their outputs.

    venv/bin/pip install -r test/reference/requirements.txt
    venv/bin/pip install --no-deps spandrel==0.4.2 torchvision timm
    python test/reference/upscalers.py

spandrel computes in f64. No weight is stored: each is a hash of its name (pipelines_models.py). `rows` are the names
and shapes of a file as published; spandrel has to recognize it.
"""

import json

import torch
from safetensors.torch import save_file
from spandrel import ModelLoader
from spandrel.architectures.Compact import Compact
from spandrel.architectures.DAT import DAT
from spandrel.architectures.ESRGAN import ESRGAN
from spandrel.architectures.SwinIR import SwinIR

from common import FIXTURES, assert_every_parameter_shows, record
from pipelines_models import amplitude, fan_in_amplitude, tensor

torch.set_grad_enabled(False)
torch.set_num_threads(1)  # the networks are tiny

OUT = FIXTURES / "upscale"

# Gains by a part of the name; the first match applies.
GAINS = [("conv_last", 0.3), ("conv5", 3.0), ("pos3.2", 6.0), ("spatial_interaction.3", 4.0), ("channel_interaction.4", 4.0), ("", 1.2)]
# SwinIR against JPEG artifacts reads and adds to pixels of 0 to 255.
GAINS_255 = [("conv_first", 0.01), ("conv_last", 60.0), ("", 1.2)]

SECTIONS = {}
TENSORS = {}


def image(seed, *shape):
    """Multiples of 1/256, which are stored as bytes."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, shape, generator=generator).double() / 256


def row_of(case, name, value):
    """`[case, name, shape, amplitude, base]`: the values are base + amplitude times a hash of case and name."""
    shape = list(value.shape)
    if name.endswith("running_var"):
        return [case, name, shape, 0.5, 1.0]
    if len(shape) < 2:
        factor = name.endswith("weight")
        if (case, name) == ("swinir-jpeg", "conv_last.bias"):
            return [case, name, shape, 32.0, 0.0]
        return [case, name, shape, 1.0 if factor else 0.5, 0.25 if factor else 0.0]
    gain = next(gain for part, gain in (GAINS_255 if case == "swinir-jpeg" else GAINS) if part in name)
    return [case, name, shape, fan_in_amplitude(shape, gain), 0.0]


def real_esrgan_name(name, blocks, doublings):
    """The name in Real-ESRGAN's files of a name of spandrel's modules, which are those of the original ESRGAN."""
    part = name.split(".")
    if part[:2] == ["model", "0"]:
        return f"conv_first.{part[2]}"
    if part[:3] == ["model", "1", "sub"]:
        if int(part[3]) == blocks:
            return f"conv_body.{part[4]}"
        return f"body.{part[3]}.{part[4].lower()}.{part[5]}.{part[-1]}"
    layer, last = int(part[1]), 3 * doublings + 4
    stem = {last: "conv_last", last - 2: "conv_hr"}.get(layer, f"conv_up{layer // 3}")
    return f"{stem}.{part[2]}"


def bsrgan_name(name):
    for new, old in [("conv_body", "trunk_conv"), ("body.", "RRDB_trunk."), (".rdb", ".RDB"), ("conv_up", "upconv"), ("conv_hr", "HRconv")]:
        name = name.replace(new, old)
    return name


def case(name, module, size, taps, rename=lambda name: name, kind="ESRGAN", without_effect=(), values=(), least=5e-3):
    """`taps` are pairs of canonical names and those of the reference's modules. Files also contain buffers that follow
    from the sizes; those in `values` are needed to read the config."""
    state = module.state_dict()
    learned = {key for key, _ in module.named_parameters()} | {key for key in state if "running_" in key}
    names = {key: rename(key) for key in state if key in learned}
    rows = [row_of(name, names[key], state[key]) for key in names]
    by_name = {row[1]: torch.from_numpy(tensor(f"{name}.{row[1]}", row)) for row in rows}
    module.load_state_dict({key: by_name[new] for key, new in names.items()}, strict=False)
    others = {rename(key): value for key, value in state.items() if key not in learned}
    loaded = ModelLoader().load_from_state_dict({**by_name, **others})
    assert loaded.architecture.id == kind, loaded.architecture.id
    module = module.double().eval()
    x = image(len(SECTIONS), *size)
    same = loaded.model.double().eval()(x)
    seen = record(module, [path for _, path in taps])
    y = module(x)
    assert torch.allclose(same, y, atol=1e-9), f"{name}: {(same - y).abs().max()}"
    for tap, path in taps:
        TENSORS[f"{name}/tap/{tap}"] = seen[path].float().contiguous().clone()
    TENSORS[f"{name}/image"] = (x * 256).to(torch.uint8)
    TENSORS[f"{name}/output"] = y.float().contiguous().clone()
    assert_every_parameter_shows(module, lambda: [module(x), *seen.values()], without_effect, least)
    SECTIONS[name] = {"scale": loaded.scale, "channels": loaded.input_channels, "taps": [tap for tap, _ in taps], "rows": rows}
    if values:
        SECTIONS[name]["values"] = {key: {"shape": list(state[key].shape), "data": state[key].flatten().tolist()} for key in values}


def esrgan(name, size, taps=(), plus=False, style="old", blocks=1, doublings=2, **options):
    module = ESRGAN(num_filters=options.pop("features", 16), num_blocks=blocks, scale=2**doublings, plus=plus, **options)
    renames = {
        "old": lambda key: key,
        "new": lambda key: real_esrgan_name(key, blocks, doublings),
        "bsrgan": lambda key: bsrgan_name(real_esrgan_name(key, blocks, doublings)),
    }
    case(name, module, size, taps, renames[style])


def esrgan_cases():
    taps = [("conv_first", "model.0"), ("body.0.rdb1", "model.1.sub.0.RDB1"), ("body.0", "model.1.sub.0")]
    esrgan("esrgan", (1, 3, 7, 6), taps, blocks=2)
    esrgan("esrgan-new", (2, 3, 5, 7), style="new", doublings=1)
    esrgan("bsrgan", (1, 3, 6, 6), style="bsrgan", doublings=1)
    esrgan("esrgan-plus", (1, 3, 6, 7), taps[1:2], plus=True, doublings=1)
    # Twice as large as the image: rearranged into 12 channels, then doubled twice.
    esrgan("esrgan-x2", (1, 3, 10, 14), style="new", in_nc=12, shuffle_factor=2)
    esrgan("esrgan-x1", (1, 3, 12, 8), style="new", in_nc=48, shuffle_factor=4)
    esrgan("esrgan-grey", (1, 1, 9, 8), in_nc=1, out_nc=1, doublings=0, features=12)


def compact_cases():
    for name, size, options in [
        ("compact", (1, 3, 7, 6), dict(num_feat=20, num_conv=2, upscale=4)),
        ("compact-x1", (2, 3, 7, 6), dict(num_feat=16, num_conv=1, upscale=1)),
        ("compact-grey", (1, 1, 9, 8), dict(num_in_ch=1, num_out_ch=1, num_feat=16, num_conv=1, upscale=3)),
    ]:
        case(name, Compact(**options), size, [("body.1", "body.1")][: name == "compact"], kind="Compact")


def swinir(name, size, upsampler, upscale, taps=(), window=4, **options):
    settings = dict(img_size=4 * window, embed_dim=16, depths=[2], num_heads=[2], window_size=window, mlp_ratio=2.0)
    module = SwinIR(upsampler=upsampler, upscale=upscale, **{**settings, **options})
    # Training stores the mask and the table of indices, which follow from the sizes.
    rename = (lambda key: key.replace("conv_first.", "conv_first.1.")) if options.get("start_unshuffle", 1) > 1 else (lambda key: key)
    case(name, module, size, taps, rename, kind="SwinIR")


def swinir_cases():
    block = "layers.0.residual_group.blocks."
    swinir("swinir", (1, 3, 10, 7), "pixelshuffle", 2, [(f"{block}{n}", f"{block}{n}") for n in (0, 1)])
    swinir("swinir-direct", (2, 3, 4, 8), "pixelshuffledirect", 3, embed_dim=12, depths=[2, 1], num_heads=[3, 2])
    swinir("swinir-real", (1, 3, 8, 8), "nearest+conv", 2, resi_connection="3conv")
    swinir("swinir-jpeg", (1, 1, 14, 9), "", 1, window=7, in_chans=1, img_range=255.0)
    swinir("swinir-unshuffle", (1, 3, 16, 8), "pixelshuffle", 2, start_unshuffle=2)


def dat(name, size, taps=(), without_effect=("pos.pos3.2.bias", "pos.pos3.0.bias"), **options):
    settings = dict(img_size=8, embed_dim=96, depth=[3], num_heads=[2], split_size=[2, 4], expansion_factor=2.0, upscale=2)
    module = DAT(**{**settings, **options})
    # Softmax is invariant to a constant, so the bias of the last layer of the position bias has no effect, and with so few
    # channels that of the norm before it neither if all or none of them pass the ReLU.
    case(name, module, size, taps, kind="DAT", without_effect=without_effect, least=3e-4,
         values=["layers.0.blocks.0.attn.attns.0.rpe_biases"])  # fmt: skip


def dat_cases():
    dat("dat", (1, 3, 5, 6), [("layers.0.blocks.2", "layers.0.blocks.2")])
    dat("dat-light", (1, 3, 5, 4), img_size=64, depth=[1, 1], num_heads=[2, 4], upsampler="pixelshuffledirect", resi_connection="3conv",
        qkv_bias=False, upscale=3, without_effect=[".pos."])  # fmt: skip


def shortened(row):
    """Omits the amplitude and base of most biases, or the base of most others."""
    name, shape, amp, base = row[1:]
    return [name, shape, amp, base] if base else [name, shape, amp] if amp != 0.5 else [name, shape]


def write():
    OUT.mkdir(parents=True, exist_ok=True)
    save_file(TENSORS, OUT / "upscalers.safetensors")
    sections = []
    for name, section in SECTIONS.items():
        rows = ",\n".join(json.dumps(shortened(row), separators=(",", ":")) for row in section["rows"])
        rest = json.dumps({key: value for key, value in section.items() if key != "rows"})
        sections.append(f'"{name}": {{"about": {rest}, "rows": [\n{rows}\n]}}')
    (OUT / "upscalers.safetensors").chmod(0o644)
    (OUT / "upscalers.json").write_text("{" + ",\n".join(sections) + "}\n")


if __name__ == "__main__":
    esrgan_cases()
    compact_cases()
    swinir_cases()
    dat_cases()
    write()
