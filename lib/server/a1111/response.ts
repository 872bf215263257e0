/** Responses of A1111's generation routes: images and `info`. */
import { readFile } from 'node:fs/promises';
import { parseParameters } from '../../image/parameters.js';
import type { Json } from '../../jobs/json.js';
import type { Job, JobQueue } from '../../jobs/types.js';
import { timestampOf } from './activity.js';
import type { GenerationBody } from './fields.js';
import type { ParsedRequest } from './request.js';

/** Fields of the generation parameters that `info` contains outside of `extra_generation_params`. */
const SEPARATE_FIELDS = new Set([
  ...['Steps', 'Sampler', 'CFG scale', 'Seed', 'Size', 'Model', 'Clip skip', 'Version'],
  ...['Variation seed', 'Variation seed strength', 'Seed resize from'],
]);

/** Returns the images in base64; none if the request sets `send_images` to false. */
export async function imagesOf(job: Job, queue: JobQueue, body: GenerationBody): Promise<string[]> {
  if (body.send_images === false) return [];
  return Promise.all(
    job.images.map(async ({ name }) => {
      const file = await queue.file(job.id, name);
      return (await readFile(file?.path ?? '')).toString('base64');
    }),
  );
}

/** Returns `info`, the JSON text of A1111's `Processed` object. */
export function infoOf(
  job: Job,
  body: GenerationBody,
  { job: { options }, sampler, batchSize }: ParsedRequest,
): string {
  const { images } = job;
  const texts = images.map(({ parameters }) => parameters);
  const read = texts.map(parseParameters);
  const strength = Number(options.subseedStrength ?? 0);
  const [seed, subseed] = [Number(job.options.seed), Number(job.options.subseed ?? options.subseed)];
  const seeds = images.map((image) => image.seed ?? seed);
  // Subseeds are incremented per image even if they are not used.
  const subseeds = read.map(({ fields }, i) =>
    Number(fields['Variation seed'] ?? subseed + (strength === 0 ? (seeds[i] ?? seed) - seed : i)),
  );
  const prompts = images.map(() => String(options.prompt));
  const negatives = images.map(() => String(options.negative));
  const extra = Object.entries(read[0]?.fields ?? {}).filter(([name]) => !SEPARATE_FIELDS.has(name));
  const [first] = images;
  const info: Record<string, Json> = {
    ...{ prompt: String(options.prompt), all_prompts: prompts },
    ...{ negative_prompt: String(options.negative), all_negative_prompts: negatives },
    ...{ seed: seeds[0] ?? seed, all_seeds: seeds, subseed: subseeds[0] ?? subseed, all_subseeds: subseeds },
    subseed_strength: strength,
    width: Number(options.width ?? first?.width ?? 0),
    height: Number(options.height ?? first?.height ?? 0),
    ...{ sampler_name: sampler.label, cfg_scale: Number(options.cfg), steps: Number(options.steps) },
    batch_size: batchSize,
    ...{ restore_faces: false, face_restoration_model: null },
    ...{ sd_model_name: job.model, sd_model_hash: null, sd_vae_name: null, sd_vae_hash: null },
    seed_resize_from_w: body.seed_resize_from_w ?? -1,
    seed_resize_from_h: body.seed_resize_from_h ?? -1,
    denoising_strength: body.denoising_strength ?? (options.strength as number | undefined) ?? null,
    extra_generation_params: Object.fromEntries(extra),
    index_of_first_image: 0,
    infotexts: texts,
    styles: body.styles ?? [],
    job_timestamp: timestampOf(new Date(job.created)),
    clip_skip: Number(options.clipSkip ?? 1),
    is_using_inpainting_conditioning: false,
    version: read[0]?.fields.Version ?? null,
  };
  return JSON.stringify(info);
}
