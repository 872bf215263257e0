"""The measured modules as diffusers and transformers build them, with random weights: the U-Nets of SD 1.5 and SDXL, their decoder,
and the text encoder of SD 1.5."""

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

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

# CLIP ViT-L/14
TEXT = dict(
    hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072, vocab_size=49408,
    max_position_embeddings=77, hidden_act="quick_gelu", projection_dim=768,
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


class Text(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.text = CLIPTextModel(CLIPTextConfig(**TEXT))

    def forward(self, tokens):
        return self.text(input_ids=tokens).last_hidden_state


def build(module: str, family: str) -> torch.nn.Module:
    torch.manual_seed(0)
    built = UNet(family) if module == "unet" else Decoder() if module == "decoder" else Text()
    return built.eval().requires_grad_(False)


def inputs(module: str, family: str, side: int, batch: int) -> tuple[torch.Tensor, ...]:
    """Returns the inputs. `side` is the side length of the latent, an eighth of the image's; text encoders ignore it."""
    if module == "text":
        return (torch.randint(40_000, (batch, 77)),)
    latent = torch.randn(batch, 4, side, side)
    if module == "decoder":
        return (latent,)
    context = torch.randn(batch, 77, UNETS[family]["cross_attention_dim"])
    given = (latent, torch.full((batch,), 500.0), context)
    return given if family == "sd1" else (*given, torch.randn(batch, 1280), torch.ones(batch, 6))
