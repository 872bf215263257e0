"""Trains an autoencoder with a codebook: first without the codebook, then with it, and finally only its decoder with a patch discriminator. In the
last phase the codes of the images no longer change, so the transformer can be trained on them at the same time."""
import math
import os
import time

import torch
import torch.nn.functional as F

from codebook import Averages, k_means
from networks import Discriminator, VQModel

CODEBOOK_FROM, GAN_FROM = 0.3, 0.7  # fractions of the steps
BETA = 0.25  # weight of the commitment loss


def generator(seed, step):
    """Returns a separate random generator for each step, so that a resumed run equals an uninterrupted one."""
    return torch.Generator().manual_seed(seed * 10**7 + step)


def learning_rate(peak, step, steps, warm=100):
    """Returns the learning rate: a linear warm-up, then half a cosine."""
    return peak * min(1, (step + 1) / warm) * (0.5 + 0.5 * math.cos(math.pi * step / steps)) + peak * 0.02


def color(x):
    """Returns an image [B, 3, H, W] minus its lightness."""
    return x - x.mul(x.new_tensor([0.3, 0.6, 0.1]).view(1, 3, 1, 1)).sum(1, keepdim=True)


def difference(y, x):
    """Returns the reconstruction loss: L1, L2, L1 of the worst pixels of each image (group norms favor specks that encode global properties),
    and at four sizes L1 of the gradients, which keeps edges sharp, and of the colors. With as many groups as channels, group norms make lightness
    easy and colors hard to learn, and a codebook initialized before the colors are learned never represents them."""
    off = (y - x).abs()
    worst = off.amax(1).flatten(1).topk(off[0, 0].numel() // 400).values
    loss = off.mean() + 0.5 * off.pow(2).mean() + 0.3 * worst.mean()
    for n in range(4):
        if n < 3:
            for d in (2, 3):
                loss = loss + 0.2 * (y.diff(dim=d) - x.diff(dim=d)).abs().mean()
        if x.shape[1] == 3:
            loss = loss + 2 * (color(y) - color(x)).abs().mean()
        y, x = F.avg_pool2d(y, 2), F.avg_pool2d(x, 2)
    return loss


class Crops:
    """Batches of square crops of images [N, C, H, W] uint8. Of two random crops, the one with the higher variance is used."""

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
        self.turn = int(steps * GAN_FROM) if gan else steps  # from this step on the codes are fixed
        self.moving = [p for p in self.model.parameters() if p.requires_grad]
        self.opt = torch.optim.AdamW(self.moving, rate, betas=(0.9, 0.99), weight_decay=1e-4)
        self.disc_opt = torch.optim.AdamW(self.disc.parameters(), rate, betas=(0.5, 0.99), weight_decay=1e-4)
        self.averages = None
        self.encode, self.decode, self.discriminate = torch.compile(self.model.latent), torch.compile(self.model.decode), torch.compile(self.disc)

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
        """Starts from the weights of another run. Its codebook is kept, so that a transformer trained on it needs only little more training."""
        self.model.load_state_dict(state['model'])
        self.disc.load_state_dict(state['disc'])
        self.averages = Averages(self.model.quantize)
        self.averages.load(state['averages'])

    @torch.no_grad()
    def place_codes(self):
        """Initializes the codebook by k-means of the encoder's output for 32 batches."""
        rows = [self.encode(self.crops(10**6 + n)).movedim(1, 3).flatten(0, 2) for n in range(32)]
        k_means(self.model.quantize, torch.cat(rows), generator(self.crops.seed, 0))
        self.averages = Averages(self.model.quantize)

    def quantized(self, z):
        """Returns the nearest codes (with straight-through gradients), the commitment loss, and the number of codes used."""
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
        """Returns the decoder's input, the commitment loss and the number of codes used. Without gradients if the codes are fixed."""
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
        """Returns the adversarial and feature matching loss, weighted so that its gradient is gan_weight times as large as that of the
        reconstruction loss (the adaptive weight of Esser et al. 2021)."""
        self.disc.requires_grad_(False)
        with bf16:
            logits, features = self.discriminate(y)
            with torch.no_grad():
                real = self.discriminate(x)[1]
        objective = -logits.mean() + 2 * sum((a.float() - b.float()).abs().mean() for a, b in zip(features, real))
        gradient_norm = lambda t: torch.autograd.grad(t, y, retain_graph=True)[0].norm()
        weight = (gradient_norm(rec) / (gradient_norm(objective) + 1e-6)).clamp(max=1e4).detach()
        self.disc.requires_grad_(True)
        ramp = min(1, (self.step - self.turn) / (0.1 * self.steps))
        return self.gan_weight * ramp * weight * objective

    def teach_discriminator(self, x, y, bf16):
        with bf16:
            hinge = 0.5 * (F.relu(1 - self.discriminate(x)[0]).mean() + F.relu(1 + self.discriminate(y)[0]).mean())
        self.disc_opt.zero_grad(set_to_none=True)
        hinge.backward()
        self.disc_opt.step()


def train(trainer, path, resume, save_every=400):
    """Trains to the last step and saves the state to `path` every `save_every` steps."""
    if resume and os.path.exists(path):
        trainer.load(torch.load(path, weights_only=True))
    start, first = time.time(), trainer.step
    while trainer.step < trainer.steps:
        log = trainer.update()
        if trainer.step % 50 == 0:
            pace = (time.time() - start) / (trainer.step - first)
            print(f'{trainer.step}/{trainer.steps} {pace:.2f} s per step ' + ' '.join(f'{k} {v:.4g}' for k, v in log.items()), flush=True)
        if trainer.step % save_every == 0 or trainer.step == trainer.steps:
            torch.save(trainer.state(), path + '.new')
            os.replace(path + '.new', path)
