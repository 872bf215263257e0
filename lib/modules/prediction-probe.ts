import { Tensor } from '../tensor/tensor.js';
import type { UNet } from './unet.js';

/**
 * What a U-Net of SD2's shape predicts, told by running it once: for v, the mean of its answer to a flat latent of 0.5 at the last step
 * lies far below the latent; for noise it does not (the test that A1111 makes).
 */
export async function probePrediction(unet: UNet, signal?: AbortSignal): Promise<'eps' | 'v'> {
  const { in_channels, cross_attention_dim } = unet.config;
  const flat = (shape: number[]): Tensor => {
    const tensor = Tensor.zeros(shape);
    tensor.data.fill(0.5);
    return tensor;
  };
  const { sample } = await unet.forward(
    {
      sample: flat([1, in_channels, 8, 8]),
      timestep: Tensor.from(Float32Array.of(999), [1]),
      context: flat([1, 2, cross_attention_dim]),
    },
    { signal },
  );
  const mean = sample.data.reduce((sum, value) => sum + (value - 0.5), 0) / sample.size;
  return mean < -1 ? 'v' : 'eps';
}
