"""Writes test/fixtures/vq: tiny autoencoders with a codebook (and KL ones with attention at levels) and their
outputs.

    venv/bin/pip install -r test/reference/requirements.txt
    venv/bin/pip install --no-deps taming-transformers-rom1504==0.0.6
    python test/reference/vq_models.py

taming-transformers and diffusers compute in f64, and indices in f32, too, which have to be equal. No weight is
stored: each is a hash of its name (pipelines_models.py).
"""

import json

import taming_import  # noqa: F401
import torch
from safetensors.torch import save_file

from common import FIXTURES, assert_every_parameter_shows, record
from pipelines_models import amplitude, fan_in_amplitude, tensor

torch.set_grad_enabled(False)

OUT = FIXTURES / "vq"


def image(seed, *shape):
    """Pixels in -1..1 that f32 holds exactly."""
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(*shape, generator=generator) * 2 - 1).double()


# -- weights ---------------------------------------------------------------------------------------------------------

GAINS = [("attn_1.q.weight", 2.0), ("attn_1.k.weight", 2.0), ("to_q.weight", 3.0), ("to_k.weight", 3.0), ("conv2", 0.7), ("encoder.conv_out", 1.6), ("", 1.0)]


def row_of(case, name, value, codebook):
    """`[case, name, shape, amplitude, base]`: the values are base + amplitude times a hash of case and name."""
    shape = list(value.shape)
    if name.endswith("quantize.embedding.weight") or name.endswith("quantize.embed.weight"):
        return [case, name, shape, amplitude(codebook), 0.0]
    if len(shape) < 2 or name.endswith((".loc", ".scale", ".shift")):
        factor = name.endswith(("weight", "running_var", "scale"))
        return [case, name, shape, 0.25 if factor else 0.125, 1.0 if factor else 0.0]
    gain = next(gain for part, gain in GAINS if part in name)
    return [case, name, shape, fan_in_amplitude(shape, gain), 0.0]


def fill(case, module, codebook):
    rows = [row_of(case, name, value, codebook) for name, value in module.state_dict().items() if value.dtype.is_floating_point]
    state = {row[1]: torch.from_numpy(tensor(f"{case}.{row[1]}", row)) for row in rows}
    module.load_state_dict(state, strict=False)
    return rows


# -- cases -----------------------------------------------------------------------------------------------------------

SECTIONS = {}
TENSORS = {}


def keep(case, **tensors):
    for name, value in tensors.items():
        whole = not value.dtype.is_floating_point
        TENSORS[f"{case}/{name}"] = value.to(torch.int32 if whole else torch.float32).contiguous().clone()


def decided(distances):
    """True if every nearest codebook entry is nearer than the next by more than any rounding."""
    best = distances.topk(2, dim=-1, largest=False).values
    return ((best[..., 1] - best[..., 0]) / distances.abs().max()).min().item() > 1e-5


def distances_of(z, table):
    flat = z.permute(0, 2, 3, 1)
    return (flat[..., None, :] - table).square().sum(-1)


def taming(case, target, dd, params, size, taps, used=None, unknown="random", codebook=0.5):
    from taming.modules.vqvae.quantize import VectorQuantizer2

    gumbel = target.endswith("GumbelVQ")
    dd = dict(double_z=False, in_channels=3, out_ch=3, dropout=0.0, **dd)
    given = {"ddconfig": dd, "lossconfig": {"target": "torch.nn.Identity"}, **params}
    extra = {"temperature_scheduler_config": {"target": "builtins.dict"}} if gumbel else {}
    from taming.models import vqgan

    # LDM's classes are taming's with other names; its attn_type none leaves an identity in place of attention.
    model = getattr(vqgan, "GumbelVQ" if gumbel else "VQModel")(**{k: v for k, v in {**given, **extra}.items() if k != "unknown_index"})
    if dd.get("attn_type") == "none":
        model.encoder.mid.attn_1 = model.decoder.mid.attn_1 = torch.nn.Identity()
    model.eval()
    rows = fill(case, model, codebook)
    quantizer = model.quantize
    if used is not None:
        quantizer.remap, quantizer.used, quantizer.re_embed = "table", torch.tensor(used), len(used)
        quantizer.unknown_index = len(used) if unknown == "extra" else unknown
        quantizer.re_embed += unknown == "extra"

    def run(x):
        z = model.quant_conv(model.encoder(x))
        if gumbel:
            logits = quantizer.proj(z)
            allowed = torch.full((logits.shape[1],), -torch.inf).to(z) if used is not None else torch.zeros(logits.shape[1]).to(z)
            if used is not None:
                allowed[used] = 0
            codes = (logits + allowed[:, None, None]).argmax(1)
            places = quantizer.remap_to_used(codes) if used is not None else codes
            quantized = quantizer.embed(codes).permute(0, 3, 1, 2)
            return z, places, quantized, logits
        quantized, _, (_, _, indices) = quantizer(z)
        shape = (len(z), *z.shape[2:])
        return z, indices.reshape(shape), quantized, None

    def distances(z, logits):
        return distances_of(z, quantizer.embedding.weight) if logits is None else -logits.permute(0, 2, 3, 1)

    images = (image(seed, *size) for seed in range(100))
    x = next(x for x in images for z, _, _, logits in [run(x.float())] if decided(distances(z, logits)))
    _, in32, quantized, _ = run(x.float())

    def everything():
        z = model.quant_conv(model.encoder(x[:1].float()))
        return [z, model.decode(quantized[:1]), *([quantizer.proj(z)] if gumbel else [])]

    assert_every_parameter_shows(model, everything, [".k.bias", "quantize.embed"])
    model.double()
    seen = record(model, [path for _, path in taps])
    z, indices, quantized, logits = run(x)
    assert torch.equal(in32, indices)
    assert indices.unique().numel() > 3
    shape = (len(z), *z.shape[2:], z.shape[1])
    if gumbel:
        again = quantized
    else:
        again = quantizer.get_codebook_entry(indices.flatten().clone(), shape)  # which writes into it
    if gumbel:
        keep(case, logits=logits)
    elif case == "vqgan":
        keep(case, distances=distances(z, None))
    if not torch.allclose(again, quantized):
        keep(case, lookup=again, from_indices=model.decode(again))
    keep(case, image=x, latent=z, indices=indices, quantized=quantized, decoded=model.decode(quantized), **{
         f"tap/{name}": seen[path] for name, path in taps if path.startswith("encoder")})
    model.decode(quantized)
    keep(case, **{f"tap/{name}": seen[path] for name, path in taps if path.startswith("decoder")})

    assert isinstance(quantizer, VectorQuantizer2) or gumbel
    SECTIONS[case] = {
        "target": target, "params": {**given, **({"remap": "used.npy"} if used is not None else {})}, "rows": rows,
        "used": used, "taps": [name for name, _ in taps],
    }  # fmt: skip


def taming_cases():
    taming("vq-f4", "ldm.models.autoencoder.VQModelInterface",
           dict(z_channels=3, resolution=32, ch=64, ch_mult=[1, 1, 1], num_res_blocks=1, attn_resolutions=[]),
           dict(embed_dim=3, n_embed=96), (2, 3, 16, 24),
           [("encoder.mid_block.attentions.0", "encoder.mid.attn_1")])  # fmt: skip
    taming("vq-noattn", "ldm.models.autoencoder.VQModel",
           dict(z_channels=3, resolution=16, ch=64, ch_mult=[1, 1], num_res_blocks=1, attn_resolutions=[], attn_type="none"),
           dict(embed_dim=3, n_embed=32), (1, 3, 8, 12), [("encoder.conv_out", "encoder.conv_out")])  # fmt: skip
    # Attention where the nominal side length is 16, whatever the image's; latents narrower than the codebook vectors.
    taming("vqgan", "taming.models.vqgan.VQModel",
           dict(z_channels=12, resolution=64, ch=64, ch_mult=[1, 1, 2], num_res_blocks=2, attn_resolutions=[16]),
           dict(embed_dim=8, n_embed=128), (1, 3, 20, 28),
           [("encoder.down_blocks.2.attentions.1", "encoder.down.2.attn.1"), ("decoder.up_blocks.0.attentions.2", "decoder.up.2.attn.2")])  # fmt: skip
    # A side that does not halve evenly: 25, 12, 6 in the encoder, 6, 12, 24 in the decoder.
    taming("segmentation", "taming.models.vqgan.VQSegmentationModel",
           {**dict(z_channels=4, resolution=25, ch=64, ch_mult=[1, 1, 1], num_res_blocks=1, attn_resolutions=[25, 12, 24])},
           dict(embed_dim=4, n_embed=48), (1, 3, 12, 16),
           [("encoder.down_blocks.1.attentions.0", "encoder.down.1.attn.0"), ("decoder.up_blocks.1.attentions.1", "decoder.up.1.attn.1")])  # fmt: skip
    taming("gumbel", "taming.models.vqgan.GumbelVQ",
           dict(z_channels=8, resolution=32, ch=64, ch_mult=[1, 1], num_res_blocks=1, attn_resolutions=[16]),
           dict(embed_dim=8, n_embed=40), (2, 3, 12, 10),
           [("decoder.up_blocks.0.attentions.0", "decoder.up.1.attn.0")])  # fmt: skip
    taming("gumbel-used", "taming.models.vqgan.GumbelVQ",
           dict(z_channels=4, resolution=16, ch=64, ch_mult=[1, 1], num_res_blocks=1, attn_resolutions=[]),
           dict(embed_dim=4, n_embed=40), (1, 3, 12, 8), [("encoder.mid_block", "encoder.mid.block_2")],
           used=[39, 3, 17, 8, 21, 30, 11, 12])  # fmt: skip
    for name, unknown in [("used-extra", "extra"), ("used-fixed", 3)]:
        taming(name, "ldm.models.autoencoder.VQModel",
               dict(z_channels=4, resolution=16, ch=64, ch_mult=[1, 1], num_res_blocks=1, attn_resolutions=[]),
               dict(embed_dim=4, n_embed=40, unknown_index=unknown), (1, 3, 12, 8), [("encoder.mid_block", "encoder.mid.block_2")],
               used=[*range(38, 0, -3), 0], unknown=unknown)  # fmt: skip


class KL(torch.nn.Module):
    """ldm.models.autoencoder.AutoencoderKL, from taming's encoder and decoder."""

    def __init__(self, dd, embed):
        from taming.modules.diffusionmodules.model import Decoder, Encoder

        super().__init__()
        self.encoder, self.decoder = Encoder(**dd), Decoder(**dd)
        self.quant_conv = torch.nn.Conv2d(2 * dd["z_channels"], 2 * embed, 1)
        self.post_quant_conv = torch.nn.Conv2d(embed, dd["z_channels"], 1)


def kl_cases():
    case = "kl-f16"
    dd = dict(double_z=True, z_channels=4, resolution=32, in_channels=3, out_ch=3, ch=64, ch_mult=[1, 1, 1], num_res_blocks=1,
              attn_resolutions=[8, 16], dropout=0.0)  # fmt: skip
    model = KL(dd, 6).eval()
    rows = fill(case, model, 1)
    model.double()
    x = image(5, 1, 3, 20, 12)
    z = image(6, 1, 6, 3, 5)
    run = lambda: [model.quant_conv(model.encoder(x)), model.decoder(model.post_quant_conv(z))]
    moments, decoded = run()
    keep(case, image=x, moments=moments, latent=z, decoded=decoded)
    assert_every_parameter_shows(model, run, [".k.bias"])
    SECTIONS[case] = {"target": "ldm.models.autoencoder.AutoencoderKL", "rows": rows,
                      "params": {"ddconfig": dd, "embed_dim": 6, "lossconfig": {"target": "torch.nn.Identity"}}}  # fmt: skip


def diffusers_case():
    from diffusers import VQModel

    case = "diffusers"
    config = dict(
        in_channels=3, out_channels=3, down_block_types=["DownEncoderBlock2D", "AttnDownEncoderBlock2D"],
        up_block_types=["AttnUpDecoderBlock2D", "UpDecoderBlock2D"], block_out_channels=[16, 24], layers_per_block=1,
        act_fn="silu", latent_channels=5, sample_size=16, num_vq_embeddings=64, norm_num_groups=4, vq_embed_dim=3,
        scaling_factor=0.25, norm_type="group", mid_block_add_attention=True, lookup_from_codebook=False, force_upcast=False,
    )  # fmt: skip
    model = VQModel(**config).eval()
    rows = fill(case, model, 0.5)
    images = (image(seed, 2, 3, 14, 10) for seed in range(100))
    x = next(x for x in images if decided(distances_of(model.encode(x.float()).latents, model.quantize.embedding.weight)))
    in32 = model.quantize(model.encode(x.float()).latents)[2][2]
    model.double()
    taps = ["encoder.down_blocks.1.attentions.0", "decoder.up_blocks.0.attentions.1"]
    seen = record(model, taps)
    z = model.encode(x).latents
    quantized, _, (_, _, indices) = model.quantize(z)
    assert torch.equal(in32, indices)
    d = distances_of(z, model.quantize.embedding.weight)
    decoded = model.decode(z).sample
    keep(case, image=x, latent=z, quantized=quantized, indices=indices.reshape(d.shape[:3]), decoded=decoded,
         **{f"tap/{name}": seen[name] for name in taps})  # fmt: skip
    assert_every_parameter_shows(model, lambda: [model.encode(x[:1]).latents, model.decode(quantized[:1], force_not_quantize=True).sample],
                                 ["to_k.bias", "quantize"])  # fmt: skip
    SECTIONS[case] = {"config": {"_class_name": "VQModel", "_diffusers_version": "0.42.1", **config}, "rows": rows, "taps": taps}


def shortened(row):
    """Omits the most common amplitude and base."""
    name, shape, amplitude, base = row[1:]
    short = [name, shape, amplitude, base] if base else [name, shape, amplitude]
    return short[:2] if short == [name, shape, 0.125] else short


def write(file):
    OUT.mkdir(parents=True, exist_ok=True)
    save_file(TENSORS, OUT / f"{file}.safetensors")
    sections = []
    for case, section in SECTIONS.items():
        rows = ",\n".join(json.dumps(shortened(row), separators=(",", ":")) for row in section["rows"])
        rest = json.dumps({key: value for key, value in section.items() if key != "rows"})
        sections.append(f'"{case}": {{"about": {rest}, "rows": [\n{rows}\n]}}')
    (OUT / f"{file}.json").write_text("{" + ",\n".join(sections) + "}\n")


if __name__ == "__main__":
    taming_cases()
    kl_cases()
    diffusers_case()
    write("autoencoders")
