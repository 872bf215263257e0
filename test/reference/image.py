"""Writes test/fixtures/image/*.npy for lib/image: small random images and results of Pillow and OpenCV
(opencv-python-headless 5.0.0, pillow 13.0.0, numpy).

Run: python test/reference/image.py
"""
import json
import pathlib

import cv2
import numpy as np
from PIL import Image, ImageFilter, ImageOps

out = pathlib.Path(__file__).parent.parent / "fixtures" / "image"
out.mkdir(parents=True, exist_ok=True)
rng = np.random.default_rng(7)


def save(name, array):
    np.save(out / f"{name}.npy", np.asarray(array))


# Smooth noise with hard edges, so that ringing, clipping and rounding are visible.
picture = rng.integers(0, 256, (29, 41, 3), dtype=np.uint8)
picture[8:20, 5:30] = [250, 5, 128]
save("picture", picture)
image = Image.fromarray(picture)
cases = []
for width, height in [(64, 64), (16, 8), (41, 13), (36, 14), (50, 10), (97, 29), (7, 3), (1, 1)]:
    for name, method in [("lanczos", Image.Resampling.LANCZOS), ("bicubic", Image.Resampling.BICUBIC)]:
        save(f"{name}-{width}x{height}", image.resize((width, height), method))
        cases.append([name, width, height])
(out / "resize.json").write_text(json.dumps(cases))

mask = np.zeros((33, 47), np.uint8)
mask[10:22, 0:9] = 255
mask[3:9, 30:44] = 255
mask[25, 25] = 200
save("mask", mask)
for sigma in [1, 4, 7, 16]:
    # A1111, modules/processing.py: x first, then y.
    size = 2 * int(2.5 * sigma + 0.5) + 1
    blurred = cv2.GaussianBlur(mask, (size, 1), sigma)
    save(f"blur-{sigma}", cv2.GaussianBlur(blurred, (1, size), sigma))
for radius in [2, 4, 16, 256]:
    save(f"boxes-{radius}", image.filter(ImageFilter.GaussianBlur(radius)))
save("gray", image.convert("L"))

# A1111, modules/masking.py, fill.
hole = Image.fromarray(cv2.GaussianBlur(mask, (9, 9), 2)[:29, :41].copy())
save("hole", hole)
canvas = Image.new("RGBA", image.size)
kept = Image.new("RGBa", image.size)
kept.paste(image.convert("RGBA").convert("RGBa"), mask=ImageOps.invert(hole))
for radius, repeats in [(256, 1), (64, 1), (16, 2), (4, 4), (2, 2), (0, 1)]:
    layer = kept.filter(ImageFilter.GaussianBlur(radius)).convert("RGBA")
    for _ in range(repeats):
        canvas.alpha_composite(layer)
save("filled", canvas.convert("RGB"))
