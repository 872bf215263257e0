"""Trains the starter of models/sketch: an autoencoder of pictures, one of drawings, and a transformer that writes a picture's codes after a drawing's.

    python train.py data        --data DIR --out WORK     pictures at varied places and sizes, and drawings of them
    python train.py drawings    --out WORK                the drawings' autoencoder        (these two may run
    python train.py pictures    --out WORK                the pictures' autoencoder         side by side)
    python train.py transformer --out WORK                the transformer, on both one's codes
    python train.py export      --out WORK --model DIR    writes DIR/model.safetensors (float16) and DIR/config.yaml

DIR holds emoji128.npz (imgs: uint8 [N, 128, 128, 3] on white) and caps.json ([label, tags, group] a picture). --steps N makes it shorter or
longer, --resume goes on where a stopped run was saved, --begin FILE starts an autoencoder with what another run learned. The transformer may
begin when the drawings' autoencoder is done and the pictures' is past 70% of its steps: from then on only the decoder learns. One thread
each: with more, threads wait for each other longer than they compute. README.md has the commands and times of models/sketch.
"""
import argparse
import os

import numpy as np
import torch

import autoencoder
import config
import data

STEPS = {'drawings': 900, 'pictures': 3000, 'transformer': 1800}


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('what', choices=('data', 'drawings', 'pictures', 'transformer', 'export'))
    p.add_argument('--out', required=True)
    p.add_argument('--data')
    p.add_argument('--model')
    p.add_argument('--steps', type=int)
    p.add_argument('--resume', action='store_true')
    p.add_argument('--begin')
    return p.parse_args()


def train_autoencoder(what, out, steps, resume, begin):
    images = torch.from_numpy(np.load(f'{out}/{what}.npy', mmap_mode='c'))
    crops = autoencoder.Crops(images, **config.CROPS[what])
    trainer = autoencoder.Trainer(getattr(config, what.upper()), crops, steps, **config.RATES[what])
    if begin:
        trainer.begin(torch.load(begin, weights_only=True))
    autoencoder.train(trainer, f'{out}/{what}.pt', resume)
    data.show_reconstructions(trainer.model, images, f'{out}/{what}.png')


if __name__ == '__main__':
    a = arguments()
    torch.set_num_threads(1)
    os.makedirs(a.out, exist_ok=True)
    steps = a.steps or STEPS.get(a.what)
    if a.what == 'data':
        data.make(a.data, a.out)
    elif a.what == 'transformer':
        import transformer

        transformer.train(a.out, steps, a.resume)
    elif a.what == 'export':
        import export

        export.write(a.out, a.model)
    else:
        train_autoencoder(a.what, a.out, steps, a.resume, a.begin)
