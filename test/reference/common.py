"""Shared by the reference scripts: deterministic weights that f16 holds exactly, outputs of inner layers, and files."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"


def randomize(module, seed, gains=()):
    """Fills every parameter so that each one affects the output: no norm at 1, no bias at 0, attention far from
    uniform.

    Matrices and filters get variance 1 / inputs, times the gains of the name parts that match. All values are rounded
    to f16, so that a small file contains exactly what the reference computes with.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in module.named_parameters():
            value = torch.randn(p.shape, generator=generator, dtype=torch.float64)
            if p.dim() == 1:
                value = 1 + 0.3 * value if "norm" in name and name.endswith("weight") else 0.3 * value
            elif "embedding" not in name or "linear" in name:
                value = value / p[0].numel() ** 0.5
            for part, gain in gains:
                if part in name:
                    value = value * gain
            p.copy_(value.half())
    return module.double().eval()


def record(module, names, prefix=""):
    """Registers hooks; the returned dictionary is filled with the outputs of the named submodules at each forward
    pass."""
    seen = {}

    def keep(name):
        def hook(_module, _inputs, output):
            first = output[0] if isinstance(output, tuple) else output
            seen[prefix + name] = first.detach()

        return hook

    for name in names:
        module.get_submodule(name).register_forward_hook(keep(name))
    return seen


def probabilities(q, k, heads, causal=False):
    """softmax(q·kᵀ / √d) of [B, T, C] projections: [B, heads, Tq, Tk]."""
    q, k = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (q, k))
    scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
    if causal:
        scores = scores.masked_fill(torch.ones(scores.shape[-2:]).triu(1).bool(), -torch.inf)
    return scores.softmax(-1)


def assert_every_parameter_shows(module, run, without_effect=(), least=5e-3):
    """Asserts that a wrong parameter changes the fixture: each one, negated, must change an output by many times the
    tests' tolerance."""
    with torch.no_grad():
        outputs = run()
        for name, p in module.named_parameters():
            if any(part in name for part in without_effect):
                continue
            p.neg_()
            change = max(((a - b).abs().max() / b.abs().max()).item() for a, b in zip(run(), outputs))
            p.neg_()
            assert change > least, f"{name} changes no output by more than {change}"


def save(folder, name, config, weights, cases):
    """Writes folder/name.json and folder/name.safetensors: a module's config, its weights in f16, and cases of inputs
    and outputs.

    A case is {"entry", "params", "inputs", "outputs", "taps"}, the last three dictionaries of tensors.
    """
    out = FIXTURES / folder
    out.mkdir(parents=True, exist_ok=True)
    tensors = {f"weights/{key}": value.half().contiguous() for key, value in weights.items()}
    described = []
    for number, case in enumerate(cases):
        described.append({"entry": case["entry"], "params": case.get("params", {})})
        for group in ("inputs", "outputs", "taps"):
            described[-1][group] = list(case.get(group, {}))
            for key, value in case.get(group, {}).items():
                whole = value.dtype in (torch.int32, torch.int64)
                tensors[f"{number}/{group}/{key}"] = value.to(torch.int32 if whole else torch.float32).contiguous()
    save_file(tensors, out / f"{name}.safetensors")
    (out / f"{name}.json").write_text(json.dumps({**config, "cases": described}, indent=1) + "\n")
