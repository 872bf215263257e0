"""Measures an upscaling model with PyTorch through spandrel: `torch_upscale.py FILE [--threads N] [--runs N] [--side N]`.

    pip install spandrel torch
"""

import argparse
import statistics
import time

import torch
from spandrel import ModelLoader

parser = argparse.ArgumentParser()
parser.add_argument("file")
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--runs", type=int, default=3)
parser.add_argument("--side", type=int, default=256)
args = parser.parse_args()

torch.set_num_threads(args.threads)
model = ModelLoader().load_from_file(args.file).model.float().eval()
count = torch.arange(3 * args.side * args.side, dtype=torch.float64)
image = (0.5 + 0.5 * torch.sin(12.9898 * count)).float().reshape(1, 3, args.side, args.side)
seconds = []
with torch.inference_mode():
    for i in range(args.runs + 1):
        start = time.perf_counter()
        model(image)
        if i > 0:
            seconds.append(time.perf_counter() - start)
print("runs", " ".join(f"{s:.2f}" for s in seconds))
print(f"median {statistics.median(seconds):.2f} s, {args.threads} threads, torch {torch.__version__}")
