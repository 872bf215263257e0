"""The part of bench/precision-error.mjs that runs PyTorch: a U-Net in f64 and bf16, compared with the outputs in a folder.

PYTHON bench/peers/precision_error.py CHECKPOINT FOLDER SIDE

CHECKPOINT is a diffusers folder, or a file of SD1.5 with CompVis' names.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint
from safetensors.torch import load_file

import models


def load(path: Path) -> UNet2DConditionModel:
    if path.is_dir():
        return UNet2DConditionModel.from_pretrained(path / "unet")
    unet = UNet2DConditionModel(**models.UNETS["sd1"])
    unet.load_state_dict(convert_ldm_unet_checkpoint(load_file(path), dict(unet.config)))
    return unet


def output(path: Path, dtype: torch.dtype, sample: torch.Tensor, context: torch.Tensor) -> np.ndarray:
    unet = load(path).to(dtype)
    with torch.no_grad():
        result = unet(sample.to(dtype), torch.tensor([500]), context.to(dtype)).sample
    return result.double().numpy().ravel()


def main():
    path, folder, side = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    read = lambda name: np.fromfile(folder / f"{name}.bin", np.float32)
    sample = torch.from_numpy(read("sample").reshape(1, -1, side, side))
    context = torch.from_numpy(read("context").reshape(1, 77, -1))
    exact = output(path, torch.float64, sample, context)
    for name, values in (
        ("Safelight f32", read("f32")),
        ("Safelight bf16", read("bf16")),
        ("Safelight int8", read("int8")),
        ("PyTorch bf16", output(path, torch.bfloat16, sample, context)),
    ):
        print(f"{name:16}{np.sqrt(((values - exact) ** 2).sum() / (exact**2).sum()):.2e}")


main()
