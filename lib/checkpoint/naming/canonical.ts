/**
 * Canonical parameter names of the modules: the state dicts of diffusers' `UNet2DConditionModel`, `UNet2DModel`,
 * `AutoencoderKL` and `VQModel` (for Gumbel quantization with taming's `quantize.proj` and `quantize.embed`) and of
 * transformers' `CLIPTextModel` (with `text_model.`). Other tensors of a file are listed and ignored.
 */

const WEIGHT_OR_BIAS = '\\.(?:weight|bias)$';
const RESNET = 'norm[12]|conv[12]|conv_shortcut';
const ATTENTION = 'group_norm|to_q|to_k|to_v|to_out\\.0';
const TRANSFORMER =
  'norm|proj_in|proj_out|transformer_blocks\\.\\d+\\.(?:norm[123]|attn[12]\\.(?:to_q|to_k|to_v|to_out\\.0)|ff\\.net\\.(?:0\\.proj|2))';

const UNET = new RegExp(
  `^(?:conv_in|conv_norm_out|conv_out|(?:time|add|class)_embedding\\.linear_[12]|time_embedding\\.cond_proj|class_embedding|(?:(?:down|up)_blocks\\.\\d+|mid_block)\\.` +
    `(?:resnets\\.\\d+\\.(?:${RESNET}|time_emb_proj)|attentions\\.\\d+\\.(?:${TRANSFORMER}|${ATTENTION})|` +
    `(?:down|up)samplers\\.0\\.(?:conv|${RESNET}|time_emb_proj)))${WEIGHT_OR_BIAS}`,
);

const AUTOENCODER = new RegExp(
  `^(?:quantize\\.(?:embedding\\.weight$|embed\\.weight$|proj${WEIGHT_OR_BIAS})|(?:quant_conv|post_quant_conv|(?:en|de)coder\\.(?:conv_in|conv_norm_out|conv_out|(?:(?:down|up)_blocks\\.\\d+|mid_block)\\.` +
    `(?:resnets\\.\\d+\\.(?:${RESNET})|attentions\\.\\d+\\.(?:${ATTENTION})|(?:down|up)samplers\\.0\\.conv)))${WEIGHT_OR_BIAS})`,
);

const TEXT_ENCODER = new RegExp(
  `^(?:text_projection\\.weight$|text_model\\.(?:embeddings\\.(?:token|position)_embedding\\.weight$|` +
    `(?:final_layer_norm|encoder\\.layers\\.\\d+\\.(?:layer_norm[12]|self_attn\\.(?:[qkv]|out)_proj|mlp\\.fc[12]))${WEIGHT_OR_BIAS}))`,
);

export const isUNetParameter = (name: string): boolean => UNET.test(name);
export const isAutoencoderParameter = (name: string): boolean => AUTOENCODER.test(name);
export const isTextEncoderParameter = (name: string): boolean => TEXT_ENCODER.test(name);
