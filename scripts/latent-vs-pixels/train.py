"""Trains two U-Nets of the same architecture for the same CPU time on one core: one on pixels, one on latents of the autoencoder of models/sketch.

    python ../sketch-starter/train.py data --data DIR --out WORK      the training images (scripts/sketch-starter/README.md)
    python train.py pixels  --pictures WORK/pictures.npy --out PIXELS      writes a diffusers folder (DDPMPipeline)
    python train.py latents --pictures WORK/pictures.npy --out LATENTS     writes model.safetensors and config.yaml in CompVis' layout

--seconds N is the CPU time of the process, default 900, including the encoding of the images. Both also write sheet.png: images sampled with PyTorch
by DDIM in --steps N steps (default 50) from the same seeds.
"""
import argparse
import copy
import os
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F
import yaml
from diffusers import DDIMScheduler, DDPMPipeline, DDPMScheduler, UNet2DModel
from safetensors.torch import load_file, save_file

from compvis import renamed

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '../sketch-starter'))
import config as starter  # noqa: E402
from data import sheet  # noqa: E402
from networks import VQModel  # noqa: E402

WIDTHS, LAYERS, HEAD_CHANNELS = (64, 128, 192), 1, 32
BETAS = dict(num_train_timesteps=1000, beta_start=0.0015, beta_end=0.0195, beta_schedule='scaled_linear')  # called linear by CompVis
BATCH = {'pixels': 8, 'latents': 64}
RATE, WARM, EMA = 5e-4, 50, 0.995
SKETCH = os.path.join(os.path.dirname(__file__), '../../models/sketch')


def unet(channels, side):
    """Returns a U-Net as in DDPM, with attention only at the lowest resolution."""
    torch.manual_seed(1)
    return UNet2DModel(
        sample_size=side, in_channels=channels, out_channels=channels, block_out_channels=WIDTHS, layers_per_block=LAYERS,
        down_block_types=('DownBlock2D', 'DownBlock2D', 'AttnDownBlock2D'), up_block_types=('AttnUpBlock2D', 'UpBlock2D', 'UpBlock2D'),
        attention_head_dim=HEAD_CHANNELS,
    ).to(memory_format=torch.channels_last)  # fmt: skip


class Pixels:
    """Training on pixels: the U-Net's input are images in [-1, 1]."""

    channels, side = 3, starter.SIDE

    def __init__(self, pictures):
        self.pictures = pictures

    def batch(self, places):
        return torch.from_numpy(self.pictures[places.numpy()]).float() / 127.5 - 1

    def picture(self, x):
        return x

    def save(self, net, folder):
        DDPMPipeline(net, DDPMScheduler(**BETAS)).save_pretrained(folder)


class Latents:
    """Training on latents: the encoder's output before quantization, scaled to variance 1."""

    side, channels = starter.SIDE // 8, 4

    @torch.no_grad()
    def __init__(self, pictures):
        params = starter.PICTURES['model']
        whole, weights = VQModel(**params).eval(), load_file(f'{SKETCH}/model.safetensors')
        first = {k.removeprefix('first_stage_model.'): v for k, v in weights.items() if k.startswith('first_stage_model.') and '.loss.' not in k}
        whole.load_state_dict({k: v.float() for k, v in first.items()})
        encode, pages = torch.compile(whole.latent), Pixels(pictures)
        z = torch.cat([encode(pages.batch(torch.arange(n, n + 12))).half() for n in range(0, len(pictures), 12)])
        self.params = dict(params, embed_dim=self.channels)
        self.model = VQModel(**self.params).eval()
        mean, axes, kept = principal(z, self.channels)
        self.model.load_state_dict(projected(whole.state_dict(), mean, axes))
        print(f'{self.channels} of {len(mean)} axes keep {kept:.1%} of the variance', flush=True)
        self.z = torch.einsum('nchw,cd->ndhw', z.float() - mean.view(-1, 1, 1), axes)
        self.scale = 1 / self.z.std().item()

    def batch(self, places):
        return self.z[places] * self.scale

    def picture(self, x):
        rows = (x / self.scale).movedim(1, 3)
        return self.model.decode_codes(self.model.quantize.nearest(rows.flatten(0, 2))[0].view(rows.shape[:3]))

    def save(self, net, folder):
        os.makedirs(folder, exist_ok=True)
        weights = renamed(net.state_dict(), len(WIDTHS), LAYERS, HEAD_CHANNELS)
        weights |= {f'first_stage_model.{k}': v.contiguous() for k, v in self.model.state_dict().items()}
        save_file(weights | {'scale_factor': torch.tensor(self.scale)}, f'{folder}/model.safetensors', metadata={'format': 'pt'})
        with open(f'{folder}/config.yaml', 'w') as f:
            yaml.safe_dump(yaml.safe_load(yaml.safe_dump(self.settings())), f, sort_keys=False)

    def settings(self):
        """Returns the config of an unconditional CompVis model."""
        network = {
            'image_size': self.side, 'in_channels': self.channels, 'out_channels': self.channels, 'model_channels': WIDTHS[0],
            'attention_resolutions': [2 ** (len(WIDTHS) - 1)], 'num_res_blocks': LAYERS, 'channel_mult': [w // WIDTHS[0] for w in WIDTHS],
            'num_head_channels': HEAD_CHANNELS,
        }  # fmt: skip
        first = dict(copy.deepcopy(self.params), lossconfig={'target': 'torch.nn.Identity'})
        params = {
            'linear_start': BETAS['beta_start'], 'linear_end': BETAS['beta_end'], 'timesteps': BETAS['num_train_timesteps'],
            'first_stage_key': 'image', 'image_size': self.side, 'channels': self.channels, 'scale_factor': self.scale,
            'unet_config': {'target': 'ldm.modules.diffusionmodules.openaimodel.UNetModel', 'params': network},
            'first_stage_config': {'target': 'ldm.models.autoencoder.VQModelInterface', 'params': first},
            'cond_stage_config': '__is_unconditional__',
        }  # fmt: skip
        return {'model': {'target': 'ldm.models.diffusion.ddpm.LatentDiffusion', 'params': params}}


def principal(z, count):
    """Returns the mean [C] of z [N, C, h, w], its `count` principal axes [C, count], and the share of the variance along them. The codes of
    the starter vary along few of their dimensions; noise in the others would make training harder."""
    rows = z[::8].float().movedim(1, 3).flatten(0, 2)
    values, axes = torch.linalg.eigh(torch.cov(rows.T))
    return rows.mean(0), axes[:, -count:].contiguous(), (values[-count:].sum() / values.sum()).item()


def projected(state, mean, axes):
    """Returns the autoencoder's weights with latents projected on these axes. Distances to codebook entries are nearly unchanged."""
    state = dict(state)
    by_axes = lambda t: torch.einsum('cd,c...->d...', axes, t).contiguous()
    state['quant_conv.weight'], state['quant_conv.bias'] = by_axes(state['quant_conv.weight']), by_axes(state['quant_conv.bias'] - mean)
    state['quantize.embedding.weight'] = (state['quantize.embedding.weight'] - mean) @ axes
    after = state['post_quant_conv.weight'][..., 0, 0]
    state['post_quant_conv.bias'] = state['post_quant_conv.bias'] + after @ mean
    state['post_quant_conv.weight'] = (after @ axes)[..., None, None]
    return state


def train(space, net, batch, count, end):
    """Trains noise prediction as in DDPM until the CPU time reaches `end`. Returns the network with averaged weights (EMA)."""
    noising, average, step = DDPMScheduler(**BETAS), copy.deepcopy(net), 0
    opt = torch.optim.AdamW(net.parameters(), RATE, betas=(0.9, 0.99), weight_decay=0.01)
    forward, mean, g, start = torch.compile(net), None, torch.Generator().manual_seed(2), time.process_time()
    while (now := time.process_time()) < end:
        left = (end - now) / (end - start)
        for group in opt.param_groups:
            group['lr'] = RATE * min(1, (step + 1) / WARM) * min(1, 0.02 + left / 0.4)
        x = space.batch(torch.randint(count, (batch,), generator=g)).contiguous(memory_format=torch.channels_last)
        noise, t = torch.randn(x.shape, generator=g), torch.randint(1000, (batch,), generator=g)
        with torch.autocast('cpu', torch.bfloat16):
            guess = forward(noising.add_noise(x, noise, t), t, return_dict=False)[0]
        loss = F.mse_loss(guess.float(), noise)
        opt.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        opt.step()
        step += 1
        keep = min(EMA, (1 + step) / (10 + step))
        with torch.no_grad():
            for a, b in zip(average.parameters(), net.parameters()):
                a.lerp_(b, 1 - keep)
        mean = loss.item() if mean is None else 0.98 * mean + 0.02 * loss.item()
        if step % 20 == 0:
            print(f'{step} steps of {batch}, {end - now:.0f} s left, loss {mean:.4f}', flush=True)
    print(f'{step} steps, {step * batch} images seen', flush=True)
    return average


@torch.no_grad()
def sample(space, net, steps, count=8):
    """Samples one image per seed, for the seeds 0 to count - 1."""
    scheduler = DDIMScheduler(**BETAS, clip_sample=False, set_alpha_to_one=False)
    scheduler.set_timesteps(steps)
    shape = (1, space.channels, space.side, space.side)
    x = torch.cat([torch.randn(shape, generator=torch.Generator().manual_seed(n)) for n in range(count)])
    for t in scheduler.timesteps:
        x = scheduler.step(net(x, t).sample, t, x).prev_sample
    return space.picture(x)


if __name__ == '__main__':
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('what', choices=('pixels', 'latents'))
    p.add_argument('--pictures', required=True)
    p.add_argument('--out', required=True)
    p.add_argument('--seconds', type=float, default=900)
    p.add_argument('--steps', type=int, default=50)
    a = p.parse_args()
    torch.set_num_threads(1)
    begin, pictures = time.process_time(), np.load(a.pictures, mmap_mode='r')
    space = Pixels(pictures) if a.what == 'pixels' else Latents(pictures)
    net = train(space, unet(space.channels, space.side), BATCH[a.what], len(pictures), begin + a.seconds)
    space.save(net.eval(), a.out)
    sheet([list(space.picture(space.batch(torch.arange(0, 8)))), list(sample(space, net, a.steps))], f'{a.out}/sheet.png')
