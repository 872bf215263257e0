"""Writes the fixtures of T5: a tiny encoder with its inner layers, a tokenizer and ids of difficult strings, names,
texts end to end.

    python test/reference/t5.py    (transformers, torch, sentencepiece and gguf as pinned in requirements.txt)

No vocabulary of a published model is used: sentencepiece learns one from this repository's documents, with T5's
character map nmt_nfkc. Ids are those of transformers (`T5Tokenizer`) or, for other forms of the file, of the
tokenizers library.
"""

import base64
import copy
import gzip
import io
import json
import tempfile
from pathlib import Path

import sentencepiece
import torch
from gguf import MODEL_ARCH, get_tensor_name_map
from sentencepiece import sentencepiece_model_pb2 as sentencepiece_model
from tokenizers import Tokenizer
from transformers import T5Config, T5EncoderModel, T5ForConditionalGeneration, T5Tokenizer

from common import FIXTURES, assert_every_parameter_shows, randomize, record, save
from pipelines_models import amplitude, fan_in_amplitude, tensor
from text import HARD, random_strings

OUT = FIXTURES / "t5"
ROOT = FIXTURES.parents[1]
EXTRA_IDS = 12


def t5_config(**more):
    return T5Config(feed_forward_proj="gated-gelu", dropout_rate=0.0, use_cache=False, **more)


# ---- the module


def module_fixture():
    config = dict(
        vocab_size=57, d_model=32, d_kv=12, d_ff=64, num_layers=3, num_heads=4, relative_attention_num_buckets=32,
        relative_attention_max_distance=128, layer_norm_epsilon=1e-6, feed_forward_proj="gated-gelu",
    )  # fmt: skip
    theirs = {key: value for key, value in config.items() if key != "feed_forward_proj"}
    model = T5EncoderModel._from_config(t5_config(**theirs), attn_implementation="eager")
    # Attention far from uniform, a significant bias, embeddings that later layers do not dominate.
    randomize(model, 31, [("SelfAttention.q", 0.6), ("SelfAttention.k", 0.6), ("relative", 3.0), ("shared", 4.0)])

    blocks = [f"encoder.block.{i}" for i in range(3)]
    attention = f"{blocks[1]}.layer.0.SelfAttention"
    feed = f"{blocks[1]}.layer.1.DenseReluDense"
    inner = [*(f"{block}.layer.{i}" for block in blocks for i in (0, 1)), f"{blocks[1]}.layer.0.layer_norm", attention]
    inner += [*(f"{attention}.{part}" for part in "qkv"), feed, f"{feed}.wi_0", f"{feed}.wi_1", f"{blocks[1]}.layer.1.layer_norm"]
    table = f"{blocks[0]}.layer.0.SelfAttention.relative_attention_bias"
    seen = record(model, [*inner, table, "encoder.embed_tokens"])

    def keep(_module, _inputs, output):
        seen[f"{attention}.probs"] = output[2].detach()

    model.get_submodule(attention).register_forward_hook(keep)

    def hidden(tokens, mask=None):
        return model(input_ids=tokens, attention_mask=mask).last_hidden_state

    generator = torch.Generator().manual_seed(32)
    tokens = torch.randint(0, 57, (2, 13), generator=generator)
    long = torch.randint(0, 57, (1, 150), generator=generator)
    mask = torch.ones(2, 13, dtype=torch.int64)
    mask[0, 5:] = 0

    def case(inputs, outputs, params=None, taps=()):
        return dict(entry="encode", params=params or {}, inputs=inputs, outputs={"hidden": outputs},
                    taps={tap: seen[tap].clone() for tap in taps})  # fmt: skip

    norm = model.encoder.final_layer_norm
    whole = hidden(tokens)
    states = [seen[f"{block}.layer.1"].clone() for block in blocks]
    embedded = seen["shared"] = seen["encoder.embed_tokens"].clone()
    cases = [case({"tokens": tokens}, whole, taps=["shared", *inner, table, f"{attention}.probs"])]
    cases.append(case({"tokens": tokens, "mask": mask}, hidden(tokens, mask), taps=[f"{attention}.probs", f"{blocks[2]}.layer.1"]))
    cases += [
        case({"tokens": tokens}, states[1], {"layer": 2, "final_norm": False}),
        case({"tokens": tokens}, norm(states[1]), {"layer": 2}),
        case({"tokens": tokens}, embedded, {"layer": 0, "final_norm": False}),
        case({"tokens": long}, hidden(long)),
    ]
    # Distances that the first case lacks fall into other buckets.
    assert_every_parameter_shows(model, lambda: [hidden(tokens), hidden(long)])
    weights = {name: value for name, value in model.state_dict().items() if name != "encoder.embed_tokens.weight"}
    save("models", "t5", {"kind": "t5_encoder", "config": config}, weights, cases)


# ---- the tokenizer

SPECIAL = {"normalized": False, "lstrip": False, "rstrip": False, "single_word": False, "special": True}
T5_HARD = [
    "<extra_id_0>", "a <extra_id_1> b", "a<extra_id_2>b<extra_id_11>", "<extra_id_12> <extra_id_>", "<extra_id_0", "<EXTRA_ID_0>", "</s>", "a</s>b", "x </s> y",
    "<pad> <unk> <s>", "<unk><unk>", "▁", "▁▁a▁b", " ▁ ▁", "_a_ __", "a\u00a0b\u3000c", "\t\ta\r\n\r\nb", "a\r\nb", "a\rb", "\r\n", "e\u0301\u0301", "1\ufe0f 1\ufe0f\u20e3",
    "ﬃ ﷺ ﷻ ㎏ ㍿ ⁇ … ½", "ｶﾞ ﾊﾟ ｱｲｳ", "①②③ Ⅷ ℃ ™ ®", "＃＄％＆　／", "a\u200bb\u200cc\u200dd\u2060e\ufefff", "\u0600\u0661 \u0601a", "\u00adsoft\u00adhyphen", "\u202ertl\u202c",
    "日本語の説明文です。", "拡散モデル", "생성 모델", "модель диффузии", "نموذج الانتشار", "a photo of an astronaut riding a horse", "   leading and trailing   ", "many     spaces\n\n\nlines",
    "x" * 400, "▁" * 50, "😀" * 40, "a😀b🫨c", "model. Model! MODEL? mo-del", "The image is decoded from its latent.", "\0a\0 \0", "a\0</s>\0b", "Straße ǅ ı İ ſ", "q\u0323\u0307 q\u0307\u0323",
    "\u1100\u1161\u11a8 \u1112\u1161\u11ab", "\u0e01\u0e33 \u0ec8\u0eb3", "\u0915\u094d\u0937 \u0928\u093f", "a\u0600 \u0600", "\u2028\u2029\u0085x\u000b\u000cy", "\ud7ff\ue000\uf8ff\U0010fffd",
]  # fmt: skip


def corpus():
    """Text of this repository with a little of every script, so that some of their characters are pieces and some
    unknown."""
    text = "\n".join(path.read_text() for path in sorted((ROOT / "docs").glob("*.md")))
    lines = [line for line in text.splitlines() if line.strip()]
    return [*lines, *(["拡散モデル 日本語 説明文", "модель диффузии", "생성 모델", "😀 é ü ñ ß", "Straße"] * 20)]


def train():
    """A sentencepiece model in T5's order of special tokens."""
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus()), model_writer=out, vocab_size=900, model_type="unigram", normalization_rule_name="nmt_nfkc",
        character_coverage=0.9995, pad_id=0, eos_id=1, unk_id=2, bos_id=-1, num_threads=1, minloglevel=2,
    )  # fmt: skip
    proto = sentencepiece_model.ModelProto()
    proto.ParseFromString(out.getvalue())
    return proto


def tokenizer_json(proto):
    """The tokenizer.json of T5 v1.1 on the hub: one normalizer, words split at white space, then marked."""
    vocab = [[piece.piece, piece.score] for piece in proto.pieces]
    vocab += [[f"<extra_id_{i}>", 0.0] for i in range(EXTRA_IDS - 1, -1, -1)]
    named = {"<pad>": 0, "</s>": 1, "<unk>": 2, **{token: i for i, (token, _) in enumerate(vocab) if token.startswith("<extra_id_")}}
    metaspace = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [{"id": i, "content": token, **SPECIAL} for token, i in sorted(named.items(), key=lambda item: item[1])],
        "normalizer": {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(proto.normalizer_spec.precompiled_charsmap).decode()},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, metaspace]},
        "post_processor": {
            "type": "TemplateProcessing", "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}},
                     {"Sequence": {"id": "B", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}}],
            "special_tokens": {"</s>": {"id": "</s>", "ids": [1], "tokens": ["</s>"]}},
        },
        "decoder": metaspace,
        "model": {"type": "Unigram", "unk_id": 2, "vocab": vocab, "byte_fallback": False},
    }  # fmt: skip


def forms(whole):
    """Other tokenizer.json files with the same meaning, by the fields in which they differ."""
    map_ = whole["normalizer"]
    added = copy.deepcopy(whole["added_tokens"])
    for token in added:
        token["lstrip"] = token["rstrip"] = token["content"].startswith("<extra")
    words = {"id": len(whole["model"]["vocab"]), "content": "Diffusion Model", **SPECIAL, "normalized": True, "single_word": True}
    old = {"type": "Metaspace", "replacement": "▁", "add_prefix_space": True}
    return {
        "as transformers converts a spiece.model": {
            "normalizer": {"type": "Sequence", "normalizers": [
                map_, {"type": "Strip", "strip_left": False, "strip_right": True}, {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "▁"}]},
            "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
        },
        "with the flag of older files": {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, old]}},
        "a mark before the first word only": {"pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": True}},
        "no mark, nothing split": {"pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "never", "split": False}},
        "words before marks, the first only": {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "WhitespaceSplit"}, {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": True}]}},
        "no normalizer": {"normalizer": None},
        "tokens that swallow spaces, and a word": {"added_tokens": [*added, words]},
        "a replacement and both ends stripped": {"normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Replace", "pattern": {"String": "model"}, "content": "image $&"}, {"type": "Strip", "strip_left": True, "strip_right": True}, map_]}},
    }  # fmt: skip


def tokenizer_fixture(whole):
    texts = list(dict.fromkeys([*HARD, *T5_HARD, *random_strings(80)]))
    raw = Tokenizer.from_str(json.dumps(whole))
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "tokenizer.json").write_text(json.dumps(whole))
        names = {"eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>", "extra_ids": EXTRA_IDS}
        names["additional_special_tokens"] = [f"<extra_id_{i}>" for i in range(EXTRA_IDS)]
        (Path(folder) / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "T5Tokenizer", **names}))
        made = T5Tokenizer.from_pretrained(folder)
        rows = [[text, made(text, add_special_tokens=False).input_ids] for text in texts]
        windows = [[text, length, *made(text, padding="max_length", truncation=True, max_length=length).values()]
                   for text in ("a photo of an image", "", "model " * 30) for length in (1, 8, 24)]  # fmt: skip
    for text, ids in rows:
        assert raw.encode(text, add_special_tokens=False).ids == ids, text
    variants = []
    for name, changes in forms(whole).items():
        other = Tokenizer.from_str(json.dumps({**whole, **changes}))
        # The map is in the first file already.
        short = json.loads(json.dumps(changes).replace(json.dumps(whole["normalizer"]["precompiled_charsmap"]), '"MAP"'))
        variants.append({"name": name, "changes": short, "rows": [[text, other.encode(text, add_special_tokens=False).ids] for text in [*T5_HARD, *HARD[:40], "a Diffusion  Model, diffusion model Diffusion Models", "ｄｉｆｆｕｓｉｏｎ Diffusion Model"]]})
    write("tokenizer.json.gz", whole)
    write("ids.json.gz", {"rows": rows, "variants": variants, "windows": windows, "tokens": made.convert_ids_to_tokens(rows[3][1])})


def write(name, value):
    OUT.mkdir(parents=True, exist_ok=True)
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    (OUT / name).write_bytes(gzip.compress(text.encode(), 9, mtime=0))


# ---- names


def names_fixture():
    sizes = dict(vocab_size=100, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=3)
    with torch.device("meta"):
        encoder = T5EncoderModel(t5_config(**sizes))
        whole = T5ForConditionalGeneration(t5_config(**sizes, tie_word_embeddings=False))
        first = T5EncoderModel(T5Config(**sizes))
    shapes = {name: list(value.shape) for name, value in encoder.state_dict().items() if "embed_tokens" not in name}
    table = get_tensor_name_map(MODEL_ARCH.T5ENCODER, sizes["num_layers"])
    gguf = {name: table.get_name(name.removesuffix(".weight")) + ".weight" for name in shapes}
    write("names.json.gz", {
        "shapes": shapes, "gguf": gguf, "whole": {name: list(value.shape) for name, value in whole.state_dict().items()},
        "first": {name: list(value.shape) for name, value in first.state_dict().items()}, "config": encoder.config.to_dict(),
    })  # fmt: skip


# ---- texts

TEXTS = ["a photo of an image, decoded from its latent", "", "модель диффузии 😀 <extra_id_0> ｆｕｌｌ", "model " * 40]
LENGTH = 24


def rows_of(model):
    rows = []
    for name, value in model.state_dict().items():
        shape = list(value.shape)
        if name == "encoder.embed_tokens.weight":
            continue
        if len(shape) == 1:
            amp, base = 0.25, 1.0
        elif "relative" in name:
            amp, base = amplitude(2.0), 0.0
        else:
            amp, base = (1.5 if name.startswith("shared") else fan_in_amplitude(shape, 0.7 if name[-8:-7] in "qk" else 1.0)), 0.0
        rows.append(["t5", name, shape, amp, base])
    return rows


def texts_fixture(whole):
    sizes = dict(vocab_size=len(whole["model"]["vocab"]), d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4)
    config = t5_config(**sizes)
    model = T5EncoderModel._from_config(config, attn_implementation="eager")
    rows = rows_of(model)
    fill(model, rows)
    tokenizer = Tokenizer.from_str(json.dumps(whole))
    tokenizer.enable_truncation(LENGTH)
    tokenizer.enable_padding(length=LENGTH, pad_id=0, pad_token="<pad>")
    encodings = tokenizer.encode_batch(TEXTS)
    ids = torch.tensor([one.ids for one in encodings])
    mask = torch.tensor([one.attention_mask for one in encodings])
    with torch.no_grad():
        plain, masked = (model(input_ids=ids, attention_mask=m).last_hidden_state for m in (None, mask))
    numbers = lambda x: [round(value, 6) for value in x.float().flatten().tolist()]
    write("texts.json.gz", {
        "config": {**config.to_dict(), "architectures": ["T5EncoderModel"]}, "weights": rows, "texts": TEXTS, "length": LENGTH,
        "ids": ids.tolist(), "mask": mask.tolist(), "hidden": numbers(plain), "masked": numbers(masked),
    })  # fmt: skip


def fill(model, rows):
    """pipelines_models.load for a model whose embedding has two names."""
    state = {row[1]: torch.from_numpy(tensor(f"t5.{row[1]}", row)) for row in rows}
    for key, value in state.items():
        assert torch.equal(value.half().float(), value), f"{key} is not exact in f16"
    state["encoder.embed_tokens.weight"] = state["shared.weight"]
    model.load_state_dict(state)
    model.double().eval().requires_grad_(False)


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    module_fixture()
    made = tokenizer_json(train())
    tokenizer_fixture(made)
    names_fixture()
    texts_fixture(made)
