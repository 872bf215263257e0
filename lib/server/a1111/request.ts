/** From A1111's fields to a job. Options that an infotext brings come after those that fields say, and before A1111's defaults. */
import { randomInt } from 'node:crypto';
import { resizeModes } from '../../image/resize-mode.js';
import type { Json } from '../../jobs/json.js';
import type { JobRequest } from '../../jobs/types.js';
import { maskFields } from '../../options/declarations/mask.js';
import { textFields } from '../../options/declarations/text.js';
import { restoreOptions } from '../../options/infotext/restore.js';
import { choiceOf } from '../../options/infotext/values.js';
import { toJson } from '../../options/json.js';
import { replacedBySigmas } from '../../options/settings/sampling.js';
import type { SamplerInfo } from '../../sampling/samplers/index.js';
import { failure, notBuilt } from './failures.js';
import type { GenerationBody, Img2ImgBody, Txt2ImgBody } from './fields.js';
import { base64Of, isBlank } from './images.js';
import { checkedPrompt } from './prompts.js';
import { samplerNamed, scheduleNamed } from './samplers.js';
import { GRID, hiresOf, type Options, type ReadPrompt, secondSampler, unless } from './second-pass.js';
import { changed, type FindModel, type Settings } from './settings.js';
import { type Style, styled, stylesNamed } from './styles.js';

/** A request understood. */
export interface Asked {
  readonly job: JobRequest & { readonly options: Options };
  readonly sampler: SamplerInfo;
  /** With what the request overrides. */
  readonly settings: Settings;
  readonly batchSize: number;
  readonly batches: number;
}

/** What a request is read by. */
export interface Reading {
  /** Before what the request overrides. */
  readonly settings: Settings;
  readonly styles: readonly Style[];
  readonly find: FindModel;
}

/** @throws 400 for an unknown sampler, 422 naming the field */
export function textToImage(body: Txt2ImgBody, reading: Reading): Asked {
  const given = body.enable_hr ? hiresOf(body, reader(body, reading)) : undefined;
  const asked = generation('text-to-image', body, reading);
  const { strength, ...all } = asked.job.options;
  const options = without(all, [...OF_MASKS, 'posterior', 'resizeMode', 'initialNoiseMultiplier']);
  if (!body.enable_hr)
    return withOptions(asked, body.enable_hr === false ? without(options, ['hires']) : options);
  const hires = {
    ...(typeof options.hires === 'object' ? (options.hires as Options) : {}),
    ...given,
    strength: body.denoising_strength ?? strength ?? 0.75,
    ...secondSampler(body, asked.sampler, asked.settings),
  };
  return withOptions(asked, { ...options, hires });
}

/** @throws as `textToImage`, 404 without a picture, INVALID_IMAGE */
export async function imageToImage(body: Img2ImgBody, reading: Reading): Promise<Asked> {
  const [init, ...more] = body.init_images ?? [];
  if (init === undefined) throw failure(404, 'Init image not found: init_images needs a picture');
  if (base64Of(init) === '') throw failure(400, 'init_images[0] is empty: send an image in base64');
  if (more.length > 0)
    throw notBuilt(`init_images with ${more.length + 1} images`, 'give one, and batch_size or n_iter');
  const mask = body.mask || undefined;
  // With "only masked", which is A1111's default, a mask without anything in it is none.
  const isMasked =
    mask !== undefined &&
    !(await isBlank(mask, body.inpainting_mask_invert ?? false, body.mask_round ?? true));
  const asked = generation(isMasked ? 'inpaint' : 'image-to-image', body, reading);
  const options: Options = {
    ...asked.job.options,
    init: base64Of(init),
    strength: body.denoising_strength ?? asked.job.options.strength ?? 0.75,
    resizeMode: resizeModes[body.resize_mode ?? 0]!,
    initialNoiseMultiplier: body.initial_noise_multiplier ?? asked.settings.initial_noise_multiplier,
  };
  if (!isMasked) return withOptions(asked, without(options, [...OF_MASKS, 'hires']));
  const { mask_blur: both } = body;
  return withOptions(asked, {
    ...without(options, ['hires']),
    mask: base64Of(mask),
    maskBlur: [both ?? body.mask_blur_x ?? 4, both ?? body.mask_blur_y ?? 4],
    maskInvert: body.inpainting_mask_invert ?? false,
    maskRound: body.mask_round ?? true,
    fill: maskFields.fill.values[body.inpainting_fill ?? 0]!,
    onlyMasked: body.inpaint_full_res ?? true,
    padding: body.inpaint_full_res_padding ?? 0,
  });
}

/** Options that only inpainting has. */
const OF_MASKS = ['maskBlur', 'maskInvert', 'maskRound', 'fill', 'onlyMasked', 'padding'];

function without(options: Options, names: readonly string[]): Options {
  return Object.fromEntries(Object.entries(options).filter(([name]) => !names.includes(name)));
}

function withOptions(asked: Asked, options: Options): Asked {
  return { ...asked, job: { ...asked.job, options } };
}

function generation(type: JobRequest['type'], body: GenerationBody, reading: Reading): Asked {
  refuse(body);
  const settings = changed(
    reading.settings,
    body.override_settings ?? {},
    reading.find,
    'override_settings.',
  );
  const read = reader(body, reading);
  const restored = body.infotext ? toJson(restoreOptions(body.infotext).options) : {};
  const asked = samplingOf(body, restored, settings);
  if (!asked.keepsSigmas) delete restored.sigmas;
  const batchSize = body.batch_size ?? 1;
  const batches = body.n_iter ?? 1;
  const random = (seed: number | null | undefined, other: Json | undefined): number =>
    seed === undefined || seed === null
      ? typeof other === 'number'
        ? other
        : randomInt(2 ** 32 - 2)
      : seed === -1
        ? randomInt(2 ** 32 - 2)
        : seed;
  const onGrid = (side: number): number => Math.floor(side / GRID) * GRID;
  const options: Options = {
    ...restored,
    prompt: read('prompt', body.prompt ?? String(restored.prompt ?? '')),
    negative: read('negative_prompt', body.negative_prompt ?? String(restored.negative ?? '')),
    width: onGrid(body.width ?? Number(restored.width ?? 512)),
    height: onGrid(body.height ?? Number(restored.height ?? 512)),
    seed: random(body.seed, restored.seed),
    subseed: random(body.subseed, restored.subseed),
    ...fromBody({ subseedStrength: body.subseed_strength }),
    ...resizedFrom(body),
    count: batchSize * batches,
    batch: batchSize,
    ...asked.options,
    ...fromSettings(settings, restored),
  };
  const every = settings.live_previews_enable ? Math.max(1, settings.show_progress_every_n_steps) : 0;
  return {
    job: { type, client: 'a1111', previews: { every }, options },
    ...{ sampler: asked.sampler, settings, batchSize, batches },
  };
}

/** Prompts with the request's styles in them. */
function reader(body: GenerationBody, { styles }: Reading): ReadPrompt {
  const chosen = stylesNamed(styles, body.styles ?? []);
  return (field, prompt) => {
    const key = field.includes('negative') ? 'negative_prompt' : 'prompt';
    const texts = chosen.map((style) => style[key]);
    return checkedPrompt(field, styled(prompt, texts));
  };
}

/** Fields at values that mean nothing are fine; the rest is named. */
function refuse(body: GenerationBody): void {
  if (body.restore_faces) throw notBuilt('restore_faces', 'leave it out');
  if (body.tiling) throw notBuilt('tiling', 'leave it out');
  if (body.s_min_uncond) throw notBuilt('s_min_uncond', 'leave it at 0');
  const refiner = body.refiner_checkpoint ?? '';
  if (!['', 'none'].includes(refiner.toLowerCase()) && body.refiner_switch_at)
    throw notBuilt('refiner_checkpoint', 'leave it out');
  if (body.script_name && body.script_name !== 'None')
    throw failure(422, `Script '${body.script_name.slice(0, 100)}' not found: script_name must be left out`);
  const [script] = Object.keys(body.alwayson_scripts ?? {});
  if (script !== undefined)
    throw failure(
      422,
      `always on script ${script.slice(0, 100)} not found: alwayson_scripts must be left out`,
    );
}

/** Steps, sampler and what goes with them, as A1111 settles them. */
function samplingOf(body: GenerationBody, restored: Options, settings: Settings) {
  const name = body.sampler_name || (restored.sampler as string | undefined) || body.sampler_index || 'Euler';
  const { sampler, schedule: own } = samplerNamed('sampler_name', name);
  const asked = body.scheduler || own || (restored.schedule as string | undefined) || 'Automatic';
  // A sampler's name with a schedule in it ("DPM++ 2M Karras") says more than the field.
  const schedule = scheduleNamed('scheduler', own ?? asked, sampler);
  // Sigmas of an infotext are what a schedule of so many steps would give.
  const keepsSigmas =
    restored.sigmas !== undefined && !body.steps && !body.scheduler && !own && !sampler.ownsSchedule;
  const options: Options = {
    ...{ sampler: sampler.name, schedule },
    steps: body.steps ?? (restored.steps as number | undefined) ?? stepsOf(restored.sigmas) ?? 50,
    cfg: body.cfg_scale ?? (restored.cfg as number | undefined) ?? 7,
    discardPenultimate: sampler.discardsPenultimate || settings.always_discard_next_to_last_sigma,
    ...etaOf(body, restored, sampler, settings),
    ...unless(0, {
      sChurn: body.s_churn ?? restored.sChurn ?? settings.s_churn,
      sTmin: body.s_tmin ?? restored.sTmin ?? settings.s_tmin,
      sTmax: body.s_tmax ?? restored.sTmax ?? settings.s_tmax, // 0 is no limit there
      sigmaMin: settings.sigma_min,
      sigmaMax: settings.sigma_max,
      rho: settings.rho,
    }),
    ...unless(1, { sNoise: body.s_noise ?? restored.sNoise ?? settings.s_noise }),
  };
  if (keepsSigmas) for (const name of replacedBySigmas) delete options[name];
  return { sampler, options, keepsSigmas };
}

/** Steps of sigmas that a request leaves out. */
function stepsOf(sigmas: Json | undefined): number | undefined {
  return Array.isArray(sigmas) ? sigmas.filter((sigma) => Number(sigma) > 0).length : undefined;
}

/** A1111's settings know two etas: DDIM's, and that of all others that have one. */
function etaOf(body: GenerationBody, restored: Options, sampler: SamplerInfo, settings: Settings): Options {
  if (sampler.defaultEta === undefined) return {};
  const setting = { ddim: settings.eta_ddim, tcd: sampler.defaultEta }[sampler.name as string];
  const eta = body.eta ?? restored.eta ?? setting ?? settings.eta_ancestral;
  return unless(sampler.defaultEta, { eta });
}

function fromSettings(settings: Settings, restored: Options): Options {
  return {
    ...unless(0, { etaNoiseSeedDelta: settings.eta_noise_seed_delta }),
    ...unless(1, { clipSkip: settings.CLIP_stop_at_last_layers }),
    ...(settings.randn_source === 'CPU' ? {} : { rng: 'cuda' }),
    ...(settings.emphasis === 'Original'
      ? {}
      : { emphasis: choiceOf(textFields.emphasis, settings.emphasis) ?? restored.emphasis ?? 'original' }),
  };
}

function resizedFrom({ seed_resize_from_w: width, seed_resize_from_h: height }: GenerationBody): Options {
  return width && height && width > 0 && height > 0 ? { seedResizeFrom: { width, height } } : {};
}

function fromBody(options: Readonly<Record<string, Json | null | undefined>>): Options {
  return Object.fromEntries(
    Object.entries(options).flatMap(([name, value]) =>
      value === null || value === undefined ? [] : [[name, value] as const],
    ),
  );
}
