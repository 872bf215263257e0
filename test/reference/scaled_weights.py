"""Writes test/fixtures/scaled-weights: a safetensors file with a layer in each quantized format of ComfyUI, and the values that
comfy-kitchen's layouts restore from it.

    python test/reference/scaled_weights.py

`layers.safetensors` has a description per layer, except `legacy` and `metadata`, whose layers are described by nothing and
by the file's metadata. `expected.json` has, per layer, its shape and the restored values of some of its rows.
"""

import json

import torch
from comfy_kitchen.tensor.convrot_w4a4 import TensorCoreConvRotW4A4Layout
from comfy_kitchen.tensor.fp8 import TensorCoreFP8Layout
from comfy_kitchen.tensor.int8 import TensorWiseINT8Layout
from comfy_kitchen.tensor.mxfp8 import TensorCoreMXFP8Layout
from comfy_kitchen.tensor.nvfp4 import TensorCoreNVFP4Layout
from safetensors.torch import save_file

from common import FIXTURES

OUT = FIXTURES / "scaled-weights"

# layer, layout, rows, columns, description, arguments of quantize
CASES = [
    ("int8", TensorWiseINT8Layout, 8, 24, dict(format="int8_tensorwise"), {}),
    ("int8_rows", TensorWiseINT8Layout, 8, 24, dict(format="int8_tensorwise"), dict(per_channel=True)),
    (
        "int8_rotated",
        TensorWiseINT8Layout,
        8,
        128,
        dict(format="int8_tensorwise", convrot=True, convrot_groupsize=64),
        dict(per_channel=True, convrot=True, convrot_groupsize=64),
    ),
    (
        "int8_params",
        TensorWiseINT8Layout,
        4,
        512,
        dict(format="int8_tensorwise", params=dict(convrot=True)),
        dict(per_channel=True, convrot=True, convrot_groupsize=256),
    ),
    ("fp8", TensorCoreFP8Layout, 8, 24, dict(format="float8_e4m3fn"), {}),
    ("fp8_e5m2", TensorCoreFP8Layout, 8, 24, dict(format="float8_e5m2"), dict(dtype=torch.float8_e5m2)),
    ("nvfp4", TensorCoreNVFP4Layout, 144, 80, dict(format="nvfp4"), {}),
    ("mxfp8", TensorCoreMXFP8Layout, 160, 160, dict(format="mxfp8"), {}),
    (
        "w4a4",
        TensorCoreConvRotW4A4Layout,
        8,
        512,
        dict(format="convrot_w4a4", convrot_groupsize=256),
        dict(convrot_groupsize=256),
    ),
]
ROWS = [0, 1, 5, 33, 70, 127, 128, 143]


def quantized(layout, weight, **options):
    codes, params = layout.quantize(weight, **options)
    return layout.state_dict_tensors(codes, params), layout.dequantize(codes, params).float()


def main():
    generator = torch.Generator().manual_seed(0)
    file, expected, layers = {}, {}, {}

    def add(layer, tensors, values):
        for suffix, tensor in tensors.items():
            if tensor.dtype == torch.float8_e8m0fnu:
                tensor = tensor.view(torch.uint8)
            file[f"{layer}.weight{suffix}"] = tensor.contiguous()
        rows = [row for row in ROWS if row < len(values)]
        expected[layer] = dict(
            shape=list(values.shape), rows=rows, values=[[float(f"{v:.7g}") for v in values[row]] for row in rows]
        )

    def random(rows, columns):
        scale = torch.exp(torch.randn(rows, 1, generator=generator))
        return torch.randn(rows, columns, generator=generator) * scale

    for layer, layout, rows, columns, description, options in CASES:
        add(layer, *quantized(layout, random(rows, columns), **options))
        text = json.dumps(description).encode()
        file[f"{layer}.comfy_quant"] = torch.tensor(list(text), dtype=torch.uint8)

    tensors, values = quantized(TensorCoreFP8Layout, random(8, 24))
    add("legacy", {"": tensors[""]}, values)
    file["legacy.scale_weight"] = tensors["_scale"]
    file["scaled_fp8"] = torch.zeros(2, dtype=torch.float8_e4m3fn)

    add("model.metadata.0", *quantized(TensorWiseINT8Layout, random(8, 64), per_channel=True, convrot=True, convrot_groupsize=16))
    layers["metadata.0"] = dict(format="int8_tensorwise", convrot=True, convrot_groupsize=16)

    OUT.mkdir(exist_ok=True)
    save_file(
        file,
        OUT / "layers.safetensors",
        {"_quantization_metadata": json.dumps(dict(format_version="1.0", layers=layers))},
    )
    (OUT / "expected.json").write_text(json.dumps(expected))


main()
