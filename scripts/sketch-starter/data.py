"""Prepares the training data, augmented emoji and drawings of them, and writes sheets of images."""
import json

import numpy as np
import torch
from PIL import Image

from config import SIDE, VARIANTS
from drawings import draw, vary

LETTERS_AND_SIGNS = (None, 2, 8)  # groups that nobody sketches, and letters must not be mirrored


def kept(caption):
    label, _, group = caption
    return group not in LETTERS_AND_SIGNS and 'o’clock' not in label and '-thirty' not in label


def shrunk(image):
    """uint8 [128, 128] or [128, 128, 3] -> uint8 [C, SIDE, SIDE]"""
    small = np.asarray(Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.LANCZOS))
    return small[None] if small.ndim == 2 else small.transpose(2, 0, 1)


def make(source, out):
    """Writes OUT/pictures.npy [N, 3, SIDE, SIDE] and OUT/drawings.npy [N, 1, SIDE, SIDE], uint8, ordered by variant."""
    with open(f'{source}/caps.json') as f:
        captions = json.load(f)
    pictures = np.load(f'{source}/emoji128.npz')['imgs'][[n for n, c in enumerate(captions) if kept(c)]]
    rng = np.random.default_rng(1)
    varied = [vary(p, rng) for _ in range(VARIANTS) for p in pictures]
    np.save(f'{out}/pictures.npy', np.stack([shrunk(p) for p in varied]))
    np.save(f'{out}/drawings.npy', np.stack([shrunk(draw(p, rng)) for p in varied]))
    print(len(pictures), 'images,', len(varied), 'variants')


def sheet(rows, path):
    """Saves rows of images [C, H, W] in [-1, 1] as one image; single channels become gray."""
    lines = [torch.cat([p.expand(3, -1, -1) for p in row], 2) for row in rows]
    page = (torch.cat(lines, 1).clamp(-1, 1).permute(1, 2, 0) + 1) * 127.5
    Image.fromarray(page.round().byte().numpy()).save(path)


@torch.no_grad()
def show_reconstructions(model, images, path, count=12):
    """Saves images and their reconstructions, and prints their mean PSNR in dB (peak 2, for values in [-1, 1])."""
    model.eval()
    x = images[:: len(images) // 48][:48].float() / 127.5 - 1
    codes = torch.cat([model.codes(x[n : n + 8]) for n in range(0, len(x), 8)])
    y = torch.cat([model.decode_codes(codes[n : n + 8]) for n in range(0, len(x), 8)]).clamp(-1, 1)
    psnr = 10 * torch.log10(4 / (y - x).pow(2).mean((1, 2, 3)))
    print(f'PSNR {psnr.mean():.2f} dB, {len(codes.unique())} codes used', flush=True)
    sheet([row for n in range(0, 36, count) for row in (list(x[n : n + count]), list(y[n : n + count]))], path)
