import { join } from 'node:path';
import type { ReferenceComponent, ReferenceFamily } from './reference-names.js';
import { type FakeTensor, writeJson, writeSparse } from './sparse-files.js';

/** Returns a component's tensors under their canonical names. */
export function canonical({ rows }: ReferenceComponent, dtype = 'F16'): Record<string, FakeTensor> {
  return Object.fromEntries(rows.map(([name, shape]) => [name, { dtype, shape }]));
}

/** Returns the tensors with changed names. */
export function renamed(
  tensors: Record<string, FakeTensor>,
  rename: (name: string) => string,
): Record<string, FakeTensor> {
  return Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [rename(name), tensor]));
}

/** Writes a diffusers folder of the family, with sparse weights and without a tokenizer. */
export async function writeFolder(path: string, family: ReferenceFamily, dtype = 'F16'): Promise<string> {
  const names =
    family.text_encoders.length > 1 || family.unet.config.addition_embed_type
      ? ['text_encoder', 'text_encoder_2']
      : ['text_encoder'];
  const encoders = new Map(
    family.text_encoders.map((encoder, i) => [
      names[names.length - family.text_encoders.length + i]!,
      encoder,
    ]),
  );
  await writeJson(join(path, 'model_index.json'), {
    _class_name: 'StableDiffusionPipeline',
    unet: ['diffusers', 'UNet2DConditionModel'],
    vae: ['diffusers', 'AutoencoderKL'],
    safety_checker: [null, null],
    ...Object.fromEntries(
      names.map((name) => [name, encoders.has(name) ? ['transformers', 'CLIPTextModel'] : [null, null]]),
    ),
  });
  await writeJson(join(path, 'scheduler', 'scheduler_config.json'), {
    _class_name: 'PNDMScheduler',
    beta_schedule: 'scaled_linear',
    beta_start: 0.00085,
    beta_end: 0.012,
  });
  await writeComponent(
    join(path, 'unet'),
    { _class_name: 'UNet2DConditionModel', ...family.unet.config },
    canonical(family.unet, dtype),
  );
  await writeComponent(
    join(path, 'vae'),
    { _class_name: 'AutoencoderKL', ...family.vae.config },
    canonical(family.vae, dtype),
  );
  for (const [name, encoder] of encoders) {
    const config = { model_type: 'clip_text_model', ...encoder.config };
    await writeComponent(join(path, name), config, canonical(encoder, dtype), 'model.safetensors');
  }
  return path;
}

export async function writeComponent(
  folder: string,
  config: object,
  tensors: Record<string, FakeTensor>,
  file = 'diffusion_pytorch_model.safetensors',
): Promise<string> {
  await writeJson(join(folder, 'config.json'), config);
  await writeSparse(join(folder, file), tensors);
  return folder;
}
