"""The autoencoder, discriminator and transformer of a VQGAN, with the structure and weight names of taming-transformers.

An autoencoder is Encoder -> quant_conv -> codebook -> post_quant_conv -> Decoder; each norm has 32 groups, so channel counts are multiples of 32.
Feature maps are [B, C, H, W]; codes are [B, H/f, W/f].
"""
import math

import torch
import torch.nn as nn
import torch.nn.functional as F


def norm(channels):
    return nn.GroupNorm(32, channels, eps=1e-6)


class ResnetBlock(nn.Module):
    def __init__(self, channels, out):
        super().__init__()
        self.norm1, self.conv1 = norm(channels), nn.Conv2d(channels, out, 3, padding=1)
        self.norm2, self.conv2 = norm(out), nn.Conv2d(out, out, 3, padding=1)
        self.nin_shortcut = nn.Conv2d(channels, out, 1) if channels != out else nn.Identity()

    def forward(self, x):
        h = self.conv1(F.silu(self.norm1(x)))
        return self.nin_shortcut(x) + self.conv2(F.silu(self.norm2(h)))


class AttnBlock(nn.Module):
    """Single-head self-attention over all positions of a feature map."""

    def __init__(self, channels):
        super().__init__()
        self.norm = norm(channels)
        self.q, self.k, self.v, self.proj_out = (nn.Conv2d(channels, channels, 1) for _ in range(4))

    def forward(self, x):
        h = self.norm(x)
        rows = lambda t: t.flatten(2).transpose(1, 2)
        y = F.scaled_dot_product_attention(rows(self.q(h)), rows(self.k(h)), rows(self.v(h)))
        return x + self.proj_out(y.transpose(1, 2).reshape(x.shape))


class Downsample(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x):
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Upsample(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x):
        return self.conv(F.interpolate(x, scale_factor=2.0, mode='nearest'))


class Level(nn.Module):
    """Blocks of one resolution, each followed by attention if the config requires it, and the resampling to the next resolution."""

    def __init__(self, blocks, attends, resample):
        super().__init__()
        self.block = nn.ModuleList(ResnetBlock(a, b) for a, b in blocks)
        self.attn = nn.ModuleList(AttnBlock(b) for _, b in blocks if attends)
        for name, module in resample.items():
            self.add_module(name, module)

    def forward(self, x):
        for i, block in enumerate(self.block):
            x = block(x)
            if len(self.attn):
                x = self.attn[i](x)
        for name in ('downsample', 'upsample'):
            x = getattr(self, name)(x) if hasattr(self, name) else x
        return x


class Middle(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.block_1, self.attn_1, self.block_2 = ResnetBlock(channels, channels), AttnBlock(channels), ResnetBlock(channels, channels)

    def forward(self, x):
        return self.block_2(self.attn_1(self.block_1(x)))


class Encoder(nn.Module):
    def __init__(self, ch, ch_mult, num_res_blocks, attn_resolutions, in_channels, resolution, z_channels, **_):
        super().__init__()
        self.conv_in, width, levels = nn.Conv2d(in_channels, ch, 3, padding=1), ch, []
        for i, mult in enumerate(ch_mult):
            blocks = [(width if b == 0 else ch * mult, ch * mult) for b in range(num_res_blocks)]
            width, last = ch * mult, i == len(ch_mult) - 1
            levels.append(Level(blocks, resolution >> i in attn_resolutions, {} if last else {'downsample': Downsample(width)}))
        self.down, self.mid = nn.ModuleList(levels), Middle(width)
        self.norm_out, self.conv_out = norm(width), nn.Conv2d(width, z_channels, 3, padding=1)

    def forward(self, x):
        x = self.conv_in(x)
        for level in self.down:
            x = level(x)
        return self.conv_out(F.silu(self.norm_out(self.mid(x))))


class Decoder(nn.Module):
    def __init__(self, ch, ch_mult, num_res_blocks, attn_resolutions, out_ch, resolution, z_channels, **_):
        super().__init__()
        width = ch * ch_mult[-1]
        self.conv_in, self.mid, levels = nn.Conv2d(z_channels, width, 3, padding=1), Middle(width), {}
        for i in reversed(range(len(ch_mult))):
            blocks = [(width if b == 0 else ch * ch_mult[i], ch * ch_mult[i]) for b in range(num_res_blocks + 1)]
            width = ch * ch_mult[i]
            levels[i] = Level(blocks, resolution >> i in attn_resolutions, {'upsample': Upsample(width)} if i else {})
        self.up = nn.ModuleList(levels[i] for i in range(len(ch_mult)))
        self.norm_out, self.conv_out = norm(width), nn.Conv2d(width, out_ch, 3, padding=1)

    def forward(self, z):
        x = self.mid(self.conv_in(z))
        for level in reversed(self.up):
            x = level(x)
        return self.conv_out(F.silu(self.norm_out(x)))


class Codebook(nn.Module):
    def __init__(self, n_embed, embed_dim):
        super().__init__()
        self.embedding = nn.Embedding(n_embed, embed_dim)
        self.embedding.weight.requires_grad_(False)  # updated by running averages (codebook.py), not by gradients

    def nearest(self, rows):
        """Returns the index of the nearest code [N] and its squared distance [N] for rows [N, D]."""
        e = self.embedding.weight
        best = (e.pow(2).sum(1) - 2 * rows.float() @ e.T).min(1)
        return best.indices, best.values + rows.float().pow(2).sum(1)


class VQModel(nn.Module):
    def __init__(self, ddconfig, n_embed, embed_dim):
        super().__init__()
        z = ddconfig['z_channels']
        self.encoder, self.decoder, self.quantize = Encoder(**ddconfig), Decoder(**ddconfig), Codebook(n_embed, embed_dim)
        self.quant_conv, self.post_quant_conv = nn.Conv2d(z, embed_dim, 1), nn.Conv2d(embed_dim, z, 1)

    def latent(self, x):
        return self.quant_conv(self.encoder(x)).float()

    def codes(self, x):
        z = self.latent(x)
        return self.quantize.nearest(z.movedim(1, 3).reshape(-1, z.shape[1]))[0].view(len(x), *z.shape[2:])

    def decode(self, z):
        return self.decoder(self.post_quant_conv(z)).float()

    def decode_codes(self, codes):
        return self.decode(self.quantize.embedding(codes).movedim(3, 1))


class Discriminator(nn.Module):
    """pix2pix's NLayerDiscriminator, with one logit per patch. forward returns the logits and the features after each activation."""

    def __init__(self, in_channels, ndf, n_layers):
        super().__init__()
        layers, width = [nn.Conv2d(in_channels, ndf, 4, 2, 1), nn.LeakyReLU(0.2)], ndf
        for n in range(1, n_layers + 1):
            wider = ndf * min(2**n, 8)
            layers += [nn.Conv2d(width, wider, 4, 2 if n < n_layers else 1, 1, bias=False), nn.BatchNorm2d(wider), nn.LeakyReLU(0.2)]
            width = wider
        self.main = nn.Sequential(*layers, nn.Conv2d(width, 1, 4, 1, 1))

    def forward(self, x):
        features = []
        for layer in self.main:
            x = layer(x)
            if isinstance(layer, nn.LeakyReLU):
                features.append(x)
        return x.float(), features


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.key, self.query, self.value, self.proj = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x):
        q, k, v = (layer(x).unflatten(2, (self.heads, -1)).transpose(1, 2) for layer in (self.query, self.key, self.value))
        return self.proj(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2))


class Block(nn.Module):
    def __init__(self, width, heads, dropout):
        super().__init__()
        self.ln1, self.ln2, self.attn, self.drop = nn.LayerNorm(width), nn.LayerNorm(width), Attention(width, heads), nn.Dropout(dropout)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x):
        x = x + self.drop(self.attn(self.ln1(x)))
        return x + self.drop(self.mlp(self.ln2(x)))


class GPT(nn.Module):
    """minGPT as in taming, with learned position embeddings and a head without bias."""

    def __init__(self, vocab_size, block_size, n_layer, n_head, n_embd, dropout=0.0):
        super().__init__()
        self.tok_emb, self.pos_emb = nn.Embedding(vocab_size, n_embd), nn.Parameter(torch.zeros(1, block_size, n_embd))
        self.blocks = nn.Sequential(*(Block(n_embd, n_head, dropout) for _ in range(n_layer)))
        self.ln_f, self.head = nn.LayerNorm(n_embd), nn.Linear(n_embd, vocab_size, bias=False)
        nn.init.normal_(self.pos_emb, std=0.02)
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Embedding)):
                nn.init.normal_(module.weight, std=0.02)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)
        for block in self.blocks:  # small initial residual branches, as in GPT-2
            for layer in (block.attn.proj, block.mlp[2]):
                nn.init.normal_(layer.weight, std=0.02 / math.sqrt(2 * n_layer))

    def forward(self, tokens, since=0):
        """Returns logits [B, T - since, vocabulary] for tokens [B, T]."""
        x = self.blocks(self.tok_emb(tokens) + self.pos_emb[:, : tokens.shape[1]])
        return self.head(self.ln_f(x[:, since:])).float()
