"""Writes test/fixtures/sketch-starter.json: results of taming-transformers with the model in models/sketch.

    venv/bin/pip install --no-deps taming-transformers-rom1504==0.0.6
    venv/bin/python test/reference/sketch_starter.py

The images are those of test/support/vqgan/drawings.ts: a yellow ball, and a ring as a sketch.
"""

import json
from pathlib import Path

import numpy as np
import taming_import
import torch
import yaml
from taming.modules.discriminator.model import NLayerDiscriminator

from common import FIXTURES
from safetensors.torch import load_file

torch.set_grad_enabled(False)
STARTER = Path(__file__).resolve().parents[2] / "models" / "sketch"
SIDE = 96
DISCRIMINATOR = "first_stage_model.loss.discriminator."


def starter():
    """Net2NetTransformer with every tensor of the file, and its discriminator."""
    config = yaml.safe_load((STARTER / "config.yaml").read_text())["model"]
    stage = config["params"]["first_stage_config"]["params"]
    losses = stage["lossconfig"]["params"]
    for place in ("first_stage_config", "cond_stage_config"):  # taming's losses require torchvision, and LPIPS would be downloaded
        config["params"][place]["params"]["lossconfig"] = {"target": "torch.nn.Identity"}
    model = taming_import.instantiate_from_config(config).eval()
    tensors = {name: tensor.float() for name, tensor in load_file(STARTER / "model.safetensors").items()}
    judge = {name.removeprefix(DISCRIMINATOR): tensors.pop(name) for name in list(tensors) if name.startswith(DISCRIMINATOR)}
    missing, unexpected = model.load_state_dict(tensors, strict=False)
    assert not unexpected and all(name.endswith("attn.mask") for name in missing), (missing, unexpected)
    disc = NLayerDiscriminator(losses["disc_in_channels"], losses["disc_ndf"], losses["disc_num_layers"]).eval()
    disc.load_state_dict(judge)
    return model, disc


def places():
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    return y, np.hypot(x - SIDE / 2, y - SIDE / 2)


def ball():
    y, far = places()
    picture = np.where(np.abs(y - SIDE / 2)[..., None] < 0.06 * SIDE, (220, 30, 40), (250, 200, 40))
    return np.where(far[..., None] > 0.38 * SIDE, 255, picture).astype(np.uint8)


def ring():
    _, far = places()
    return np.where(np.abs(far - 0.36 * SIDE) < 0.02 * SIDE, 20, 255).astype(np.uint8)[..., None]


def tensor(picture):
    return torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 127.5 - 1


def main():
    model, disc = starter()
    picture, drawing = tensor(ball()), tensor(ring())
    quant, z = model.encode_to_z(picture)
    _, c = model.encode_to_c(drawing)
    shown = model.first_stage_model.decode(quant)
    rounded = ((shown.clamp(-1, 1) + 1) * 127.5).round()
    mse = ((rounded - (picture + 1) * 127.5) ** 2).mean().item()
    logits, target = model(picture, drawing)
    nats = torch.log_softmax(logits[0], 1).gather(1, target[0][:, None])[:, 0]
    torch.manual_seed(7)
    sampled = model.sample(z[:, :0], c, z.shape[1], sample=True, top_k=100)
    patches = disc(picture)[0, 0]
    found = {
        "codes": z.view(SIDE // 8, -1).tolist(), "drawing": c.view(SIDE // 8, -1).tolist(),
        "psnr": 10 * np.log10(255**2 / mse), "pixels": shown[0, :, ::16, ::16].flatten().tolist(),
        "logLikelihood": nats.sum().item(), "firstNats": nats[:24].tolist(),
        "sampled": sampled.view(SIDE // 8, -1).tolist(), "patches": [list(patches.shape), patches[::5, ::5].flatten().tolist()],
    }  # fmt: skip
    (FIXTURES / "sketch-starter.json").write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
