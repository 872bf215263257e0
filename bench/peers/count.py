"""Counts the multiply-adds of each module and size with PyTorch's counter, on meta tensors: the table in bench/compare.mjs.

PYTHON bench/peers/count.py
"""

import torch
from torch.utils.flop_counter import FlopCounterMode

import models

with torch.device("meta"):
    for module, family in (("unet", "sd1"), ("unet", "sdxl"), ("decoder", "sd1"), ("text", "sd1")):
        built = models.build(module, family)
        for side in (77,) if module == "text" else (32, 64, 128):
            with FlopCounterMode(display=False) as counter, torch.no_grad():
                built(*models.inputs(module, family, side, 1))
            print(module, family, side, round(counter.get_total_flops() / 2e9, 2))
