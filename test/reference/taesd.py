"""Writes fixtures of tiny autoencoders (TAESD): modules to test/fixtures/models, and whole images to test/fixtures/taesd.

    python test/reference/taesd.py

Modules come from diffusers' AutoencoderTiny, which computes in f64, and for the variants that diffusers lacks (1x1 skip
connections, the normalized branch of TAEF2) from the same layers in torch. Whole images use the tiny Stable Diffusion 1 of
pipelines_models.py with an AutoencoderTiny whose weights are hashes of their names.
"""

import warnings
from types import SimpleNamespace

import numpy as np
import torch
from diffusers import AutoencoderTiny
from PIL import Image
from torch import nn

import pipelines
import pipelines_models as models
import pipelines_webui as webui
from common import FIXTURES, assert_every_parameter_shows, randomize, record, save
from models import normal

torch.set_grad_enabled(False)

# -- modules ---------------------------------------------------------------------------------------------------------


def conv(inputs, out, stride=1, bias=True):
    return nn.Conv2d(inputs, out, 3, stride=stride, padding=1, bias=bias)


class Block(nn.Module):
    """The block of TAESD, with TAEF2's branch if `pool` is its number of channels."""

    def __init__(self, inputs, out, pool=0):
        super().__init__()
        self.conv = nn.Sequential(conv(inputs, out), nn.ReLU(), conv(out, out), nn.ReLU(), conv(out, out))
        self.skip = nn.Conv2d(inputs, out, 1, bias=False) if inputs != out else nn.Identity()
        self.pool = None
        if pool:
            self.pool = nn.Sequential(nn.Conv2d(inputs, pool, 1, bias=False), nn.GroupNorm(4, pool), nn.ReLU(),
                                      nn.Conv2d(pool, inputs, 1, bias=False))  # fmt: skip

    def forward(self, x):
        x = x if self.pool is None else x + self.pool(x)
        return torch.relu(self.conv(x) + self.skip(x))


class Half(nn.Module):
    def __init__(self, *layers):
        super().__init__()
        self.layers = nn.Sequential(*layers)


class Variant(nn.Module):
    def __init__(self, encoder, decoder):
        super().__init__()
        self.encoder, self.decoder = Half(*encoder), Half(*decoder)

    def encode(self, x):
        return SimpleNamespace(latents=self.encoder.layers(x / 2 + 0.5))

    def decode(self, z):
        return SimpleNamespace(sample=self.decoder.layers(torch.tanh(z / 3) * 3) * 2 - 1)


def layers_of(half):
    """Our config of a half (lib/checkpoint/config/types.ts)."""
    layers = []
    for layer in half.layers:
        if isinstance(layer, nn.Conv2d):
            layers.append({"op": "conv", "out": layer.out_channels, "stride": layer.stride[0], "bias": layer.bias is not None})
        elif isinstance(layer, nn.Upsample):
            layers.append({"op": "upsample"})
        elif isinstance(layer, nn.ReLU):
            layers.append({"op": "relu"})
        else:
            pool = getattr(layer, "pool", None)
            inner = pool[0].out_channels if pool is not None else 0
            layers.append({"op": "block", "out": layer.conv[0].out_channels, "pool_channels": inner})
    return layers


def module(name, seed, model, latents, image_sizes, latent_sizes, taps):
    randomize(model, seed, [("bias", 0.5), ("conv.4", 0.6), ("encoder", 1.2)])
    norms = [m for m in model.modules() if isinstance(m, nn.GroupNorm)]
    for norm in norms:
        norm.weight.copy_((1 + 0.3 * norm.weight).half())
    seen = record(model, taps)
    cases = []
    for number, size in enumerate(image_sizes):
        x = normal(seed + number, size[0], 3, *size[1:])
        cases.append(dict(entry="encode", inputs={"image": x}, outputs={"latent": model.encode(x).latents}))
        if number == 0:
            cases[-1]["taps"] = {tap: seen[tap].clone() for tap in taps if tap.startswith("encoder")}
    for number, size in enumerate(latent_sizes):
        z = 2 * normal(seed + 50 + number, size[0], latents, *size[1:])
        cases.append(dict(entry="decode", inputs={"latent": z}, outputs={"image": model.decode(z).sample}))
        if number == 0:
            cases[-1]["taps"] = {tap: seen[tap].clone() for tap in taps if tap.startswith("decoder")}
    x, z = cases[0]["inputs"]["image"], cases[len(image_sizes)]["inputs"]["latent"]
    assert_every_parameter_shows(model, lambda: [model.encode(x).latents, model.decode(z).sample])
    config = dict(in_channels=3, out_channels=3, latent_channels=latents, encoder=layers_of(model.encoder),
                  decoder=layers_of(model.decoder), scaling_factor=1.0, shift_factor=0.0)  # fmt: skip
    save("models", name, {"kind": "tiny_autoencoder", "config": config}, model.state_dict(), cases)


def modules():
    tiny = AutoencoderTiny(
        encoder_block_out_channels=(8, 8), decoder_block_out_channels=(8, 8), num_encoder_blocks=(1, 2),
        num_decoder_blocks=(2, 1),
    )  # fmt: skip
    module("taesd", 31, tiny, 4, [(2, 13, 10), (1, 16, 24)], [(2, 5, 3), (1, 9, 12)],
           ["encoder.layers.0", "encoder.layers.1.conv.0", "encoder.layers.2", "encoder.layers.4", "decoder.layers.0",
            "decoder.layers.1", "decoder.layers.2.conv.4", "decoder.layers.3", "decoder.layers.4", "decoder.layers.5"])  # fmt: skip
    encoder = [conv(3, 8), Block(8, 12), conv(12, 12, 2, False), Block(12, 12, 16), conv(12, 16)]
    decoder = [conv(16, 12), nn.ReLU(), Block(12, 12, 24), Block(12, 8), nn.Upsample(scale_factor=2), conv(8, 8, bias=False),
               Block(8, 8), conv(8, 3)]  # fmt: skip
    module("taesd-pooled", 32, Variant(encoder, decoder), 16, [(2, 9, 12), (1, 8, 8)], [(2, 4, 3)],
           ["encoder.layers.1", "encoder.layers.3", "decoder.layers.2", "decoder.layers.3", "decoder.layers.4"])  # fmt: skip


# -- whole images ----------------------------------------------------------------------------------------------------

OUT = FIXTURES / "taesd"
CONFIG = dict(
    encoder_block_out_channels=(8, 8, 8), decoder_block_out_channels=(8, 8, 8), num_encoder_blocks=(1, 1, 1),
    num_decoder_blocks=(1, 1, 1),
)  # fmt: skip
GAINS = [("conv.4", 0.6), ("", 1.3)]


def weights(vae):
    """Manifest rows as in pipelines_models.py; the last bias lies around the middle of 0..1."""
    rows = []
    last = f"decoder.layers.{len(vae.decoder.layers) - 1}."
    for name, value in vae.state_dict().items():
        shape = list(value.shape)
        gain = next(g for end, g in GAINS if name.rsplit(".", 1)[0].endswith(end))
        gain = 0.25 if name == f"{last}weight" else gain
        bias = name.endswith("bias")
        base = 0.5 if name == f"{last}bias" else 0.0
        rows.append(["taesd", name, shape, 0.125 if bias else models.fan_in_amplitude(shape, gain), base])
    return rows


class AsKL:
    """AutoencoderTiny with the interface that pipelines_webui.py expects of an AutoencoderKL."""

    def __init__(self, vae):
        self.vae = vae
        self.config = SimpleNamespace(scaling_factor=1.0)

    def encode(self, x):
        return SimpleNamespace(latent_dist=SimpleNamespace(mean=self.vae.encode(x).latents))

    def decode(self, z):
        return self.vae.decode(z)


def spec_of(add, name):
    pipelines.CASES.clear()
    add()
    return next(spec for spec in pipelines.CASES if spec["name"] == name)


def images():
    OUT.mkdir(parents=True, exist_ok=True)
    vae = AutoencoderTiny(**CONFIG)
    rows = weights(vae)
    models.load("taesd", vae, rows)
    (OUT / "weights.json").write_text("[\n" + ",\n".join(models.json.dumps(row) for row in rows) + "\n]\n")
    config = {"_class_name": "AutoencoderTiny", **{key: value for key, value in vae.config.items() if not key.startswith("_")}}
    models.write_json(OUT / "config.json", config)

    model = models.TinyModel("sd1")
    model.scheduler = model.spec["scheduler"]
    model.tokenizers = [pipelines.CLIPTokenizer.from_pretrained(pipelines.OUT / "tokenizer")]
    model.factor = 4
    model.vae = AsKL(vae)
    expected = pipelines.OUT / "expected"
    latent = torch.from_numpy(np.load(expected / "sd1-euler-karras.npy"))
    keep("text-to-image", webui.to_pixels(webui.decode(model, latent)), expected / "sd1-euler-karras.png")
    spec = spec_of(pipelines.image_cases, "image")
    latent, pixels = pipelines.make(model, spec, spec["options"]["seed"])
    keep("image-to-image", pixels, expected / "image.png")
    np.save(OUT / "image-to-image.npy", latent.numpy())
    tensor = webui.to_tensor(pipelines.IMAGES["init.png"])
    np.save(OUT / "encoded.npy", webui.encode_image(model, tensor).numpy())


def keep(name, pixels, other):
    """Writes an image that differs visibly from that of the KL autoencoder."""
    difference = np.abs(pixels.astype(float) - np.asarray(Image.open(other).convert("RGB")).astype(float)).mean()
    print(f"{name}: {difference:.1f} of 255 from the KL autoencoder's")
    assert difference > 15
    Image.fromarray(pixels).save(OUT / f"{name}.png", optimize=True)


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    modules()
    images()
