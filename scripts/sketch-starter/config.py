"""Configs of the three networks, with taming's field names, and training settings."""

SIDE = 96  # side length of an image in pixels; it has 12 x 12 codes
LAYERS = dict(double_z=False, resolution=SIDE, ch=32, num_res_blocks=1, dropout=0.0)
PICTURES = {
    'model': dict(
        embed_dim=32, n_embed=1024,
        ddconfig=dict(LAYERS, z_channels=32, in_channels=3, out_ch=3, ch_mult=[1, 1, 2, 2], attn_resolutions=[12]),
    ),
    'discriminator': dict(in_channels=3, ndf=32, n_layers=2),
}  # fmt: skip
DRAWINGS = {
    'model': dict(
        embed_dim=16, n_embed=256,
        ddconfig=dict(LAYERS, z_channels=16, in_channels=1, out_ch=1, ch_mult=[1, 1, 1, 1], attn_resolutions=[]),
    ),
    'discriminator': dict(in_channels=1, ndf=16, n_layers=2),
}  # fmt: skip
TRANSFORMER = dict(vocab_size=1024, block_size=288, n_layer=4, n_head=6, n_embd=192)

CROPS = {'pictures': dict(batch=4, side=96, seed=1), 'drawings': dict(batch=4, side=64, seed=2)}
RATES = {'pictures': dict(rate=1.0e-3, gan=0.2), 'drawings': dict(rate=1.5e-3, gan=0)}  # no GAN loss for drawings, because they are never decoded for users
VARIANTS = 6  # variants per image, with different positions and sizes
DRAW = {'topP': 0.9, 'temperature': 0.75}  # conservative sampling, because the model is small
