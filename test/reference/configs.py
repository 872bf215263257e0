"""Writes test/fixtures/configs/omegaconf.json: OmegaConf's results for YAML types, merging and interpolations, for
test/checkpoint/config/omegaconf.test.ts.

    venv/bin/python test/reference/configs.py

Requires requirements.txt (omegaconf).
"""

import json
import math
from pathlib import Path

from omegaconf import OmegaConf

OUT = Path(__file__).resolve().parent.parent / "fixtures" / "configs" / "omegaconf.json"

SCALARS = """1e-4 4.5e-6 yes on No 1_000 0x10 010 0o10 1:30 2020-01-01 .5 5. -3 +2 ~ null Null 1e5 12e03 nan .nan .inf -.inf inf TRUE
e5 . .e5 1.e+3 1_0.5 0b11 "5" '1e-4' 1e 0.0 -.5 y n""".split()

CASES = [
    ["a: {x: 1, y: [1, 2, 3]}\nb: 1\nd: null", "a: {x: 2, y: [4], z: {q: 1}}\nb: {c: 2}\nd: {e: 1}", "a:\n  x: ???\nb: 3\nd: null"],
    ["x: 1\na: &a {p: 1, q: [1, {r: 2}]}\nb: {<<: *a, p: 2}\nc: *a"],
    ["a: {b: 3, l: [1, 2], s: 'x${a.b}y', n: '${a.b}', r: '${.b}', up: '${..z}', li: '${a.l}', first: '${a.l[0]}',"
     " second: '${a.l.1}', esc: '\\${a.b}', nest: '${a.${k}}', sub: '${d}', through: '${a.sub.w}', two: '${.b}-${z}'}\n"
     "z: 9\nk: b\nd: {q: '${.w}', w: 7}"],
    ["model:\n  params: {ch: 128, z: 4}\n  copy: ${model.params}", "model: {params: {ch: 64}}"],
    ["model:\n  base_learning_rate: 4.5e-06\n  target: taming.models.vqgan.VQModel\n  params:\n    embed_dim: 256\n    n_embed: 1024\n"
     "    ddconfig:\n      double_z: false\n      ch_mult: [1,1,2,2,4]\n      attn_resolutions:\n      - 16\n      dropout: 0.0\n"
     "    lossconfig:\n      target: taming.modules.losses.DummyLoss\n      params: {}\n"],
]


def plain(value):
    """Replaces infinities, which JSON does not support."""
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def main():
    scalars = [[text, plain(OmegaConf.to_container(OmegaConf.create(f"a: {text}"))["a"])] for text in SCALARS]
    cases = []
    for texts in CASES:
        merged = OmegaConf.merge(*[OmegaConf.create(text) for text in texts])
        cases.append({"texts": texts, "tree": plain(OmegaConf.to_container(merged, resolve=True))})
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps({"scalars": scalars, "cases": cases}, indent=1) + "\n")


main()
