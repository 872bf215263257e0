"""Writes the fixture of lib/tensor/interpolate.ts: results of torch's interpolate for a small random tensor.

Run: python test/reference/interpolate.py
"""
import json
import pathlib

import torch

out = pathlib.Path(__file__).parent.parent / "fixtures" / "tensor"
out.mkdir(parents=True, exist_ok=True)
torch.manual_seed(0)
x = torch.randn(1, 2, 5, 4)
cases = []
for size in [(8, 7), (3, 3), (5, 4), (11, 2)]:
    for mode, antialias in [("nearest", False), ("nearest-exact", False), ("bilinear", False), ("bicubic", False), ("bicubic", True)]:
        y = torch.nn.functional.interpolate(x, size=size, mode=mode, antialias=antialias)
        cases.append({
            "mode": mode + ("-antialiased" if antialias else ""),
            "size": size,
            "values": [round(v, 6) for v in y.flatten().tolist()],
        })
fixture = {"shape": list(x.shape), "input": [round(v, 7) for v in x.flatten().tolist()], "cases": cases}
(out / "interpolate.json").write_text(json.dumps(fixture))
