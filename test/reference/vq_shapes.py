"""Writes test/fixtures/vq/shapes.json: the published autoencoders' configs, and a digest of the names and shapes of
their parameters.

    venv/bin/pip install --no-deps taming-transformers-rom1504==0.0.6
    python test/reference/vq_shapes.py

Nothing of these sizes is allocated: tensors on PyTorch's meta device have shapes only.
"""

import hashlib
import json

import taming_import  # noqa: F401
import torch
from taming.modules.diffusionmodules.model import Decoder, Encoder

from common import FIXTURES

# name: (target, z, resolution, ch_mult, attention at, embed_dim, codes, attn_type), all with 128 channels and 2 blocks per level.
PUBLISHED = {
    "kl-f4": ("ldm.models.autoencoder.AutoencoderKL", 3, 256, [1, 2, 4], [], 3, None, None),
    "kl-f8": ("ldm.models.autoencoder.AutoencoderKL", 4, 256, [1, 2, 4, 4], [], 4, None, None),
    "kl-f16": ("ldm.models.autoencoder.AutoencoderKL", 16, 256, [1, 1, 2, 2, 4], [16], 16, None, None),
    "kl-f32": ("ldm.models.autoencoder.AutoencoderKL", 64, 256, [1, 1, 2, 2, 4, 4], [16, 8], 64, None, None),
    "vq-f4": ("ldm.models.autoencoder.VQModel", 3, 256, [1, 2, 4], [], 3, 8192, None),
    "vq-f4-noattn": ("ldm.models.autoencoder.VQModel", 3, 256, [1, 2, 4], [], 3, 8192, "none"),
    "vq-f8": ("ldm.models.autoencoder.VQModelInterface", 4, 256, [1, 2, 2, 4], [32], 4, 16384, None),
    "vq-f8-n256": ("ldm.models.autoencoder.VQModel", 4, 256, [1, 2, 2, 4], [32], 4, 256, None),
    "vq-f16": ("ldm.models.autoencoder.VQModel", 8, 256, [1, 1, 2, 2, 4], [16], 8, 16384, None),
    "vqgan-f16-1024": ("taming.models.vqgan.VQModel", 256, 256, [1, 1, 2, 2, 4], [16], 256, 1024, None),
    "vqgan-f16-16384": ("taming.models.vqgan.VQModel", 256, 256, [1, 1, 2, 2, 4], [16], 256, 16384, None),
    "gumbel-f8": ("taming.models.vqgan.GumbelVQ", 256, 256, [1, 1, 2, 4], [32], 256, 8192, None),
}


def parameters(target, dd, embed, codes):
    kl, gumbel = target.endswith("KL"), target.endswith("GumbelVQ")
    encoded, z = (2 if kl else 1), dd["z_channels"]
    with torch.device("meta"):
        model = torch.nn.Module()
        model.encoder, model.decoder = Encoder(**dd), Decoder(**dd)
        if dd.get("attn_type") == "none":
            del model.encoder.mid.attn_1, model.decoder.mid.attn_1
        model.quant_conv = torch.nn.Conv2d(encoded * z, encoded * embed, 1)
        model.post_quant_conv = torch.nn.Conv2d(embed, z, 1)
        if codes:
            model.quantize = torch.nn.Module()
            table = torch.nn.Embedding(codes, embed)
            setattr(model.quantize, "embed" if gumbel else "embedding", table)
            if gumbel:
                model.quantize.proj = torch.nn.Conv2d(z, codes, 1)
    return {name: list(value.shape) for name, value in model.state_dict().items()}


def digest(found):
    """SHA-256 of the sorted lines `name 4x3`, without trailing ones of the shapes."""
    lines = []
    for name, shape in found.items():
        while len(shape) > 1 and shape[-1] == 1:
            shape = shape[:-1]
        lines.append(f"{name} {'x'.join(map(str, shape))}")
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


if __name__ == "__main__":
    out = {}
    for name, (target, z, resolution, mult, attention, embed, codes, attn_type) in PUBLISHED.items():
        dd = dict(double_z=target.endswith("KL"), z_channels=z, resolution=resolution, in_channels=3, out_ch=3, ch=128, ch_mult=mult,
                  num_res_blocks=2, attn_resolutions=attention, dropout=0.0)  # fmt: skip
        dd |= {"attn_type": attn_type} if attn_type else {}
        params = {"ddconfig": dd, "embed_dim": embed} | ({"n_embed": codes} if codes else {})
        found = parameters(target, dd, embed, codes)
        out[name] = {"target": target, "params": params, "tensors": len(found), "digest": digest(found)}
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in out.items())
    (FIXTURES / "vq" / "shapes.json").write_text("{\n" + lines + "\n}\n")
