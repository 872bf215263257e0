"""Writes test/fixtures/models/latent-transformer*: taming's minGPT with random weights, its logits and inner layers.

    venv/bin/pip install --no-deps taming-transformers-rom1504==0.0.6
    venv/bin/python test/reference/latent_transformer.py
"""

import taming_import  # noqa: F401  (first: it readies what taming imports)
import torch
from taming.modules.transformer.mingpt import GPT

from common import assert_every_parameter_shows, record, save

torch.set_grad_enabled(False)


def randomize_gpt(model, seed):
    """Weights that f16 holds exactly, each of which affects the output: sharp attention, no norm at 1, no bias at 0."""
    generator = torch.Generator().manual_seed(seed)
    for name, p in model.named_parameters():
        value = torch.randn(p.shape, generator=generator, dtype=torch.float64)
        if p.dim() == 1:
            value = 0.3 * value + (1 if ".ln" in f".{name}" and name.endswith("weight") else 0)
        elif "emb" not in name:
            value = value / p.shape[1] ** 0.5 * (2 if "query" in name or "key" in name else 1)
        p.copy_(value.half())
    return model.eval()


def transformer(name, seed, config, lengths, taps):
    model = randomize_gpt(GPT(**config), seed).double()
    generator = torch.Generator().manual_seed(seed + 1)
    seen = record(model, [tap for tap in taps if not tap.endswith(".attn")])
    attention = [tap for tap in taps if tap.endswith(".attn")]
    seen_attention = record(model, attention)
    cases = []
    for number, (batch, embedded, length) in enumerate(lengths):
        inputs = {"codes": torch.randint(config["vocab_size"], (batch, length), generator=generator)}
        if embedded:
            inputs["embeddings"] = torch.randn(batch, embedded, config["n_embd"], generator=generator).double()
        logits, _ = model(inputs["codes"], inputs.get("embeddings"))
        case = dict(entry="forward", inputs=inputs, outputs={"logits": logits})
        if number == 0:
            case["taps"] = {tap: value.clone() for tap, value in {**seen, **seen_attention}.items()}
        cases.append(case)

    def run():
        return [model(case["inputs"]["codes"], case["inputs"].get("embeddings"))[0] for case in cases]

    # A key's bias shifts all scores of a query equally.
    assert_every_parameter_shows(model, run, ["key.bias"])
    weights = {key: value for key, value in model.state_dict().items() if not key.endswith("attn.mask")}
    save("models", name, {"kind": "latent_transformer", "config": {**config, "n_unmasked": config.get("n_unmasked", 0)}},
         weights, cases)  # fmt: skip


if __name__ == "__main__":
    transformer("latent-transformer", 61,
                dict(vocab_size=23, block_size=18, n_layer=2, n_head=4, n_embd=32), [(2, 0, 17), (1, 0, 18), (3, 0, 1)],
                ["blocks.0", "blocks.1.attn", "blocks.0.attn.query", "blocks.1.mlp"])  # fmt: skip
    # Embeddings before the code indices, a bidirectional prefix, head sizes that are not a multiple of a vector.
    transformer("latent-transformer-unmasked", 62,
                dict(vocab_size=11, block_size=20, n_layer=2, n_head=3, n_embd=18, n_unmasked=7),
                [(2, 5, 12), (1, 0, 19), (2, 0, 4)], ["blocks.1", "blocks.0.attn.value"])  # fmt: skip
