"""Writes test/fixtures/vq/losses: VQGAN's and latent diffusion's losses of an image, and the patch logits and
perceptual distance that they contain.

    venv/bin/pip install --no-deps taming-transformers-rom1504==0.0.6
    python test/reference/vq_losses.py

taming-transformers computes in f64, from weights as in vq_models.py; VGG16 is taming's but narrower.
"""

import taming_import  # noqa: F401  (first: it readies what taming imports)
import torch
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution

VGG = [8, 8, 16, 16, 24]  # channels of the five depths
DEPTHS = [2, 2, 3, 3, 3]  # convolutions of each


def narrow_vgg16(pretrained):
    layers, before = [], 3
    for channels, count in zip(VGG, DEPTHS):
        for _ in range(count):
            layers += [torch.nn.Conv2d(before, channels, 3, padding=1), torch.nn.ReLU()]
            before = channels
        layers.append(torch.nn.MaxPool2d(2, 2))
    return type("vgg16", (), {"features": layers})


models = type("models", (), {"vgg16": staticmethod(narrow_vgg16)})
taming_import.stub("torchvision", models=models)

from taming.models.vqgan import GumbelVQ, VQModel  # noqa: E402
from taming.modules.losses import lpips, vqperceptual  # noqa: E402

import vq_models  # noqa: E402
from vq_models import KL, SECTIONS, fill, image, keep  # noqa: E402


class LPIPS(lpips.LPIPS):
    def load_from_pretrained(self, name="vgg_lpips"):
        self.chns = VGG
        for depth, channels in enumerate(VGG):
            setattr(self, f"lin{depth}", lpips.NetLinLayer(channels, use_dropout=True))


vqperceptual.LPIPS = LPIPS
PICTURES = image(3, 2, 3, 24, 32)
TARGET = "taming.modules.losses.vqperceptual.VQLPIPSWithDiscriminator"


def ddconfig(**changes):
    return dict(double_z=False, z_channels=4, resolution=32, in_channels=3, out_ch=3, ch=32, ch_mult=[1, 1], num_res_blocks=1,
                attn_resolutions=[], dropout=0.0, **changes)  # fmt: skip


def numbers(log):
    return {name.split("/")[1]: value.mean().item() for name, value in log.items()}


def keep_parts(case, loss, x, reconstruction):
    keep(case, logits_real=loss.discriminator(x), logits_fake=loss.discriminator(reconstruction))
    keep(case, lpips=loss.perceptual_loss(x, reconstruction).flatten())


def vq(case, cls, steps, lossparams, **params):
    config = {"ddconfig": ddconfig(), "lossconfig": {"target": TARGET, "params": lossparams}, "n_embed": 24, "embed_dim": 4, **params}
    extra = {"temperature_scheduler_config": {"target": "builtins.dict"}} if cls is GumbelVQ else {}
    model = cls(**config, **extra).eval()
    rows = fill(case, model, 0.5)
    model.double()
    x = PICTURES
    h = model.quant_conv(model.encoder(x))
    if cls is GumbelVQ:  # the index of the largest logit, where training samples
        _, codebook_loss, _ = model.quantize(h)
        quantized = model.quantize.embed(model.quantize.proj(h).argmax(1)).permute(0, 3, 1, 2)
    else:
        quantized, codebook_loss, _ = model.quantize(h)
    reconstruction = model.decode(quantized)
    logs = []
    for step in steps:
        log = {"step": step}
        for optimizer in (0, 1):
            _, part = model.loss(codebook_loss, x, reconstruction, optimizer, step, last_layer=model.get_last_layer())
            log |= numbers(part)
        logs.append(log)
    keep_parts(case, model.loss, x, reconstruction)
    SECTIONS[case] = {"target": f"taming.models.vqgan.{cls.__name__}", "params": config, "rows": rows, "logs": logs}


def kl():
    """ldm.modules.losses.contperceptual.LPIPSWithDiscriminator, composed of taming's parts."""
    case = "kl"
    lossparams = dict(disc_start=50, kl_weight=1e-3, disc_weight=0.5, disc_ndf=8, disc_num_layers=2, perceptual_weight=0.75)
    dd = {**ddconfig(), "double_z": True}
    model = KL(dd, 4)
    model.loss = vqperceptual.VQLPIPSWithDiscriminator(**{k: v for k, v in lossparams.items() if k != "kl_weight"})
    model.loss.logvar = torch.nn.Parameter(torch.tensor(0.0))
    model.eval()
    rows = fill(case, model, 1)
    model.double()
    x = PICTURES
    posterior = DiagonalGaussianDistribution(model.quant_conv(model.encoder(x)))
    reconstruction = model.decoder(model.post_quant_conv(posterior.mode()))
    logvar = model.loss.logvar
    p_loss = model.loss.perceptual_loss(x, reconstruction)
    rec_loss = (x - reconstruction).abs() + lossparams["perceptual_weight"] * p_loss
    nll_loss = (rec_loss / logvar.exp() + logvar).sum() / len(x)
    kl_loss = posterior.kl().sum() / len(x)
    real, fake = model.loss.discriminator(x), model.loss.discriminator(reconstruction)
    total = nll_loss + lossparams["kl_weight"] * kl_loss
    log = {"step": 50, "total_loss": total.item(), "nll_loss": nll_loss.item(), "rec_loss": rec_loss.mean().item(),
           "kl_loss": kl_loss.item(), "p_loss": p_loss.mean().item(), "g_loss": -fake.mean().item(), "disc_factor": 1.0,
           "disc_loss": vqperceptual.hinge_d_loss(real, fake).item(), "logits_real": real.mean().item(),
           "logits_fake": fake.mean().item()}  # fmt: skip
    keep_parts(case, model.loss, x, reconstruction)
    SECTIONS[case] = {"target": "ldm.models.autoencoder.AutoencoderKL", "rows": rows, "logs": [log], "logvar": logvar.item(),
                      "params": {"ddconfig": dd, "embed_dim": 4, "lossconfig": {
                          "target": "ldm.modules.losses.contperceptual.LPIPSWithDiscriminator", "params": lossparams}}}  # fmt: skip


if __name__ == "__main__":
    vq("hinge", VQModel, [0], dict(disc_start=0, disc_ndf=8, disc_num_layers=2, codebook_weight=0.5, perceptual_weight=1.0))
    vq("vanilla", VQModel, [99, 100], dict(disc_start=100, disc_factor=0.5, disc_ndf=8, disc_num_layers=3, use_actnorm=True,
                                           disc_loss="vanilla", perceptual_weight=0.25))  # fmt: skip
    vq("gumbel", GumbelVQ, [0], dict(disc_start=0, disc_ndf=8, disc_num_layers=1, perceptual_weight=0), kl_weight=0.125)
    kl()
    keep("pictures", image=PICTURES)
    vq_models.write("losses")
