"""The measured modules as diffusers builds them, with random weights: the U-Nets of SD 1.5 and SDXL and their decoder."""

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel

UNETS = {
    "sd1": dict(
        sample_size=64, cross_attention_dim=768, attention_head_dim=8, block_out_channels=(320, 640, 1280, 1280),
    ),
    "sdxl": dict(
        sample_size=128, cross_attention_dim=2048, attention_head_dim=(5, 10, 20), block_out_channels=(320, 640, 1280),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=(1, 2, 10), use_linear_projection=True,
        addition_embed_type="text_time", addition_time_embed_dim=256, projection_class_embeddings_input_dim=2816,
    ),
}  # fmt: skip

DECODER = dict(
    block_out_channels=(128, 256, 512, 512), layers_per_block=2, latent_channels=4,
    down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
)  # fmt: skip


class UNet(torch.nn.Module):
    """One evaluation with plain tensors as inputs, as torch.export requires."""

    def __init__(self, family: str):
        super().__init__()
        self.unet = UNet2DConditionModel(**UNETS[family])

    def forward(self, sample, timestep, context, text_embeds=None, time_ids=None):
        added = None if text_embeds is None else {"text_embeds": text_embeds, "time_ids": time_ids}
        return self.unet(sample, timestep, context, added_cond_kwargs=added, return_dict=False)[0]


class Decoder(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.vae = AutoencoderKL(**DECODER)
        del self.vae.encoder

    def forward(self, latent):
        return self.vae.decode(latent, return_dict=False)[0]


def build(module: str, family: str) -> torch.nn.Module:
    torch.manual_seed(0)
    return (UNet(family) if module == "unet" else Decoder()).eval().requires_grad_(False)


def inputs(module: str, family: str, side: int, batch: int) -> tuple[torch.Tensor, ...]:
    """Returns the inputs. `side` is the side length of the latent, an eighth of the image's."""
    latent = torch.randn(batch, 4, side, side)
    if module == "decoder":
        return (latent,)
    context = torch.randn(batch, 77, UNETS[family]["cross_attention_dim"])
    given = (latent, torch.full((batch,), 500.0), context)
    return given if family == "sd1" else (*given, torch.randn(batch, 1280), torch.ones(batch, 6))
