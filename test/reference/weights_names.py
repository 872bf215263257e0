"""Writes test/fixtures/weights/names.json.gz: the tensor names of single-file checkpoints and their conversion by
diffusers.

The names and shapes of a checkpoint are generated from CompVis' and OpenCLIP's module structure; diffusers'
conversion then maps them, with stand-ins for tensors that record their origin; and the result has to equal, in names
and shapes, the state dict of diffusers' and transformers' models. So the fixture is verified twice before it is
written.

    python test/reference/weights_names.py        (see requirements.txt in the same folder)
"""
import gzip
import json
from pathlib import Path

import diffusers.loaders.single_file_utils as sfu
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

OUT = Path(__file__).parent.parent / "fixtures" / "weights" / "names.json.gz"


class Traced:
    """A tensor that has only a shape and a history."""

    def __init__(self, source, shape, op=None):
        self.source, self.shape, self.op = source, tuple(shape), op

    ndim = property(lambda self: len(self.shape))
    T = property(lambda self: Traced(self.source, self.shape[::-1], ["transpose"]))

    def contiguous(self):
        return self

    clone = detach = contiguous

    def __getitem__(self, key):
        keys = key if isinstance(key, tuple) else (key,)
        if any(isinstance(k, int) for k in keys):  # [C, C, 1, 1] -> [C, C]
            return Traced(self.source, self.shape[: len([k for k in keys if isinstance(k, slice)])])
        start, stop, _ = keys[0].indices(self.shape[0])
        return Traced(self.source, (stop - start, *self.shape[1:]), ["rows", start, stop])


# --- contents of the files
# -------------------------------------------------------------------------------------------------------


def pair(names, place, shape):
    names[f"{place}.weight"] = tuple(shape)
    names[f"{place}.bias"] = (shape[0],)


def norm(names, place, width):
    pair(names, place, (width,))


def ldm_resnet(names, place, cin, cout, emb):
    norm(names, f"{place}.in_layers.0", cin)
    pair(names, f"{place}.in_layers.2", (cout, cin, 3, 3))
    pair(names, f"{place}.emb_layers.1", (cout, emb))
    norm(names, f"{place}.out_layers.0", cout)
    pair(names, f"{place}.out_layers.3", (cout, cout, 3, 3))
    if cin != cout:
        pair(names, f"{place}.skip_connection", (cout, cin, 1, 1))


def ldm_transformer(names, place, ch, context, depth, linear):
    norm(names, f"{place}.norm", ch)
    ends = (ch, ch) if linear else (ch, ch, 1, 1)
    pair(names, f"{place}.proj_in", ends)
    for d in range(depth):
        block = f"{place}.transformer_blocks.{d}"
        for attn, keys in (("attn1", ch), ("attn2", context)):
            names[f"{block}.{attn}.to_q.weight"] = (ch, ch)
            names[f"{block}.{attn}.to_k.weight"] = (ch, keys)
            names[f"{block}.{attn}.to_v.weight"] = (ch, keys)
            pair(names, f"{block}.{attn}.to_out.0", (ch, ch))
        pair(names, f"{block}.ff.net.0.proj", (8 * ch, ch))
        pair(names, f"{block}.ff.net.2", (ch, 4 * ch))
        for n in (1, 2, 3):
            norm(names, f"{block}.norm{n}", ch)
    pair(names, f"{place}.proj_out", ends)


def ldm_unet(cin, mc, mult, attention_ds, depth, context, linear, adm=None, blocks=2):
    """openaimodel.py's UNetModel; depth is one value per level, the middle block has the last level's."""
    names, emb = {}, 4 * mc
    pair(names, "time_embed.0", (emb, mc))
    pair(names, "time_embed.2", (emb, emb))
    if adm:
        pair(names, "label_emb.0.0", (emb, adm))
        pair(names, "label_emb.0.2", (emb, emb))
    pair(names, "input_blocks.0.0", (mc, cin, 3, 3))
    skips, ch, ds, index = [mc], mc, 1, 1
    for level, m in enumerate(mult):
        for _ in range(blocks):
            ldm_resnet(names, f"input_blocks.{index}.0", ch, m * mc, emb)
            ch = m * mc
            if ds in attention_ds:
                ldm_transformer(names, f"input_blocks.{index}.1", ch, context, depth[level], linear)
            skips.append(ch)
            index += 1
        if level + 1 < len(mult):
            pair(names, f"input_blocks.{index}.0.op", (ch, ch, 3, 3))
            skips.append(ch)
            index, ds = index + 1, 2 * ds
    ldm_resnet(names, "middle_block.0", ch, ch, emb)
    ldm_transformer(names, "middle_block.1", ch, context, depth[-1], linear)
    ldm_resnet(names, "middle_block.2", ch, ch, emb)
    index = 0
    for level, m in reversed(list(enumerate(mult))):
        for i in range(blocks + 1):
            ldm_resnet(names, f"output_blocks.{index}.0", ch + skips.pop(), m * mc, emb)
            ch, part = m * mc, 1
            if ds in attention_ds:
                ldm_transformer(names, f"output_blocks.{index}.1", ch, context, depth[level], linear)
                part = 2
            if level and i == blocks:
                pair(names, f"output_blocks.{index}.{part}.conv", (ch, ch, 3, 3))
                ds //= 2
            index += 1
    norm(names, "out.0", ch)
    pair(names, "out.2", (4, mc, 3, 3))
    return names


def ldm_autoencoder(ch, mult, blocks, z):
    names = {}

    def resnet(place, cin, cout):
        norm(names, f"{place}.norm1", cin)
        pair(names, f"{place}.conv1", (cout, cin, 3, 3))
        norm(names, f"{place}.norm2", cout)
        pair(names, f"{place}.conv2", (cout, cout, 3, 3))
        if cin != cout:
            pair(names, f"{place}.nin_shortcut", (cout, cin, 1, 1))

    def middle(half, width):
        resnet(f"{half}.mid.block_1", width, width)
        norm(names, f"{half}.mid.attn_1.norm", width)
        for part in ("q", "k", "v", "proj_out"):
            pair(names, f"{half}.mid.attn_1.{part}", (width, width, 1, 1))
        resnet(f"{half}.mid.block_2", width, width)

    def ends(half, first, last, cin, cout):
        pair(names, f"{half}.conv_in", (first, cin, 3, 3))
        norm(names, f"{half}.norm_out", last)
        pair(names, f"{half}.conv_out", (cout, last, 3, 3))

    top = ch * mult[-1]
    ends("encoder", ch, top, 3, 2 * z)
    width = ch
    for level, m in enumerate(mult):
        for j in range(blocks):
            resnet(f"encoder.down.{level}.block.{j}", width, ch * m)
            width = ch * m
        if level + 1 < len(mult):
            pair(names, f"encoder.down.{level}.downsample.conv", (width, width, 3, 3))
    middle("encoder", top)
    ends("decoder", top, ch * mult[0], z, 3)
    middle("decoder", top)
    for level, m in reversed(list(enumerate(mult))):
        for j in range(blocks + 1):
            resnet(f"decoder.up.{level}.block.{j}", width, ch * m)
            width = ch * m
        if level:
            pair(names, f"decoder.up.{level}.upsample.conv", (width, width, 3, 3))
    pair(names, "quant_conv", (2 * z, 2 * z, 1, 1))
    pair(names, "post_quant_conv", (z, z, 1, 1))
    return names


def clip(width, layers, hidden, vocab, window):
    names = {
        "text_model.embeddings.token_embedding.weight": (vocab, width),
        "text_model.embeddings.position_embedding.weight": (window, width),
    }
    for i in range(layers):
        layer = f"text_model.encoder.layers.{i}"
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            pair(names, f"{layer}.self_attn.{part}", (width, width))
        norm(names, f"{layer}.layer_norm1", width)
        pair(names, f"{layer}.mlp.fc1", (hidden, width))
        pair(names, f"{layer}.mlp.fc2", (width, hidden))
        norm(names, f"{layer}.layer_norm2", width)
    norm(names, "text_model.final_layer_norm", width)
    return names


def openclip(width, layers, hidden, vocab, window, projection):
    names = {"positional_embedding": (window, width), "token_embedding.weight": (vocab, width)}
    for i in range(layers):
        block = f"transformer.resblocks.{i}"
        norm(names, f"{block}.ln_1", width)
        names[f"{block}.attn.in_proj_weight"] = (3 * width, width)
        names[f"{block}.attn.in_proj_bias"] = (3 * width,)
        pair(names, f"{block}.attn.out_proj", (width, width))
        norm(names, f"{block}.ln_2", width)
        pair(names, f"{block}.mlp.c_fc", (hidden, width))
        pair(names, f"{block}.mlp.c_proj", (width, hidden))
    norm(names, "ln_final", width)
    if projection:
        names["text_projection"] = (width, projection)
    return names


# --- conversion by diffusers
# ------------------------------------------------------------------------------------------------


def traced(names, prefix):
    return {prefix + name: Traced(prefix + name, shape) for name, shape in names.items()}


def state_shapes(build):
    with torch.device("meta"):
        return {name: tuple(value.shape) for name, value in build().state_dict().items()}


def rows(component, sources, converted, model):
    """[canonical name, its shape, name in the file, shape there, operation]; asserted to map one to one onto the
    model."""
    converted = {name: value for name, value in converted.items() if value is not None}
    assert {name: value.shape for name, value in converted.items()} == model, component
    assert {value.source for value in converted.values()} == set(sources), component
    return [
        [name, list(value.shape), value.source, list(sources[value.source].shape), value.op]
        for name, value in converted.items()
    ]


def unet_rows(prefix, args, config):
    sources = traced(ldm_unet(**args), prefix)
    model = state_shapes(lambda: UNet2DConditionModel(**config))
    filled = {"class_embed_type": None, "addition_embed_type": None, "num_class_embeds": None, **config}
    return rows("unet", sources, sfu.convert_ldm_unet_checkpoint(sources, filled), model)


def vae_rows(prefix, args, config):
    sources = traced(ldm_autoencoder(**args), prefix)
    model = state_shapes(lambda: AutoencoderKL(**config))
    return rows("vae", sources, sfu.convert_ldm_vae_checkpoint(sources, config), model)


def with_prefix(model):
    """transformers 5 removed `text_model.` from CLIPTextModel; canonical names contain it."""
    return {
        name if name.startswith(("text_model.", "text_projection.")) else f"text_model.{name}": shape
        for name, shape in model.items()
        if not name.endswith("position_ids")
    }


def clip_rows(prefix, args, config):
    sources = traced(clip(**args), prefix)
    model = with_prefix(state_shapes(lambda: CLIPTextModel(CLIPTextConfig(**config))))
    return rows("clip", sources, sfu.convert_ldm_clip_checkpoint(sources), model)


def openclip_rows(prefix, args, config):
    sources = traced(openclip(**args), prefix)
    kind = CLIPTextModelWithProjection if args["projection"] else CLIPTextModel
    model = with_prefix(state_shapes(lambda: kind(CLIPTextConfig(**config))))
    sfu.SD_2_TEXT_ENCODER_KEYS_TO_IGNORE = []  # diffusers drops SD2's last layer; here it is kept
    text_model = type("Model", (), {"config": CLIPTextConfig(**config)})
    return rows("openclip", sources, sfu.convert_open_clip_checkpoint(text_model, sources, prefix=prefix), model)


def text_config(args, act, heads):
    return {
        "vocab_size": args["vocab"], "hidden_size": args["width"], "intermediate_size": args["hidden"],
        "num_hidden_layers": args["layers"], "num_attention_heads": heads, "max_position_embeddings": args["window"],
        "hidden_act": act, "projection_dim": args.get("projection") or args["width"],
    }


def family(unet, vae, clips=(), openclips=()):
    """One checkpoint: parameters of the generators above, and diffusers' configs for them."""
    mult, ds = unet["mult"], unet["attention_ds"]
    attends = [2**i in ds for i in range(len(mult))]
    sides = [unet["mc"] * m for m in mult]
    config = {
        "sample_size": 64, "in_channels": unet["cin"], "block_out_channels": sides,
        "down_block_types": ["CrossAttnDownBlock2D" if a else "DownBlock2D" for a in attends],
        "up_block_types": ["CrossAttnUpBlock2D" if a else "UpBlock2D" for a in reversed(attends)],
        "layers_per_block": unet.get("blocks", 2), "cross_attention_dim": unet["context"],
        "attention_head_dim": [max(1, s // 64) for s in sides] if unet["linear"] else 8,
        "use_linear_projection": unet["linear"], "transformer_layers_per_block": unet["depth"],
    }
    if "adm" in unet:
        ids = 6 if clips else 5
        pooled = openclips[0][1]["projection"]
        config |= {"addition_embed_type": "text_time", "addition_time_embed_dim": (unet["adm"] - pooled) // ids,
                   "projection_class_embeddings_input_dim": unet["adm"]}
    levels = len(vae["mult"])
    vae_config = {
        "block_out_channels": [vae["ch"] * m for m in vae["mult"]], "layers_per_block": vae["blocks"], "latent_channels": vae["z"],
        "down_block_types": ["DownEncoderBlock2D"] * levels, "up_block_types": ["UpDecoderBlock2D"] * levels,
    }
    out = {
        "unet": {"config": config, "rows": unet_rows("model.diffusion_model.", unet, config)},
        "vae": {"config": vae_config, "rows": vae_rows("first_stage_model.", vae, vae_config)},
        "text_encoders": [],
    }
    for prefix, args in clips:
        text = text_config(args, "quick_gelu", max(1, args["width"] // 64))
        out["text_encoders"].append({"config": text, "rows": clip_rows(prefix, args, text)})
    for prefix, args in openclips:
        text = text_config(args, "gelu", max(1, args["width"] // 64))
        out["text_encoders"].append({"config": text, "rows": openclip_rows(prefix, args, text)})
    return out


KL_F8 = dict(ch=128, mult=[1, 2, 4, 4], blocks=2, z=4)
CLIP_L = dict(width=768, layers=12, hidden=3072, vocab=49408, window=77)
CLIP_H = dict(width=1024, layers=24, hidden=4096, vocab=49408, window=77, projection=None)
CLIP_G = dict(width=1280, layers=32, hidden=5120, vocab=49408, window=77, projection=1280)
SD1 = dict(cin=4, mc=320, mult=[1, 2, 4, 4], attention_ds=[1, 2, 4], depth=[1, 1, 1, 1], context=768, linear=False)
TINY_CLIP = dict(width=32, layers=2, hidden=48, vocab=1000, window=16)
TINY_OPENCLIP = dict(width=128, layers=3, hidden=96, vocab=1000, window=16, projection=None)
FIRST, SECOND = "conditioner.embedders.0.transformer.", "conditioner.embedders.1.model."

FAMILIES = {
    "sd1": lambda: family(SD1, KL_F8, clips=[("cond_stage_model.transformer.", CLIP_L)]),
    "sd2": lambda: family(SD1 | dict(context=1024, linear=True), KL_F8, openclips=[("cond_stage_model.model.", CLIP_H)]),
    "sdxl": lambda: family(
        dict(cin=4, mc=320, mult=[1, 2, 4], attention_ds=[2, 4], depth=[1, 2, 10], context=2048, linear=True, adm=2816),
        KL_F8, clips=[(FIRST, CLIP_L)], openclips=[(SECOND, CLIP_G)],
    ),
    "sdxl_refiner": lambda: family(
        dict(cin=4, mc=384, mult=[1, 2, 4, 4], attention_ds=[2, 4], depth=[4, 4, 4, 4], context=1280, linear=True, adm=2560),
        KL_F8, openclips=[("conditioner.embedders.0.model.", CLIP_G)],
    ),
    "tiny_sd1": lambda: family(
        dict(cin=4, mc=32, mult=[1, 2], attention_ds=[1], depth=[1, 1], context=32, linear=False, blocks=1),
        dict(ch=32, mult=[1, 2], blocks=1, z=4), clips=[("cond_stage_model.transformer.", TINY_CLIP)],
    ),
    "tiny_sd2": lambda: family(
        dict(cin=4, mc=64, mult=[1, 2, 3], attention_ds=[1, 4], depth=[1, 1, 1], context=128, linear=True, blocks=3),
        dict(ch=64, mult=[1, 1, 2], blocks=3, z=4), openclips=[("cond_stage_model.model.", TINY_OPENCLIP)],
    ),
    "tiny_sdxl": lambda: family(
        dict(cin=4, mc=64, mult=[1, 2], attention_ds=[2], depth=[1, 3], context=160, linear=True, adm=48 + 6 * 8, blocks=1),
        dict(ch=32, mult=[1, 2, 2], blocks=1, z=4), clips=[(FIRST, TINY_CLIP)],
        openclips=[(SECOND, TINY_OPENCLIP | dict(projection=48))],
    ),
}

if __name__ == "__main__":
    text = json.dumps({name: make() for name, make in FAMILIES.items()}, separators=(",", ":"))
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    print(OUT, len(text), OUT.stat().st_size)
