/** Reads diffusers' `AutoencoderTiny` config. Its layers are detected from the tensors, which the config must match. */
import { z } from 'zod';
import { SafelightError } from '../../../errors.js';
import type { TinyAutoencoderConfig } from '../types.js';
import { type ConfigFields, channels, checkConfig, requireFeatures } from '../validate.js';

const FEATURES = {
  _class_name: ['AutoencoderTiny'],
  act_fn: ['relu'],
  upsample_fn: ['nearest'],
  upsampling_scaling_factor: [2],
} as const;

const schema = z.lazy(() =>
  z.object({
    latent_channels: channels.default(4),
    scaling_factor: z.number().min(1e-6).max(1e6).default(1),
    shift_factor: z.number().min(-1e6).max(1e6).nullish(),
  }),
);

/** The fields of the config that the tensors do not determine. */
export type TinyAutoencoderFields = Pick<TinyAutoencoderConfig, 'scaling_factor' | 'shift_factor'> & {
  readonly latent_channels: number;
};

/** @throws INVALID_FILE for values of a wrong type or range, UNSUPPORTED_MODEL for unsupported features */
export function readTinyAutoencoderFields(fields: ConfigFields, path: string): TinyAutoencoderFields {
  requireFeatures(fields, FEATURES, path);
  const { latent_channels, scaling_factor, shift_factor } = checkConfig(schema, fields, path);
  return { latent_channels, scaling_factor, shift_factor: shift_factor ?? 0 };
}

/** @throws SHAPE_MISMATCH if the config was written for other weights */
export function checkLatentChannels(
  stated: TinyAutoencoderFields,
  { latent_channels: found }: TinyAutoencoderConfig,
  path: string,
): void {
  if (stated.latent_channels === found) return;
  throw new SafelightError(
    'SHAPE_MISMATCH',
    `${path}: latent_channels is ${stated.latent_channels}, but latents of the weights have ${found}; the config does not belong to these weights`,
  );
}
