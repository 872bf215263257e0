"""Trains an autoencoder with a codebook: first without the codebook, then with it, at last its decoder alone against a patch discriminator. From
then on pictures keep their codes, so that a transformer can begin with them."""
import math
import os
import time

import torch
import torch.nn.functional as F

from codebook import Averages, k_means
from networks import Discriminator, VQModel

CODEBOOK_FROM, GAN_FROM = 0.3, 0.7  # fractions of the steps
BETA = 0.25  # how much the encoder is held to its codes


def generator(seed, step):
    """Every step draws from a generator of its own, so that a resumed run goes the same way."""
    return torch.Generator().manual_seed(seed * 10**7 + step)


def learning_rate(peak, step, steps, warm=100):
    """A short rise, then half a cosine."""
    return peak * min(1, (step + 1) / warm) * (0.5 + 0.5 * math.cos(math.pi * step / steps)) + peak * 0.02


def colour(x):
    """What is left of a picture [B, 3, H, W] without its lightness."""
    return x - x.mul(x.new_tensor([0.3, 0.6, 0.1]).view(1, 3, 1, 1)).sum(1, keepdim=True)


def difference(y, x):
    """L1, L2, L1 of each picture's worst pixels (norms invite specks that carry what is true of the whole picture), and at four sizes L1 of
    the slopes, which keeps edges where L1 alone would blur them, and of the colours: norms of as many groups as channels make lightness easy
    to learn and colours hard, and codes that are placed before there are colours never learn them."""
    off = (y - x).abs()
    worst = off.amax(1).flatten(1).topk(off[0, 0].numel() // 400).values
    loss = off.mean() + 0.5 * off.pow(2).mean() + 0.3 * worst.mean()
    for n in range(4):
        if n < 3:
            for d in (2, 3):
                loss = loss + 0.2 * (y.diff(dim=d) - x.diff(dim=d)).abs().mean()
        if x.shape[1] == 3:
            loss = loss + 2 * (colour(y) - colour(x)).abs().mean()
        y, x = F.avg_pool2d(y, 2), F.avg_pool2d(x, 2)
    return loss


class Crops:
    """Batches of squares of the pictures [N, C, H, W] uint8; of two places for each the one that shows more."""

    def __init__(self, pictures, batch, side, seed):
        self.pictures, self.batch, self.side, self.seed = pictures, batch, side, seed

    def __call__(self, step):
        g, crops = generator(self.seed, step), []
        for n in torch.randint(len(self.pictures), (self.batch,), generator=g).tolist():
            free = self.pictures.shape[2] - self.side + 1
            places = torch.randint(free, (2, 2), generator=g).tolist()
            two = [self.pictures[n][:, y : y + self.side, x : x + self.side].float() for y, x in places]
            crop = max(two, key=lambda c: c.std())
            crops.append(crop.flip(2) if torch.rand((), generator=g) < 0.5 else crop)
        return (torch.stack(crops) / 127.5 - 1).contiguous(memory_format=torch.channels_last)


class Trainer:
    def __init__(self, config, crops, steps, rate, gan):
        torch.manual_seed(crops.seed)
        self.model = VQModel(**config['model']).to(memory_format=torch.channels_last)
        self.disc = Discriminator(**config['discriminator']).to(memory_format=torch.channels_last)
        self.crops, self.steps, self.rate, self.gan_weight, self.step = crops, steps, rate, gan, 0
        self.turn = int(steps * GAN_FROM) if gan else steps  # from here on codes are fixed
        self.moving = [p for p in self.model.parameters() if p.requires_grad]
        self.opt = torch.optim.AdamW(self.moving, rate, betas=(0.9, 0.99), weight_decay=1e-4)
        self.disc_opt = torch.optim.AdamW(self.disc.parameters(), rate, betas=(0.5, 0.99), weight_decay=1e-4)
        self.averages = None
        self.encode, self.decode, self.judge = torch.compile(self.model.latent), torch.compile(self.model.decode), torch.compile(self.disc)

    def state(self):
        parts = {k: getattr(self, k).state_dict() for k in ('model', 'disc', 'opt', 'disc_opt')}
        return parts | {'step': self.step, 'averages': self.averages and self.averages.state()}

    def load(self, state):
        for k in ('model', 'disc', 'opt', 'disc_opt'):
            getattr(self, k).load_state_dict(state[k])
        self.step = state['step']
        if state['averages']:
            self.averages = Averages(self.model.quantize)
            self.averages.load(state['averages'])

    def begin(self, state):
        """Starts from what another run learned. Its codes go on where they are, so that a transformer that knows them need only catch up."""
        self.model.load_state_dict(state['model'])
        self.disc.load_state_dict(state['disc'])
        self.averages = Averages(self.model.quantize)
        self.averages.load(state['averages'])

    @torch.no_grad()
    def place_codes(self):
        """k-means over what the encoder says of some batches."""
        rows = [self.encode(self.crops(10**6 + n)).movedim(1, 3).flatten(0, 2) for n in range(32)]
        k_means(self.model.quantize, torch.cat(rows), generator(self.crops.seed, 0))
        self.averages = Averages(self.model.quantize)

    def quantized(self, z):
        """The nearest codes (gradients pass straight through), and how far the encoder's word was from them."""
        rows = z.detach().movedim(1, 3).reshape(-1, z.shape[1])
        index, distance = self.model.quantize.nearest(rows)
        q = self.model.quantize.embedding.weight[index].view(*z.movedim(1, 3).shape).movedim(3, 1)
        self.averages.update(rows, index, distance, generator(self.crops.seed + 1, self.step))
        return z + (q - z).detach(), (z - q).pow(2).mean(), len(index.unique())

    def update(self):
        if self.step == int(self.steps * CODEBOOK_FROM) and self.averages is None:
            self.place_codes()
        x, bf16, gan = self.crops(self.step), torch.autocast('cpu', torch.bfloat16), self.step >= self.turn
        self.set_rates(gan)
        z, commit, used = self.latent(x, bf16, gan)
        with bf16:
            y = self.decode(z)
        rec = difference(y, x)
        loss = rec + BETA * commit
        if gan:
            loss = loss + self.adversarial(x, y, rec, bf16)
        self.opt.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.moving, 1.0)
        self.opt.step()
        if gan:
            self.teach_discriminator(x, y.detach(), bf16)
        self.step += 1
        return {'rec': rec.item(), 'commit': float(commit), 'used': used, 'mse': F.mse_loss(y, x).item()}

    def set_rates(self, gan):
        done, steps = (self.step - self.turn, self.steps - self.turn) if gan else (self.step, self.turn)
        for opt in (self.opt, self.disc_opt):
            for group in opt.param_groups:
                group['lr'] = learning_rate(self.rate * (0.5 if gan else 1), done, steps)

    def latent(self, x, bf16, fixed):
        """What the decoder gets, the commitment's loss, and how many codes it took. Without gradients once codes are fixed."""
        if fixed:
            with torch.no_grad(), bf16:
                z = self.encode(x)
                index = self.model.quantize.nearest(z.movedim(1, 3).flatten(0, 2))[0]
                q = self.model.quantize.embedding(index).view(z.movedim(1, 3).shape).movedim(3, 1)
                return q.contiguous(memory_format=torch.channels_last), torch.zeros(()), len(index.unique())
        with bf16:
            z = self.encode(x)
        return self.quantized(z) if self.averages else (z, torch.zeros(()), 0)

    def adversarial(self, x, y, rec, bf16):
        """The discriminator's word and its features, weighed so that at the last layer they pull as hard as gan_weight times the reconstruction does
        (the adaptive weight of Esser et al. 2021)."""
        self.disc.requires_grad_(False)
        with bf16:
            logits, features = self.judge(y)
            with torch.no_grad():
                real = self.judge(x)[1]
        wish = -logits.mean() + 2 * sum((a.float() - b.float()).abs().mean() for a, b in zip(features, real))
        pull = lambda t: torch.autograd.grad(t, y, retain_graph=True)[0].norm()
        weight = (pull(rec) / (pull(wish) + 1e-6)).clamp(max=1e4).detach()
        self.disc.requires_grad_(True)
        ramp = min(1, (self.step - self.turn) / (0.1 * self.steps))
        return self.gan_weight * ramp * weight * wish

    def teach_discriminator(self, x, y, bf16):
        with bf16:
            hinge = 0.5 * (F.relu(1 - self.judge(x)[0]).mean() + F.relu(1 + self.judge(y)[0]).mean())
        self.disc_opt.zero_grad(set_to_none=True)
        hinge.backward()
        self.disc_opt.step()


def train(trainer, path, resume, save_every=400):
    """Runs to the last step; path.pt is written on the way."""
    if resume and os.path.exists(path):
        trainer.load(torch.load(path, weights_only=True))
    start, first = time.time(), trainer.step
    while trainer.step < trainer.steps:
        log = trainer.update()
        if trainer.step % 50 == 0:
            pace = (time.time() - start) / (trainer.step - first)
            print(f'{trainer.step}/{trainer.steps} {pace:.2f} s a step ' + ' '.join(f'{k} {v:.4g}' for k, v in log.items()), flush=True)
        if trainer.step % save_every == 0 or trainer.step == trainer.steps:
            torch.save(trainer.state(), path + '.new')
            os.replace(path + '.new', path)
