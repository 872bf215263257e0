"""Converts the weights of diffusers' UNet2DModel to CompVis' names, for a single-file latent diffusion checkpoint."""
import torch

RESNET = {
    'norm1': 'in_layers.0',
    'conv1': 'in_layers.2',
    'time_emb_proj': 'emb_layers.1',
    'norm2': 'out_layers.0',
    'conv2': 'out_layers.3',
    'conv_shortcut': 'skip_connection',
}
WHOLE = {
    'conv_in': 'input_blocks.0.0',
    'time_embedding.linear_1': 'time_embed.0',
    'time_embedding.linear_2': 'time_embed.2',
    'conv_norm_out': 'out.0',
    'conv_out': 'out.2',
}


def prefixes(levels, layers):
    """Yields (diffusers' prefix, CompVis' prefix) of all blocks. The last block of each level except the last level also resamples."""
    n = 1
    for i in range(levels):
        for j in range(layers):
            yield from ((f'down_blocks.{i}.{what}.{j}', f'input_blocks.{n}.{k}') for k, what in enumerate(('resnets', 'attentions')))
            n += 1
        if i < levels - 1:
            yield f'down_blocks.{i}.downsamplers.0.conv', f'input_blocks.{n}.0.op'
            n += 1
    for what, k in (('resnets.0', 0), ('attentions.0', 1), ('resnets.1', 2)):
        yield f'mid_block.{what}', f'middle_block.{k}'
    for i in range(levels):
        for j in range(layers + 1):
            n = i * (layers + 1) + j
            yield from ((f'up_blocks.{i}.{what}.{j}', f'output_blocks.{n}.{k}') for k, what in enumerate(('resnets', 'attentions')))
        yield f'up_blocks.{i}.upsamplers.0.conv', f'output_blocks.{n}.{{last}}.conv'


def attention(state, source, target, head_channels):
    """Merges q, k and v into one 1x1 convolution whose output channels are ordered by head, then by q, k and v."""
    parts = {}
    for kind in ('weight', 'bias'):
        qkv = torch.stack([state[f'{source}.to_{x}.{kind}'] for x in 'qkv'])  # [3, C, ...]
        heads = qkv.unflatten(1, (-1, head_channels)).transpose(0, 1)  # [heads, 3, head_channels, ...]
        parts[f'{target}.qkv.{kind}'] = heads.flatten(0, 2)[..., None] if kind == 'weight' else heads.flatten()
        parts[f'{target}.norm.{kind}'] = state[f'{source}.group_norm.{kind}']
        out = state[f'{source}.to_out.0.{kind}']
        parts[f'{target}.proj_out.{kind}'] = out[..., None] if kind == 'weight' else out
    return parts


def renamed(state, levels, layers, head_channels):
    """Returns the weights of a UNet2DModel as `model.diffusion_model.*`."""
    found = {}
    for source, target in [*WHOLE.items(), *prefixes(levels, layers)]:
        if f'{source}.to_q.weight' in state:
            found |= attention(state, source, target, head_channels)
            continue
        if '{last}' in target:  # after the attention if the block has one
            block = target.split('.{last}')[0]
            target = target.format(last=2 if f'{block}.1.qkv.weight' in found else 1)
        inner = RESNET if 'resnets' in source else {'': ''}
        for a, b in inner.items():
            for kind in ('weight', 'bias'):
                name = '.'.join(x for x in (source, a, kind) if x)
                if name in state:
                    found['.'.join(x for x in (target, b, kind) if x)] = state[name]
    taken, given = sum(t.numel() for t in found.values()), sum(t.numel() for t in state.values())
    assert taken == given, (taken, given)
    return {f'model.diffusion_model.{name}': tensor.contiguous() for name, tensor in found.items()}
