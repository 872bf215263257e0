"""Writes test/fixtures/models: tiny modules of every family with random weights, their outputs and inner layers.

    python test/reference/models.py

diffusers and transformers compute in f64 from weights that f16 holds exactly; the files contain f32 of the results.
(Sinusoids are rounded to f32 inside diffusers, softmax to f32 inside transformers' eager attention, which is not
used.)
"""

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModelWithProjection

from common import assert_every_parameter_shows, probabilities, randomize, record, save

torch.set_grad_enabled(False)


def normal(seed, *shape):
    """Inputs that f32 holds exactly."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator).double()


# -- text encoders ---------------------------------------------------------------------------------------------------


def text_encoder(name, seed, act, projection, heads):
    config = dict(
        vocab_size=57, hidden_size=32, intermediate_size=80, num_hidden_layers=3, num_attention_heads=heads,
        max_position_embeddings=13, hidden_act=act, layer_norm_eps=1e-5, projection_dim=projection,
    )  # fmt: skip
    end = config["vocab_size"] - 1
    torch_config = CLIPTextConfig(**{**config, "projection_dim": projection or 8}, eos_token_id=end,
                                bos_token_id=0, pad_token_id=0)  # fmt: skip
    model = CLIPTextModelWithProjection._from_config(torch_config, attn_implementation="sdpa")
    gains = [("q_proj.weight", 2.0), ("k_proj.weight", 2.0)]
    randomize(model, seed, gains)

    tokens = torch.randint(1, end, (2, 13), generator=torch.Generator().manual_seed(seed))
    eos = torch.tensor([5, 12])
    for row, position in enumerate(eos):
        tokens[row, position:] = end
    layers = [f"text_model.encoder.layers.{i}" for i in range(3)]
    inner = [*layers[:2], *(f"{layers[1]}.{part}" for part in ("self_attn", "self_attn.q_proj", "self_attn.k_proj", "mlp"))]
    seen = record(model, [*inner, layers[2], "text_model.embeddings"])
    result = model(input_ids=tokens)
    norm = model.text_model.final_layer_norm
    states = [seen["text_model.embeddings"], *(seen[name] for name in layers)]
    pooled = result.text_embeds if projection else norm(states[3])[torch.arange(2), eos]
    taps = {name: seen[name] for name in inner}
    q, k = (seen[f"{layers[1]}.self_attn.{part}"] for part in ("q_proj", "k_proj"))
    taps[f"{layers[1]}.self_attn.probs"] = probabilities(q, k, heads, causal=True)

    everything = {"tokens": tokens, "eos_index": eos}
    short = tokens[:1, :7]
    model(input_ids=short)
    short_states = [seen[name].clone() for name in layers]
    cases = [
        dict(entry="encode", inputs=everything, outputs={"hidden": norm(states[3]), "pooled": pooled}, taps=taps),
        dict(entry="encode", params={"layer": 2, "final_norm": False}, inputs=everything,
             outputs={"hidden": states[2], "pooled": pooled}),
        dict(entry="encode", params={"layer": 2}, inputs={"tokens": tokens}, outputs={"hidden": norm(states[2])}),
        dict(entry="encode", params={"layer": 0, "final_norm": False}, inputs={"tokens": tokens},
             outputs={"hidden": states[0]}),
        dict(entry="encode", inputs={"tokens": short}, outputs={"hidden": norm(short_states[2])}),
        dict(entry="encode", inputs={"embeddings": model.text_model.embeddings.token_embedding(tokens)},
             outputs={"hidden": norm(states[3])}),
    ]  # fmt: skip

    def run():
        out = model(input_ids=tokens)
        return out.last_hidden_state, *([out.text_embeds] if projection else [])

    # A key's bias shifts all scores of a query equally; without a projection its matrix is not used.
    assert_every_parameter_shows(model, run, ["k_proj.bias", *([] if projection else ["text_projection"])])
    weights = {k: v for k, v in model.state_dict().items() if projection or not k.startswith("text_projection")}
    save("models", name, {"kind": "text_encoder", "config": config}, weights, cases)


# -- U-Nets ----------------------------------------------------------------------------------------------------------


def unet_config(config):
    """Returns our normalized config (lib/checkpoint/config/types.ts) and diffusers' arguments for the same network."""
    levels = len(config["block_out_channels"])
    down = [f"{'CrossAttn' if a else ''}DownBlock2D" for a in config["down_attention"]]
    up = [f"{'CrossAttn' if a else ''}UpBlock2D" for a in config["up_attention"]]
    theirs = {k: v for k, v in config.items() if k not in ("down_attention", "up_attention", "mid_attention", "addition")}
    theirs["down_block_types"], theirs["up_block_types"] = tuple(down), tuple(up)
    theirs["mid_block_type"] = "UNetMidBlock2DCrossAttn" if config["mid_attention"] else "UNetMidBlock2D"
    # diffusers' attention_head_dim is the number of heads, for historical reasons.
    theirs["attention_head_dim"] = tuple(theirs.pop("num_attention_heads"))
    for key in ("block_out_channels", "layers_per_block", "transformer_layers_per_block"):
        assert len(theirs[key]) == levels
        theirs[key] = tuple(theirs[key])
    if config["addition"]:
        theirs["addition_embed_type"] = "text_time"
        theirs["addition_time_embed_dim"] = config["addition"]["time_embed_dim"]
        theirs["projection_class_embeddings_input_dim"] = config["addition"]["input_dim"]
    return theirs


def unet(name, seed, sizes, taps, changes):
    config = dict(
        in_channels=4, out_channels=4, block_out_channels=[16, 32], layers_per_block=[1, 1],
        down_attention=[True, False], up_attention=[False, True], transformer_layers_per_block=[1, 1],
        num_attention_heads=[2, 2], mid_attention=True, cross_attention_dim=24, use_linear_projection=False,
        norm_num_groups=8, norm_eps=1e-5, flip_sin_to_cos=True, freq_shift=0, addition=None, sample_size=8,
    )  # fmt: skip
    config.update(changes)
    model = UNet2DConditionModel(**unet_config(config))
    randomize(model, seed, [("to_q", 2.0), ("to_k", 2.0)])
    seen = record(model, [name for name in taps if not name.endswith(".probs")])
    needed = {part: name for name in taps if name.endswith(".probs") for part in [name.removesuffix(".probs")]}
    projections = record(model, [f"{part}.{p}" for part in needed for p in ("to_q", "to_k")])

    def inputs_for(number, batch, height, width, length):
        inputs = {
            "sample": normal(seed + number, batch, config["in_channels"], height, width),
            "timestep": torch.tensor([999.0, 261.375, 3.0])[:batch].double(),
            "context": normal(seed + 50 + number, batch, length, config["cross_attention_dim"]),
        }
        if config["addition"]:
            width = config["addition"]["time_embed_dim"]
            numbers = torch.tensor([[1024.0, 768, 0, 16, 512, 640], [64.0, 96, 5, 0, 48, 32], [8.0, 8, 1, 2, 8, 8]])
            inputs["text_embeds"] = normal(seed + 90 + number, batch, config["addition"]["input_dim"] - 6 * width)
            inputs["time_ids"] = numbers[:batch].double()
        return inputs

    def run(inputs):
        added = {key: inputs[key] for key in ("text_embeds", "time_ids") if key in inputs}
        return model(inputs["sample"], inputs["timestep"], inputs["context"], added_cond_kwargs=added or None).sample

    cases = []
    for number, size in enumerate(sizes):
        inputs = inputs_for(number, *size)
        cases.append(dict(entry="forward", inputs=inputs, outputs={"sample": run(inputs)}))
        if number == 0:
            cases[0]["taps"] = {}
            for tap in taps:
                if tap in seen:
                    cases[0]["taps"][tap] = seen[tap].clone()
                    continue
                part = tap.removesuffix(".probs")
                q, k = (projections[f"{part}.{p}"] for p in ("to_q", "to_k"))
                cases[0]["taps"][tap] = probabilities(q, k, model.get_submodule(part).heads)
    first = cases[0]["inputs"]
    assert_every_parameter_shows(model, lambda: [run(first)])
    save("models", name, {"kind": "unet", "config": config}, model.state_dict(), cases)


BLOCK = "transformer_blocks.0"
COMMON_TAPS = ["conv_in", "time_embedding", "down_blocks.0.resnets.0", "down_blocks.0.downsamplers.0", "mid_block"]


def unets():
    # A block narrower than its neighbors, a level without attention, odd sides at every level.
    unet("unet-sd1", 11, [(2, 9, 7, 7), (1, 8, 16, 3), (3, 1, 2, 1)],
         [*COMMON_TAPS, "down_blocks.0.attentions.0", f"down_blocks.1.attentions.0.{BLOCK}",
          f"down_blocks.1.attentions.0.{BLOCK}.attn2.probs", f"down_blocks.1.attentions.0.{BLOCK}.attn1.probs",
          f"up_blocks.1.attentions.1.{BLOCK}.ff", "up_blocks.0", "up_blocks.1.resnets.1",
          f"mid_block.attentions.0.{BLOCK}.attn2.to_v", f"mid_block.attentions.0.{BLOCK}.attn1"],
         dict(block_out_channels=[16, 24, 8], layers_per_block=[1, 1, 1], num_attention_heads=[2, 3, 1],
              transformer_layers_per_block=[1, 1, 1], down_attention=[True, True, False],
              up_attention=[False, True, True], norm_num_groups=4))  # fmt: skip
    # Head counts and layers that differ by level, linear projections.
    unet("unet-sd2", 12, [(2, 7, 5, 9), (1, 6, 8, 2)],
         [*COMMON_TAPS, "down_blocks.0.attentions.1", "up_blocks.1.attentions.2", "up_blocks.0.upsamplers.0",
          f"down_blocks.0.attentions.1.{BLOCK}.attn2.probs"],
         dict(block_out_channels=[16, 24], layers_per_block=[2, 1], num_attention_heads=[1, 4],
              use_linear_projection=True, down_attention=[True, True], up_attention=[True, True]))  # fmt: skip
    # Depth by level, none at the finest, pooled text and sizes.
    unet("unet-sdxl", 13, [(2, 5, 7, 6), (1, 8, 8, 4)],
         [*COMMON_TAPS, "add_embedding", "down_blocks.2.attentions.0", "down_blocks.2.attentions.0.transformer_blocks.1",
          "up_blocks.0.attentions.1", f"up_blocks.1.attentions.0.{BLOCK}.attn2.probs"],
         dict(block_out_channels=[8, 16, 24], layers_per_block=[1, 1, 1], num_attention_heads=[1, 2, 3],
              transformer_layers_per_block=[1, 1, 2], down_attention=[False, True, True],
              up_attention=[True, True, False], use_linear_projection=True, norm_num_groups=4,
              addition={"time_embed_dim": 8, "input_dim": 20 + 48}))  # fmt: skip
    unet("unet-inpaint", 14, [(2, 6, 5, 4)], COMMON_TAPS,
         dict(in_channels=9, block_out_channels=[8, 16], norm_num_groups=4))
    # No attention at all, one additional layer below, sines first, other constants.
    unet("unet-plain", 15, [(2, 5, 4, 1)], COMMON_TAPS,
         dict(in_channels=3, out_channels=5, block_out_channels=[12, 8], layers_per_block=[1, 2], norm_num_groups=2,
              down_attention=[False, False], up_attention=[False, False], mid_attention=False,
              flip_sin_to_cos=False, freq_shift=1, norm_eps=1e-2))  # fmt: skip


# -- autoencoders ----------------------------------------------------------------------------------------------------


def autoencoder(name, seed, image_sizes, latent_sizes, encode_taps, decode_taps, changes):
    config = dict(
        in_channels=3, out_channels=3, latent_channels=4, block_out_channels=[16, 24, 32], layers_per_block=1,
        norm_num_groups=8, norm_eps=1e-6, mid_attention=True, use_quant_conv=True, use_post_quant_conv=True,
        scaling_factor=0.5, shift_factor=0.0,
    )  # fmt: skip
    config.update(changes)
    theirs = {k: v for k, v in config.items() if k not in ("mid_attention", "norm_eps")}
    theirs["mid_block_add_attention"] = config["mid_attention"]
    levels = len(config["block_out_channels"])
    theirs["down_block_types"] = ("DownEncoderBlock2D",) * levels
    theirs["up_block_types"] = ("UpDecoderBlock2D",) * levels
    model = AutoencoderKL(**theirs)
    randomize(model, seed, [("to_q.weight", 2.0), ("to_k.weight", 2.0)])
    seen = record(model, [t for t in encode_taps + decode_taps if not t.endswith(".probs")])

    def moments(x):
        return model.encode(x).latent_dist.parameters

    def decoded(z):
        return model.decode(z).sample

    cases = []
    for number, size in enumerate(image_sizes):
        x = normal(seed + number, size[0], config["in_channels"], *size[1:])
        cases.append(dict(entry="encode", inputs={"image": x}, outputs={"moments": moments(x)}))
        if number == 0:
            cases[-1]["taps"] = {tap: seen[tap].clone() for tap in encode_taps}
    for number, size in enumerate(latent_sizes):
        z = normal(seed + 50 + number, size[0], config["latent_channels"], *size[1:])
        cases.append(dict(entry="decode", inputs={"latent": z}, outputs={"image": decoded(z)}))
        if number == 0:
            cases[-1]["taps"] = {tap: seen[tap].clone() for tap in decode_taps}
    x, z = cases[0]["inputs"]["image"], cases[len(image_sizes)]["inputs"]["latent"]
    assert_every_parameter_shows(model, lambda: [moments(x), decoded(z)], ["to_k.bias"])
    save("models", name, {"kind": "autoencoder_kl", "config": config}, model.state_dict(), cases)


def autoencoders():
    autoencoder("kl", 21, [(2, 13, 10), (1, 16, 24)], [(2, 3, 2), (1, 1, 4)],
                ["encoder.conv_in", "encoder.down_blocks.0", "encoder.down_blocks.1.resnets.0",
                 "encoder.mid_block.attentions.0", "encoder.mid_block"],
                ["decoder.conv_in", "decoder.mid_block.resnets.1", "decoder.up_blocks.0",
                 "decoder.up_blocks.2.resnets.1", "decoder.up_blocks.1.upsamplers.0"], {})  # fmt: skip
    autoencoder("kl-plain", 22, [(1, 6, 7)], [(1, 3, 4)], ["encoder.down_blocks.0.downsamplers.0"],
                ["decoder.up_blocks.0.resnets.2"],
                dict(latent_channels=3, block_out_channels=[8, 12], layers_per_block=2, norm_num_groups=2,
                     mid_attention=False, use_quant_conv=False, use_post_quant_conv=False))  # fmt: skip


if __name__ == "__main__":
    text_encoder("clip", 1, "quick_gelu", 0, 4)
    text_encoder("openclip", 2, "gelu", 24, 2)
    unets()
    autoencoders()
