"""Trains models/sketch: an autoencoder for images, one for drawings, and a transformer that predicts an image's codes from a drawing's.

    python train.py data        --data DIR --out WORK     augments the images and makes drawings of them
    python train.py drawings    --out WORK                trains the autoencoder for drawings    (these two may run
    python train.py pictures    --out WORK                trains the autoencoder for images       at the same time)
    python train.py transformer --out WORK                trains the transformer on the codes of both
    python train.py export      --out WORK --model DIR    writes DIR/model.safetensors (float16) and DIR/config.yaml

DIR contains emoji128.npz (imgs: uint8 [N, 128, 128, 3] on white) and caps.json ([label, tags, group] per image). --steps N sets the number of
training steps, --resume continues from the last saved state, --begin FILE starts an autoencoder with the weights of another run. The transformer
can be started when the autoencoder for drawings is finished and that for images has passed 70% of its steps, because then only its decoder is
trained. Each process uses one thread: with more, threads wait for each other longer than they compute. README.md lists the commands and times.
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
