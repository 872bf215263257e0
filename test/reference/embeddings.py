"""Writes test/fixtures/embeddings: textual inversion files in each form, and what diffusers computes with embeddings.

    python test/reference/embeddings.py

No vector of the models' embeddings is stored: like weights they are hashes of their names, so that the tests write
the same files. Stored are files as PyTorch and A1111 write them, the states of prompts that name embeddings (the
first positions of each chunk), and whole images.
"""

import base64
import json
import shutil
import zlib
from pathlib import Path

import numpy as np
import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from PIL import Image, PngImagePlugin
from safetensors.torch import save_file
from transformers import CLIPTokenizer

import pipelines as pictures
import pipelines_models as models
import pipelines_webui as webui

OUT = Path(__file__).resolve().parents[1] / "fixtures" / "embeddings"
PIPELINES = Path(__file__).resolve().parents[1] / "fixtures" / "pipelines"

# Number of vectors of each embedding. No name is a token of the tiny vocabulary.
EMBEDDINGS = {"inky": 1, "old-oak": 3}
TABLES = {"sd1": ["any"], "sdxl": ["clip_l", "clip_g"]}
# Times the deviation of the model's own token embeddings, so that a vector changes the image.
STRENGTH = 2.0

FILLER = " ".join(["apple"] * 73)
# Prompts, and their chunks of (text, weight) pieces by A1111's rules: 73 tokens leave no room for three vectors.
CASES = {
    "one": ("a red apple inky on the road", [[("a red apple inky on the road", 1)]]),
    "several": ("old-oak, a castle at night", [[("old-oak, a castle at night", 1)]]),
    "emphasis": ("inky castle (old-oak:1.4) [inky] moon",
                 [[("inky castle ", 1), ("old-oak", 1.4), (" ", 1), ("inky", 1 / 1.1), (" moon", 1)]]),
    "overflow": (FILLER + " old-oak moon", [[(FILLER, 1)], [("old-oak moon", 1)]]),
    "full": (FILLER + " fox inky moon", [[(FILLER + " fox inky", 1)], [("moon", 1)]]),
}  # fmt: skip
# Positions that are stored of each chunk: the last ones, which attend to all others, and the first ones.
FIRST, LAST = 10, 2
# [model, prompt, negative prompt]
IMAGES = [
    ("sd1", "a red apple in inky old-oak", "blurry ugly"),
    ("sd1", "a red apple on the road", "inky blurry old-oak"),
    ("sdxl", "a castle in old-oak inky on the road", "blurry ugly"),
    ("sdxl", "a red apple on the road", "old-oak ugly inky"),
]


def vectors(name, table, width, scale):
    """[n, width] as tests generate them: amplitude times a hash of the name."""
    count = EMBEDDINGS[name]
    amount = models.amplitude(scale)
    values = amount * models.noise(f"{name}.{table}.{width}", count * width)
    return amount, torch.from_numpy(values.reshape(count, width).astype(np.float32))


def load(name):
    model = models.TinyModel(name)
    model.scheduler = model.spec["scheduler"]
    model.tokenizers = [CLIPTokenizer.from_pretrained(PIPELINES / "tokenizer")]
    if len(model.text) == 2:
        model.tokenizers.append(CLIPTokenizer.from_pretrained(PIPELINES / "tokenizer_2"))
    model.factor = 2 ** (len(model.vae.config.block_out_channels) - 1)
    return model


def embeddings_of(model):
    """{name: {table: [amplitude, vectors]}}"""
    made = {}
    for name in EMBEDDINGS:
        made[name] = {}
        for table, encoder in zip(TABLES[model.name], model.text):
            weight = encoder.get_input_embeddings().weight
            scale = STRENGTH * weight.std().item() * 3**0.5
            made[name][table] = vectors(name, table, weight.shape[1], scale)
    return made


def add_to(pipe, embeddings):
    """Loads embeddings into a pipeline, each into its tokenizers and text encoders."""
    for name, tables in embeddings.items():
        for table, (_, values) in tables.items():
            second = table == "clip_g"
            pipe.load_textual_inversion(
                {name: values}, token=name,
                text_encoder=pipe.text_encoder_2 if second else pipe.text_encoder,
                tokenizer=pipe.tokenizer_2 if second else pipe.tokenizer,
            )  # fmt: skip


def pipeline(model):
    if len(model.text) == 2:
        return StableDiffusionXLPipeline(model.vae, *model.text, *model.tokenizers, model.unet, None)
    return StableDiffusionPipeline(model.vae, model.text[0], model.tokenizers[0], model.unet, None, None, None,
                                   requires_safety_checker=False)  # fmt: skip


# -- states -----------------------------------------------------------------------------------------------------------


def rows_of(pipe, tokenizer, pieces, window):
    """Token ids and weights of one chunk."""
    ids, weights = [], []
    for text, weight in pieces:
        # Replaces a name of several vectors by one token for each.
        expanded = pipe.maybe_convert_prompt(text, tokenizer)
        new = tokenizer(expanded, add_special_tokens=False)["input_ids"]
        ids, weights = ids + new, weights + [weight] * len(new)
    missing = window - 2 - len(ids)
    assert missing >= 0
    row = [tokenizer.bos_token_id, *ids, tokenizer.eos_token_id] + [tokenizer.pad_token_id] * missing
    return row, [1.0, *weights, 1.0] + [1.0] * missing


def encode(pipe, model, chunks):
    """([chunks, 77, C], pooled [1, P] or None), as webui.encode with the pipeline's tokenizers."""
    contexts, pooled, is_xl = [], None, len(model.text) == 2
    for index, (encoder, tokenizer) in enumerate(zip(model.text, model.tokenizers)):
        parts = []
        for pieces in chunks:
            row, weights = rows_of(pipe, tokenizer, pieces, encoder.config.max_position_embeddings)
            states, norm, output = webui.hidden_states(encoder, row)
            z = states[-2] if is_xl else norm(states[-1])
            if is_xl and index == 1 and pooled is None:
                pooled = output.text_embeds
            before = z.mean()
            z = z * torch.tensor(weights)[None, :, None]
            parts.append(z * (before / z.mean()))
        contexts.append(torch.cat(parts))
    return torch.cat(contexts, dim=-1), pooled


def state_cases(model, pipe, tensors):
    for name, (_, chunks) in CASES.items():
        context, pooled = encode(pipe, model, chunks)
        kept = torch.cat([context[:, :FIRST], context[:, -LAST:]], dim=1)
        tensors[f"{model.name}/{name}"] = kept
        if pooled is not None:
            tensors[f"{model.name}/{name}/pooled"] = pooled


# -- images -----------------------------------------------------------------------------------------------------------


def image_of(name, prompt, negative, embeddings):
    model = load(name)
    options = dict(pictures.PLAIN) | {"prompt": prompt, "negative": negative}
    spec = dict(name=name, options=options, diffusers="euler")
    latent = pictures.diffusers_latent(model, spec, options["seed"], lambda pipe: add_to(pipe, embeddings))
    return options, webui.to_pixels(webui.decode(model, latent))


def image_case(number, name, prompt, negative, embeddings):
    options, plain = image_of(name, prompt, negative, {})
    _, pixels = image_of(name, prompt, negative, embeddings)
    effect = np.abs(pixels.astype(int) - plain.astype(int)).mean()
    print(name, prompt, "/", negative, "mean effect", effect)
    assert effect >= 8, "an image that the embeddings hardly change proves nothing"
    image = f"{name}-{number}.png"
    Image.fromarray(pixels).save(OUT / image, optimize=True)
    return {"model": name, "options": options, "image": image, "effect": round(float(effect), 1)}


# -- files ------------------------------------------------------------------------------------------------------------

WIDTH, WIDTH_2 = 24, 40


def webui_data(values, name="made-name"):
    return {"string_to_token": {"*": 265}, "string_to_param": {"*": values}, "name": name, "step": 1234,
            "sd_checkpoint": "4bdfc29c", "sd_checkpoint_name": "sd-v1-5"}  # fmt: skip


def as_json(data):
    return json.dumps(data, default=lambda tensor: {"TORCHTENSOR": tensor.detach().numpy().tolist()}).encode()


def nibble_mask(shape):
    """A linear congruential generator whose values modulo 255 mask the low four bits."""
    state, values = 0, []
    for _ in range(int(np.prod(shape))):
        state = (1664525 * state + 1013904223) % 2**32
        values.append(state % 255)
    assert values[:6] == [253, 242, 127, 44, 157, 27]
    return (np.array(values) & 15).astype(np.uint8).reshape(shape)


def with_pixel_data(image, data):
    """An image between two blocks, which have the low and high four bits of the compressed data, and black columns."""
    height, packed = image.height, np.frombuffer(zlib.compress(as_json(data), 9), np.uint8)
    columns = -(-len(packed) // (height * 3)) + 1
    filled = np.resize(packed, height * columns * 3).reshape(height, columns, 3)
    mask = nibble_mask(filled.shape)
    style = np.random.default_rng(1).integers(1, 16, filled.shape, dtype=np.uint8) << 4
    low, high = ((filled & 15) ^ mask) | style, ((filled >> 4) ^ mask) | style
    gap = np.zeros((height, 1, 3), np.uint8)
    return Image.fromarray(np.concatenate([low, gap, np.asarray(image), gap, high], axis=1))


def write_files():
    _, two = vectors("old-oak", "any", WIDTH, 0.5)
    two = two[:2].contiguous()
    amount, one = vectors("inky", "any", WIDTH, 0.5)
    _, second = vectors("old-oak", "clip_g", WIDTH_2, 0.5)
    second = second[:2].contiguous()
    parameter = lambda tensor: torch.nn.Parameter(tensor.clone())  # noqa: E731
    torch.save(webui_data(two), OUT / "webui.pt")
    torch.save(webui_data(two), OUT / "legacy.pt", _use_new_zipfile_serialization=False)
    torch.save(webui_data(parameter(two)), OUT / "parameter.pt")
    original = {"string_to_token": {"*": torch.tensor(265)}, "string_to_param": torch.nn.ParameterDict({"*": parameter(two)})}
    torch.save(original, OUT / "parameter-dict.pt")
    torch.save(original, OUT / "parameter-dict-legacy.pt", _use_new_zipfile_serialization=False)
    torch.save({"<inky>": one[0].clone()}, OUT / "concept.bin")
    torch.save({"<inky>": two.half()}, OUT / "half.bin")
    save_file({"emb_params": two}, OUT / "kohya.safetensors", metadata={"ss_steps": "10"})
    save_file({"clip_l": two, "clip_g": second}, OUT / "xl.safetensors")
    save_file({"text_encoders_0": two, "text_encoders_1": second}, OUT / "pivotal.safetensors")
    save_file({"anything": two.bfloat16()}, OUT / "other.safetensors")
    gradient = np.stack([*np.meshgrid(np.arange(32, 96), np.arange(64, 128)), np.full((64, 64), 200)], axis=-1)
    image = Image.fromarray(gradient.astype(np.uint8))
    text = PngImagePlugin.PngInfo()
    text.add_text("sd-ti-embedding", base64.b64encode(as_json(webui_data(two))).decode())
    image.crop((0, 0, 8, 8)).save(OUT / "text.png", pnginfo=text)
    pixels = with_pixel_data(image, webui_data(one))
    pixels.save(OUT / "pixels.png", optimize=True)
    pixels.save(OUT / "pixels.webp", lossless=True)
    image.save(OUT / "plain.png", optimize=True)
    return {"amplitude": amount, "width": WIDTH, "width_2": WIDTH_2}


def main():
    torch.set_grad_enabled(False)
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    files, tensors, amplitudes, images = write_files(), {}, {}, []
    for name in TABLES:
        model = load(name)
        embeddings = embeddings_of(model)
        amplitudes[name] = {one: {table: amount for table, (amount, _) in tables.items()} for one, tables in embeddings.items()}
        for number, (model_name, prompt, negative) in enumerate(IMAGES):
            if model_name == name:
                images.append(image_case(number, name, prompt, negative, embeddings))
        pipe = pipeline(model)
        plain, _ = encode(pipe, model, CASES["one"][1])
        add_to(pipe, embeddings)
        state_cases(model, pipe, tensors)
        assert (tensors[f"{name}/one"][:, 4] - plain[:, 4]).abs().max() > 0.1
    save_file({key: value.contiguous() for key, value in tensors.items()}, OUT / "outputs.safetensors")
    prompts = {name: {"prompt": prompt, "chunks": len(chunks)} for name, (prompt, chunks) in CASES.items()}
    record = {"files": files, "vectors": EMBEDDINGS, "amplitudes": amplitudes, "kept": [FIRST, LAST], "cases": prompts, "images": images}
    (OUT / "cases.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
