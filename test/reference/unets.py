"""Writes test/fixtures/unets: outputs of tiny U-Nets of every kind in diffusers and CompVis' latent diffusion.

    pip install --no-deps stable-diffusion-sdkit==2.1.5    # CompVis' openaimodel.py
    python test/reference/unets.py

Neither weights nor inputs are stored: they come from hashes of their names (`pipelines_models.py`), so that the tests
generate the same bytes. cases.json has a manifest of each model, outputs.safetensors the reference's outputs.
"""

import json
import sys
import types

import numpy as np
import torch
from diffusers import UNet2DConditionModel, UNet2DModel
from safetensors.torch import save_file

from common import FIXTURES, assert_every_parameter_shows, record
from pipelines_models import fan_in_amplitude, load, noise

torch.set_grad_enabled(False)
OUT = FIXTURES / "unets"
CASES, OUTPUTS = [], {}

GAINS = [("to_q", 2.0), ("to_k", 2.0), ("qkv", 1.6), ("conv_out", 1.0), ("", 1.0)]


def rows_of(module):
    """[component, name, shape, amplitude, base, name, null] of every parameter, as in the pipelines' manifests."""
    rows = []
    for name, value in module.state_dict().items():
        shape = list(value.shape)
        if name.endswith("bias"):
            amp, base = 0.5, 0.0
        elif len(shape) == 1:
            amp, base = 0.25, 1.0
        elif name in ("class_embedding.weight", "label_emb.weight"):
            amp, base = 1.0, 0.0
        else:
            amp, base = fan_in_amplitude(shape, next(g for part, g in GAINS if part in name)), 0.0
        rows.append(["unet", name, shape, amp, base, name, None])
    return rows


def given(name, shape, scale=1.0):
    return torch.from_numpy(noise(name, int(np.prod(shape))).reshape(shape) * np.float32(scale))


def case(name, kind, module, config, sizes, taps=(), **conditions):
    """Adds a case. `sizes` are [batch, height, width] of samples; conditions: `context` [T, D] or `labels`, one per
    image."""
    rows = rows_of(module)
    load("unet", module, rows)
    # CompVis' code, and diffusers' class labels as timesteps, mix f32 into the computation: those stay in f32.
    dtype = torch.float32 if kind == "ldm" or config.get("class_embed_type") == "timestep" else torch.float64
    module = module.to(dtype)
    channels = rows_of(module)[[row[1] for row in rows].index(first_filter(rows))][2][1]
    seen = record(module, taps)
    described = dict(name=name, kind=kind, config=config, sizes=sizes, taps=list(taps), channels=channels, **conditions)
    for number, (batch, height, width) in enumerate(sizes):
        sample = given(f"{name}.{number}.sample", (batch, channels, height, width), 2).to(dtype)
        timestep = torch.tensor([999.0, 261.0, 3.0])[:batch].to(dtype)
        more = {}
        if "context" in conditions:
            more["context"] = given(f"{name}.{number}.context", (batch, *conditions["context"]), 2).to(dtype)
        if "labels" in conditions:
            labels = conditions["labels"]
            if labels == "numbers":
                labels = given(f"{name}.{number}.labels", (batch, conditions["width"]), 2).to(dtype)
            else:
                whole = all(isinstance(label, int) for label in labels)
                labels = torch.tensor(labels[:batch], dtype=torch.long if whole else dtype)
            more["labels"] = labels

        def run():
            return [forward(kind, module, sample, timestep, more)]

        OUTPUTS[f"{name}/{number}/sample"] = run()[0].float().contiguous()
        if number == 0:
            for tap in taps:
                OUTPUTS[f"{name}/{number}/{tap}"] = seen[tap].float().contiguous()
            # A key's bias shifts all scores of a query equally.
            assert_every_parameter_shows(module, run, ["to_k.bias"], least=5e-4)
    CASES.append((described, rows))
    print(name, len(rows), [f"{OUTPUTS[f'{name}/{i}/sample'].std():.2f}" for i in range(len(sizes))])


def first_filter(rows):
    return next(row[1] for row in rows if row[1] in ("conv_in.weight", "input_blocks.0.0.weight"))


def forward(kind, module, sample, timestep, more):
    context, labels = more.get("context"), more.get("labels")
    if kind == "ldm":
        return module(sample, timestep, context=context, y=labels)
    if isinstance(module, UNet2DModel):
        return module(sample, timestep, class_labels=labels).sample
    return module(sample, timestep, context, class_labels=labels).sample


# -- diffusers -------------------------------------------------------------------------------------------------------


def diffusers_case(name, cls, sizes, taps=(), conditions=None, **config):
    module = cls(**config)
    full = {k: v for k, v in module.config.items() if k not in ("_use_default_values", "_diffusers_version")}
    full = {"_class_name": cls.__name__, **json.loads(json.dumps(full))}
    case(name, "diffusers", module, full, sizes, taps, **(conditions or {}))


def diffusers_cases():
    small = dict(sample_size=8, layers_per_block=1, norm_num_groups=4)
    # google/ddpm-*: no padding before the strided convolutions, sines first.
    diffusers_case("ddpm", UNet2DModel, [[2, 8, 12], [1, 4, 4]],
                   ["conv_in", "down_blocks.0.downsamplers.0", "down_blocks.1.attentions.0", "mid_block.attentions.0", "up_blocks.1"],
                   **small, block_out_channels=(8, 12), attention_head_dim=None, downsample_padding=0, flip_sin_to_cos=False,
                   freq_shift=1, norm_eps=1e-6, down_block_types=("DownBlock2D", "AttnDownBlock2D"),
                   up_block_types=("AttnUpBlock2D", "UpBlock2D"))  # fmt: skip
    # LDM's inpainting: latent, masked image and mask concatenated, several heads, two layers.
    diffusers_case("joined-inputs", UNet2DModel, [[2, 8, 4], [1, 8, 8]], ["down_blocks.1.attentions.1", "up_blocks.0.attentions.2"],
                   sample_size=8, layers_per_block=2, norm_num_groups=8, in_channels=7, block_out_channels=(16, 24),
                   attention_head_dim=8, down_block_types=("AttnDownBlock2D", "AttnDownBlock2D"),
                   up_block_types=("AttnUpBlock2D", "AttnUpBlock2D"))  # fmt: skip
    # LDM's super-resolution, attention below the middle levels; every scale of the middle.
    diffusers_case("super-resolution", UNet2DModel, [[2, 4, 8]], ["mid_block", "mid_block.resnets.0"], **small, in_channels=6,
                   block_out_channels=(8, 8, 16), attention_head_dim=8, mid_block_scale_factor=1.5, attn_norm_num_groups=2,
                   down_block_types=("DownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
                   up_block_types=("AttnUpBlock2D", "UpBlock2D", "UpBlock2D"))  # fmt: skip
    # Time embedding as scale and shift, residual blocks that resample, classes.
    diffusers_case("scale-shift", UNet2DModel, [[2, 8, 4], [1, 16, 8]],
                   ["down_blocks.0.downsamplers.0", "down_blocks.1.downsamplers.0", "up_blocks.1.upsamplers.0", "mid_block"], **small,
                   conditions=dict(labels=[6, 0]), block_out_channels=(8, 12, 16), attention_head_dim=4, num_class_embeds=7,
                   resnet_time_scale_shift="scale_shift", downsample_type="resnet", upsample_type="resnet",
                   down_block_types=("ResnetDownsampleBlock2D", "AttnDownBlock2D", "DownBlock2D"),
                   up_block_types=("UpBlock2D", "AttnUpBlock2D", "UpBlock2D"))  # fmt: skip
    diffusers_case("label-as-time", UNet2DModel, [[2, 4, 4]], [], **small, conditions=dict(labels=[3.5, 40.0]),
                   block_out_channels=(8, 16), add_attention=False, class_embed_type="timestep",
                   down_block_types=("DownBlock2D", "DownBlock2D"), up_block_types=("ResnetUpsampleBlock2D", "UpBlock2D"))  # fmt: skip
    diffusers_case("label-as-embedding", UNet2DModel, [[2, 4, 4]], [], **small, conditions=dict(labels="numbers", width=32),
                   block_out_channels=(8, 16), mid_block_type=None, class_embed_type="identity",
                   down_block_types=("AttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "AttnUpBlock2D"))  # fmt: skip
    diffusers_case("conditional", UNet2DConditionModel, [[2, 8, 4]], ["down_blocks.0.downsamplers.0", "mid_block"],
                   **small, conditions=dict(context=[5, 12], labels="numbers", width=10), block_out_channels=(8, 16),
                   cross_attention_dim=12, attention_head_dim=2, resnet_time_scale_shift="scale_shift", mid_block_scale_factor=1.25,
                   class_embed_type="projection", projection_class_embeddings_input_dim=10,
                   down_block_types=("ResnetDownsampleBlock2D", "CrossAttnDownBlock2D"),
                   up_block_types=("CrossAttnUpBlock2D", "ResnetUpsampleBlock2D"))  # fmt: skip


# -- CompVis ---------------------------------------------------------------------------------------------------------


def openaimodel():
    """Imports CompVis' U-Net without its training dependencies."""
    sys.modules.setdefault("xformers", None)
    from ldm.modules.diffusionmodules import openaimodel as module

    return module.UNetModel


def ldm_case(name, sizes, conditions=None, **params):
    base = dict(image_size=8, in_channels=3, out_channels=3, model_channels=64, num_res_blocks=1, use_checkpoint=False)
    params = base | params
    case(name, "ldm", openaimodel()(**params).eval(), params, sizes, **(conditions or {}))


def ldm_cases():
    ldm_case("ldm-head-channels", [[2, 4, 8]], attention_resolutions=[2], channel_mult=[1, 2], num_head_channels=32)
    ldm_case("ldm-resampling", [[2, 4, 8], [1, 8, 8]], attention_resolutions=[1, 2], channel_mult=[1, 1, 2], num_heads=4,
             use_scale_shift_norm=True, resblock_updown=True)  # fmt: skip
    ldm_case("ldm-layers", [[2, 4, 4]], dict(labels=[0, 4]), attention_resolutions=[2], channel_mult=[1, 2], num_heads=2,
             num_res_blocks=[1, 2], num_classes=5, use_new_attention_order=True, resblock_updown=True, in_channels=6)  # fmt: skip
    ldm_case("ldm-context", [[2, 4, 4]], dict(context=[3, 24]), attention_resolutions=[1, 2], channel_mult=[1, 2], num_heads=1,
             use_spatial_transformer=True, transformer_depth=1, context_dim=24)  # fmt: skip


def main():
    sys.modules.setdefault("pytorch_lightning", types.ModuleType("pytorch_lightning"))
    diffusers_cases()
    ldm_cases()
    OUT.mkdir(parents=True, exist_ok=True)
    lines = []
    for described, rows in CASES:
        manifest = ",\n".join(json.dumps(row) for row in rows)
        lines.append(json.dumps(described)[:-1] + f', "rows": [\n{manifest}\n]}}')
    (OUT / "cases.json").write_text("[\n" + ",\n".join(lines) + "\n]\n")
    save_file(OUTPUTS, OUT / "outputs.safetensors")


if __name__ == "__main__":
    main()
