import { Tensor } from '../tensor/tensor.js';
import type { UNet } from './unet.js';

/**
 * Detects the prediction type of an SD2 U-Net by running it once on a constant latent of 0.5 at timestep 999: if the
 * mean of its output is more than 1 below the latent, it predicts v, otherwise noise (the test of A1111).
 */
export async function probePrediction(unet: UNet, signal?: AbortSignal): Promise<'eps' | 'v'> {
  const { in_channels, cross_attention_dim, time_cond_proj_dim } = unet.config;
  const constant = (shape: number[]): Tensor => {
    const tensor = Tensor.zeros(shape);
    tensor.data.fill(0.5);
    return tensor;
  };
  const { sample } = await unet.forward(
    {
      sample: constant([1, in_channels, 8, 8]),
      timestep: Tensor.from(Float32Array.of(999), [1]),
      context: constant([1, 2, cross_attention_dim]),
      ...(time_cond_proj_dim ? { guidance: Tensor.from(Float32Array.of(1), [1]) } : {}),
    },
    { signal },
  );
  const mean = sample.data.reduce((sum, value) => sum + (value - 0.5), 0) / sample.size;
  return mean < -1 ? 'v' : 'eps';
}
