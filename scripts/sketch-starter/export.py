"""Writes the trained networks as a taming-transformers checkpoint in float16: a Net2NetTransformer with a first stage for images, a condition
stage for drawings, and the discriminator of the images; with its YAML config and default sampling options."""
import json
import os

import torch
import yaml
from safetensors.torch import save_file

import config

VQ = 'taming.models.vqgan.VQModel'


def state(out, what, part='model'):
    return torch.load(f'{out}/{what}.pt', weights_only=True)[part]


def tensors(out):
    named = {
        'first_stage_model.': state(out, 'pictures'),
        'first_stage_model.loss.discriminator.': state(out, 'pictures', 'disc'),
        'cond_stage_model.': state(out, 'drawings'),
        'transformer.': state(out, 'transformer'),
    }
    for prefix, weights in named.items():
        for name, tensor in weights.items():
            if not name.endswith('num_batches_tracked'):
                yield prefix + name, tensor.half().contiguous()


def losses(gan):
    disc = config.PICTURES['discriminator']
    return {
        'target': 'taming.modules.losses.vqperceptual.VQLPIPSWithDiscriminator',
        'params': {
            'disc_start': 0, 'codebook_weight': 1.0, 'pixelloss_weight': 1.0, 'perceptual_weight': 0.0, 'disc_weight': gan, 'disc_loss': 'hinge',
            'disc_in_channels': disc['in_channels'], 'disc_num_layers': disc['n_layers'], 'disc_ndf': disc['ndf'], 'use_actnorm': False,
        },
    }  # fmt: skip


def settings():
    """Returns the model's config as in taming's YAML files."""
    return {
        'model': {
            'base_learning_rate': 4.5e-06,
            'target': 'taming.models.cond_transformer.Net2NetTransformer',
            'params': {
                'first_stage_key': 'image',
                'cond_stage_key': 'sketch',
                'transformer_config': {
                    'target': 'taming.modules.transformer.mingpt.GPT',
                    'params': dict(config.TRANSFORMER, embd_pdrop=0.0, resid_pdrop=0.0, attn_pdrop=0.0),
                },
                'first_stage_config': {'target': VQ, 'params': dict(config.PICTURES['model'], lossconfig=losses(config.RATES['pictures']['gan']))},
                'cond_stage_config': {
                    'target': VQ,
                    'params': dict(config.DRAWINGS['model'], image_key='sketch', sane_index_shape=True, lossconfig={'target': 'taming.modules.losses.DummyLoss'}),
                },
            },
        }
    }


def write(out, folder):
    os.makedirs(folder, exist_ok=True)
    weights = dict(tensors(out))
    save_file(weights, f'{folder}/model.safetensors', metadata={'format': 'pt', 'license': 'Apache-2.0'})
    os.chmod(f'{folder}/model.safetensors', 0o644)
    with open(f'{folder}/config.yaml', 'w') as f:
        plain = yaml.safe_load(yaml.safe_dump(settings(), sort_keys=False))  # removes YAML aliases of values that are used twice
        yaml.safe_dump(plain, f, sort_keys=False)
    with open(f'{folder}/safelight.json', 'w') as f:
        f.write(json.dumps(config.DRAW) + '\n')
    print(f'{sum(t.nbytes for t in weights.values()) / 1e6:.1f} MB in {len(weights)} tensors')
