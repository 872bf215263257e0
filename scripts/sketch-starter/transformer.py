"""Trains the transformer on sequences of 144 codes of a drawing followed by 144 codes of its image, each in raster order."""
import os
import time

import numpy as np
import torch
import torch.nn.functional as F

import config
import data
from autoencoder import generator, learning_rate
from networks import GPT, VQModel

GRID = config.SIDE // 8
CODES = GRID * GRID
BATCH, RATE, BLANK = 12, 1.5e-3, 0.08  # BLANK: share of empty drawings, which train unconditional sampling


def open_autoencoder(out, what):
    model = VQModel(**getattr(config, what.upper())['model']).eval().to(memory_format=torch.channels_last)
    model.load_state_dict(torch.load(f'{out}/{what}.pt', weights_only=True)['model'])
    return model


def page(images):
    return torch.as_tensor(images).float() / 127.5 - 1


@torch.no_grad()
def encode_all(out):
    """Writes OUT/codes.npz: the codes of all images and drawings [N, CODES], and of an empty page."""
    made = {}
    for what in ('pictures', 'drawings'):
        model, images = open_autoencoder(out, what), np.load(f'{out}/{what}.npy', mmap_mode='r')
        codes = torch.compile(model.codes)
        parts = [codes(page(images[n : n + 12])).flatten(1) for n in range(0, len(images), 12)]
        made[what] = torch.cat(parts).short().numpy()
    made['blank'] = model.codes(torch.ones(1, 1, config.SIDE, config.SIDE)).flatten(1).short().numpy()
    np.savez(f'{out}/codes.npz', **made)


def load_codes(out):
    """Returns the codes. Both autoencoders must have reached the phase in which their codes are fixed."""
    if not os.path.exists(f'{out}/codes.npz'):
        encode_all(out)
    with np.load(f'{out}/codes.npz') as f:
        return {k: torch.from_numpy(f[k]).long() for k in f}


@torch.no_grad()
def align_positions(gpt, reach=1.5, gain=4.0):
    """Initializes the position embeddings and the first two layers. A position has the same embedding (random Fourier features, Rahimi and Recht
    2007) among the drawing's codes and where the image's code is predicted, and the first two layers attend to similar embeddings. With random
    initialization, the transformer spends most of its training on learning which code of the drawing belongs to a code of the image."""
    g, width = torch.Generator().manual_seed(4), gpt.pos_emb.shape[2]
    places = torch.cartesian_prod(torch.arange(GRID), torch.arange(GRID)).float()
    angles = places @ (torch.randn(2, width // 2, generator=g) / reach)
    base = torch.cat([angles.cos(), angles.sin()], 1)
    of_drawing, of_picture = torch.randn(2, 1, width, generator=g) * 0.4
    gpt.pos_emb[0, :CODES] = 0.04 * (base + of_drawing)
    gpt.pos_emb[0, CODES:] = 0.04 * (base.roll(-1, 0) + of_picture)  # each position predicts the next code
    for block in gpt.blocks[:2]:
        block.attn.key.weight.mul_(gain)
        block.attn.query.weight.copy_(block.attn.key.weight)


def batch(codes, step):
    g = generator(3, step)
    n = torch.randint(len(codes['pictures']), (BATCH,), generator=g)
    blank = torch.rand(BATCH, 1, generator=g) < BLANK
    return torch.cat([torch.where(blank, codes['blank'], codes['drawings'][n]), codes['pictures'][n]], 1)


@torch.no_grad()
def sample(gpt, condition, length=CODES, top_k=100, temperature=1.0, seed=0):
    """Samples codes [B, length] after condition [B, T], without caching keys and values."""
    g, tokens = torch.Generator().manual_seed(seed), condition
    for _ in range(length):
        logits = gpt(tokens, tokens.shape[1] - 1)[:, -1] / temperature
        best = logits.topk(top_k)
        tokens = torch.cat([tokens, best.indices.gather(1, torch.multinomial(best.values.softmax(1), 1, generator=g))], 1)
    return tokens[:, condition.shape[1] :]


@torch.no_grad()
def show_samples(gpt, out, codes, path, count=10):
    """Saves rows of drawings, two samples each, and the original images. The last two columns have an empty page as drawing."""
    pictures, n = open_autoencoder(out, 'pictures'), torch.linspace(7, len(codes['pictures']) - 1, count).long()
    condition = codes['drawings'][n].clone()
    condition[-2:] = codes['blank']
    drawn = page(np.load(f'{out}/drawings.npy', mmap_mode='r')[n.numpy()])
    made = [pictures.decode_codes(sample(gpt, condition, seed=s).view(-1, GRID, GRID)) for s in range(2)]
    truth = page(np.load(f'{out}/pictures.npy', mmap_mode='r')[n.numpy()])
    data.sheet([list(drawn), list(made[0]), list(made[1]), list(truth)], path)


def train(out, steps, resume):
    codes, path, step = load_codes(out), f'{out}/transformer.pt', 0
    torch.manual_seed(3)
    gpt = GPT(**config.TRANSFORMER, dropout=0.05)
    align_positions(gpt)
    opt = torch.optim.AdamW(gpt.parameters(), RATE, betas=(0.9, 0.95), weight_decay=0.01)
    if resume and os.path.exists(path):
        state = torch.load(path, weights_only=True)
        gpt.load_state_dict(state['model'])
        opt.load_state_dict(state['opt'])
        step = state['step']
    forward, start, first, mean = torch.compile(gpt), time.time(), step, None
    while step < steps:
        for group in opt.param_groups:
            group['lr'] = learning_rate(RATE, step, steps, 150)
        tokens = batch(codes, step)
        with torch.autocast('cpu', torch.bfloat16):
            logits = forward(tokens[:, :-1], CODES - 1)
        loss = F.cross_entropy(logits.flatten(0, 1), tokens[:, CODES:].flatten())
        opt.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(gpt.parameters(), 1.0)
        opt.step()
        step += 1
        mean = loss.item() if mean is None else 0.95 * mean + 0.05 * loss.item()
        if step % 25 == 0:
            print(f'{step}/{steps} {(time.time() - start) / (step - first):.2f} s per step, loss {mean:.4f}', flush=True)
        if step % 200 == 0 or step == steps:
            torch.save({'model': gpt.state_dict(), 'opt': opt.state_dict(), 'step': step}, path + '.new')
            os.replace(path + '.new', path)
    gpt.eval()
    show_samples(gpt, out, codes, f'{out}/transformer.png')
