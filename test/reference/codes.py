"""Writes test/fixtures/codes/codes.json: how taming-transformers chooses, samples and scores code indices, and its
sliding window.

    venv/bin/pip install --no-deps taming-transformers-rom1504==0.0.6
    venv/bin/python test/reference/codes.py

The models are those of latent_transformer.py, which has to run first; here they compute in f32, as taming does.
"""

import json
import sys

import taming_import
import torch
from taming.modules.misc.coord import CoordStage
from taming.models.cond_transformer import Net2NetTransformer
from taming.modules.transformer import permuter
from taming.modules.transformer.mingpt import sample_with_past

from common import FIXTURES
from safetensors.torch import load_file

torch.set_grad_enabled(False)
sys.modules["codes_reference"] = sys.modules[__name__]


class Stage(torch.nn.Module):
    """Stands in for a VQGAN: its code indices are the image's first channel."""

    def encode(self, x):
        return x, None, [None, None, x[:, 0].long().reshape(-1)]


STAGE = {"target": "codes_reference.Stage"}


def net(name, cond, order=None, **params):
    """Net2NetTransformer with the weights of a fixture of latent_transformer.py."""
    described = json.loads((FIXTURES / "models" / f"{name}.json").read_text())
    model = Net2NetTransformer(
        {"target": "taming.modules.transformer.mingpt.GPT", "params": described["config"]}, STAGE, cond,
        permuter_config=order, **params,
    )  # fmt: skip
    weights = load_file(FIXTURES / "models" / f"{name}.safetensors")
    state = {k.removeprefix("weights/"): v.float() for k, v in weights.items() if k.startswith("weights/")}
    missing = model.transformer.load_state_dict(state, strict=False).missing_keys
    assert all(key.endswith("attn.mask") for key in missing), missing
    return model.eval()


def draws():
    """Indices sampled from one distribution with different options."""
    settings = [
        {}, {"temperature": 0.4}, {"temperature": 3.0}, {"topK": 1}, {"topK": 5}, {"topK": 64}, {"topP": 0.9}, {"topP": 0.35},
        {"topP": 0.01}, {"topK": 12, "topP": 0.8, "temperature": 1.7}, {"sample": False}, {"sample": False, "topK": 3},
    ]  # fmt: skip
    cases = []
    for number, options in enumerate(settings):
        logits = torch.randn(48, generator=torch.Generator().manual_seed(100 + number)) * 2
        if "topP" not in options:  # torch.sort, whose order the nucleus is cut from, sorts equal values arbitrarily
            logits[40:44] = logits[0]
        scaled = logits[None] / options.get("temperature", 1.0)
        kept = taming_import.top_k_top_p_filtering(scaled, options.get("topK", 0), options.get("topP", 1.0))
        probabilities = kept.softmax(-1)
        codes = []
        for seed in range(8):
            torch.manual_seed(seed)
            sample = options.get("sample", True)
            codes.append((torch.multinomial(probabilities, 1) if sample else probabilities.topk(1)[1]).item())
        cases.append({"options": options, "logits": logits.tolist(), "probabilities": probabilities[0].tolist(),
                      "codes": codes})  # fmt: skip
    return cases


def generators():
    out = []
    for seed in (0, 7, 2**40 + 3, -5):
        generator = torch.Generator().manual_seed(seed)
        out.append({
            "seed": seed,
            "exponential": torch.empty(33).exponential_(generator=generator).tolist(),
            "integers": torch.randint(16384, (9,), generator=generator).tolist(),
            "large": torch.randint(2**24, (4,), generator=generator).tolist(),
            "then": torch.empty(2).exponential_(generator=generator).tolist(),
        })  # fmt: skip
    return out


def sequences():
    """sample_with_past has the nucleus and caches keys and values; Net2NetTransformer.sample continues given indices."""
    cases = []

    def add(model, condition, total, seed, start=(), options=None, order=None, past=True):
        options = options or {}
        torch.manual_seed(seed)
        c = torch.tensor([condition])
        how = dict(temperature=options.get("temperature", 1.0), top_k=options.get("topK"))
        if past:
            codes = sample_with_past(c, model[1].transformer, total, sample_logits=options.get("sample", True),
                                     top_p=options.get("topP", 1.0), **{**how, "top_k": how["top_k"] or 0})  # fmt: skip
        else:
            codes = model[1].sample(torch.tensor([list(start)], dtype=torch.long), c, total - len(start),
                                    sample=options.get("sample", True), **how)  # fmt: skip
        picture = model[1].permuter(codes, reverse=True) if order else codes
        cases.append({"model": model[0], "condition": list(condition), "total": total, "seed": seed, "start": list(start),
                      "options": options, "order": order, "codes": picture[0].tolist()})  # fmt: skip

    name = "latent-transformer"
    sos = (name, net(name, "__is_unconditional__"))
    labels = (name, net(name, {"target": "taming.modules.util.Labelator", "params": {"n_classes": 20}}))
    sketch = (name, net(name, "__is_first_stage__"))
    (start,) = sos[1].encode_to_c(torch.zeros(1, 3, 4, 4))[1].tolist()
    (label,) = labels[1].encode_to_c(torch.tensor([17]))[1].tolist()
    assert start == [0] and label == [17]
    drawing = [1, 3, 5, 7, 9, 11, 13, 15, 17]
    for seed in (0, 1):
        add(sos, start, 16, seed)
        add(sos, start, 16, seed, options={"topK": 7, "temperature": 0.8})
        add(labels, label, 16, seed, options={"topP": 0.7})
        add(labels, label, 12, seed, options={"topK": 9, "topP": 0.85, "temperature": 1.4})
        add(sketch, drawing, 9, seed)
        add(sketch, drawing, 9, seed, options={"topK": 5}, past=False)
        add(sos, start, 16, seed, [4, 22, 0, 9, 13], {"topK": 7}, past=False)
    add(sos, start, 16, 5, options={"sample": False})
    add(sketch, drawing, 9, 5, [3], {"sample": False, "topK": 2}, past=False)
    # A bidirectional prefix longer than, as long as and shorter than the condition.
    name = "latent-transformer-unmasked"
    unmasked = (name, net(name, "__is_first_stage__"))
    for condition in ([1, 2, 3, 4, 5, 6, 7, 8, 9], [3, 1, 4, 1, 5, 9, 2], [8], [8, 0, 7]):
        add(unmasked, condition, 12, 3, options={"topK": 8}, past=False)
    name = "latent-transformer"
    for order, target in ORDERS.items():
        model = (name, net(name, "__is_unconditional__", {"target": f"{PERMUTERS}.{target}", "params": {"H": 4, "W": 4}}))
        add(model, start, 16, 2, order=order, past=False)
    return cases


PERMUTERS = "taming.modules.transformer.permuter"
ORDERS = {"zcurve": "ZCurve", "subsample": "Subsample", "alternate": "AlternateParsing", "spiral_out": "SpiralOut",
          "spiral_in": "SpiralIn", "random": "Random"}  # fmt: skip


def orders():
    sizes = [(2, 2), (4, 4), (8, 8), (2, 4), (3, 5), (6, 6), (16, 16), (1, 1)]
    out = []
    for name, target in ORDERS.items():
        for height, width in sizes:
            try:
                made = getattr(permuter, target)(height, width)
                order = made.forward_shuffle_idx
                back = torch.arange(height * width)[order][made.backward_shuffle_idx]
                assert torch.equal(back, torch.arange(height * width))
            except (AssertionError, ValueError, IndexError, RuntimeError):
                order = None  # taming has no such order for this size
            found = None if order is None else order.tolist()
            out.append({"name": name, "height": height, "width": width, "order": found})
    return out


def likelihoods():
    cases = []
    for name, condition, height, width in [
        ("latent-transformer", [0], 4, 4), ("latent-transformer", [19], 3, 5), ("latent-transformer", [5] * 9, 3, 3),
        ("latent-transformer-unmasked", [2, 7, 1, 8, 2, 8, 1, 8], 3, 4),
    ]:  # fmt: skip
        model = net(name, "__is_first_stage__")
        vocabulary = model.transformer.config.vocab_size
        z = torch.randint(vocabulary, (1, 1, height, width), generator=torch.Generator().manual_seed(height * width)).float()
        model.encode_to_c = lambda _, codes=condition: (None, torch.tensor([codes]))
        logits, target = model(z, None)
        nats = torch.nn.functional.cross_entropy(logits[0], target[0], reduction="none")
        loss = torch.nn.functional.cross_entropy(logits.reshape(-1, logits.size(-1)), target.reshape(-1))
        cases.append({"model": name, "condition": condition, "height": height, "width": width,
                      "codes": target[0].tolist(), "nats": nats.tolist(), "loss": loss.item()})  # fmt: skip
    return cases


def local(at, size, side):
    """Position of an index in its window: the rule of scripts/sample_conditional.py with `side` in place of 16."""
    if at <= side // 2:
        return at
    return side - (size - at) if size - at < side - side // 2 else side // 2


def slide(model, z, c, side, grid, top_k, sample=True):
    """scripts/sample_conditional.py: the whole window is read, including later indices, and the logits of one
    position are used."""
    height, width = z.shape
    h, w = min(side, height), min(side, width)
    for i in range(height):
        for j in range(width):
            li, lj = local(i, height, h), local(j, width, w)
            rows, columns = slice(i - li, i - li + h), slice(j - lj, j - lj + w)
            patch = z[rows, columns].reshape(1, -1)
            assert patch.shape[1] == h * w
            before = c.reshape(height, width)[rows, columns].reshape(1, -1) if grid else c.reshape(1, -1)
            logits, _ = model.transformer(torch.cat((before, patch), 1)[:, :-1])
            logits = logits[:, -h * w :].reshape(1, h, w, -1)[:, li, lj]
            if top_k:
                logits = model.top_k_logits(logits, top_k)
            probabilities = logits.softmax(-1)
            z[i, j] = torch.multinomial(probabilities, 1) if sample else probabilities.topk(1)[1]
    return z


def slides():
    model = net("latent-transformer", "__is_first_stage__")
    cases = []
    for number, (height, width, side, grid, top_k, sample) in enumerate([
        (6, 5, 3, True, 5, True), (3, 7, 3, True, None, True), (7, 3, 3, True, 9, True), (2, 5, 3, True, 5, True),
        (3, 3, 3, True, 5, True), (2, 2, 3, True, 5, True), (5, 6, 2, True, 5, True), (7, 6, 4, False, 6, True),
        (1, 9, 4, False, None, True), (9, 4, 4, False, 3, True), (5, 5, 3, True, None, False),
    ]):  # fmt: skip
        seed = 40 + number
        torch.manual_seed(seed)
        start = torch.randint(23, (height, width))
        c = torch.randint(23, (height, width), generator=torch.Generator().manual_seed(seed)) if grid else torch.tensor([7])
        codes = slide(model, start.clone(), c, side, grid, top_k, sample)
        cases.append({"height": height, "width": width, "side": side, "grid": grid, "seed": seed,
                      "options": {**({"topK": top_k} if top_k else {}), **({} if sample else {"sample": False})},
                      "condition": c.reshape(-1).tolist(), "start": start.reshape(-1).tolist(),
                      "codes": codes.reshape(-1).tolist()})  # fmt: skip
    return cases


def coordinates():
    """taming.data.faceshq's coordinate image through CoordStage."""
    out = []
    for height, width, factor, codes in [(16, 16, 16, 1024), (3, 5, 4, 23), (20, 31, 16, 1024), (7, 2, 3, 16384)]:
        h, w = height * factor, width * factor
        picture = (torch.arange(h * w).reshape(1, 1, h, w).double() / (h * w)).float()
        indices = CoordStage(codes, factor).encode(picture)[2][2]
        out.append({"height": height, "width": width, "factor": factor, "codes": codes,
                    "indices": indices.reshape(-1).tolist()})  # fmt: skip
    return out


if __name__ == "__main__":
    out = FIXTURES / "codes"
    out.mkdir(exist_ok=True)
    parts = {"draws": draws(), "generators": generators(), "sequences": sequences(), "orders": orders(),
             "likelihoods": likelihoods(), "slides": slides(), "coordinates": coordinates()}  # fmt: skip
    text = ",\n".join(f'"{k}": [\n' + ",\n".join(json.dumps(v) for v in cases) + "\n]" for k, cases in parts.items())
    (out / "codes.json").write_text("{\n" + text + "\n}\n")
