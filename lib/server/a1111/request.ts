/**
 * Converts A1111's requests to jobs. Fields take precedence over the options of `infotext`, which take precedence
 * over A1111's defaults.
 */
import { randomInt } from 'node:crypto';
import { withoutComments } from '../../conditioning/comments.js';
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
import { failure, notSupported } from './failures.js';
import type { GenerationBody, Img2ImgBody, Txt2ImgBody } from './fields.js';
import { base64Of, isBlank } from './images.js';
import { withDefaultLora } from './prompts.js';
import { samplerNamed, scheduleNamed } from './samplers.js';
import {
  GRID,
  hiresOf,
  type NamedUpscaler,
  type Options,
  type ReadPrompt,
  secondSampler,
  unless,
} from './second-pass.js';
import { applyChanges, type FindModel, type Settings } from './settings.js';
import { type Style, styled, stylesNamed } from './styles.js';

/** A parsed request. */
export interface ParsedRequest {
  readonly job: JobRequest & { readonly options: Options };
  readonly sampler: SamplerInfo;
  /** Settings including the request's overrides. */
  readonly settings: Settings;
  readonly batchSize: number;
  readonly batches: number;
}

/** Data needed to parse a request. */
export interface ParserContext {
  /** Settings before the request's overrides. */
  readonly settings: Settings;
  readonly styles: readonly Style[];
  readonly find: FindModel;
  /** Upscaler models that the second pass can use. */
  readonly upscalers: readonly NamedUpscaler[];
}

/** Parses a txt2img request. @throws 400 for an unknown sampler, 422 with the name of the field */
export function textToImage(body: Txt2ImgBody, context: ParserContext): ParsedRequest {
  const second = body.enable_hr ? hiresOf(body, promptReader(body, context), context.upscalers) : undefined;
  const parsed = generation('text-to-image', body, context);
  const { strength, ...all } = parsed.job.options;
  const options = without(all, [...MASK_OPTIONS, 'posterior', 'resizeMode', 'initialNoiseMultiplier']);
  if (!body.enable_hr)
    return withOptions(parsed, body.enable_hr === false ? without(options, ['hires']) : options);
  const hires = {
    ...(typeof options.hires === 'object' ? (options.hires as Options) : {}),
    ...second,
    strength: body.denoising_strength ?? strength ?? 0.75,
    ...secondSampler(body, parsed.sampler, parsed.settings),
  };
  return withOptions(parsed, { ...options, hires });
}

/** Parses an img2img request. @throws errors of `textToImage`, 404 without an image, INVALID_IMAGE */
export async function imageToImage(body: Img2ImgBody, context: ParserContext): Promise<ParsedRequest> {
  const [init, ...more] = body.init_images ?? [];
  if (init === undefined) throw failure(404, 'Init image not found: init_images requires an image');
  if (base64Of(init) === '') throw failure(400, 'init_images[0] is empty: send an image in base64');
  if (more.length > 0)
    throw notSupported(
      `init_images with ${more.length + 1} images`,
      'send one image, and set batch_size or n_iter',
    );
  const mask = body.mask || undefined;
  // With "only masked", A1111's default, a blank mask is treated as no mask.
  const isMasked =
    mask !== undefined &&
    !(await isBlank(mask, body.inpainting_mask_invert ?? false, body.mask_round ?? true));
  const parsed = generation(isMasked ? 'inpaint' : 'image-to-image', body, context);
  const options: Options = {
    ...parsed.job.options,
    init: base64Of(init),
    strength: body.denoising_strength ?? parsed.job.options.strength ?? 0.75,
    resizeMode: resizeModes[body.resize_mode ?? 0]!,
    initialNoiseMultiplier: body.initial_noise_multiplier ?? parsed.settings.initial_noise_multiplier,
  };
  if (!isMasked) return withOptions(parsed, without(options, [...MASK_OPTIONS, 'hires']));
  const { mask_blur: blur } = body;
  return withOptions(parsed, {
    ...without(options, ['hires']),
    mask: base64Of(mask),
    maskBlur: [blur ?? body.mask_blur_x ?? 4, blur ?? body.mask_blur_y ?? 4],
    maskInvert: body.inpainting_mask_invert ?? false,
    maskRound: body.mask_round ?? true,
    fill: maskFields.fill.values[body.inpainting_fill ?? 0]!,
    onlyMasked: body.inpaint_full_res ?? true,
    padding: body.inpaint_full_res_padding ?? 0,
  });
}

/** Options that apply only to inpainting. */
const MASK_OPTIONS = ['maskBlur', 'maskInvert', 'maskRound', 'fill', 'onlyMasked', 'padding'];

function without(options: Options, names: readonly string[]): Options {
  return Object.fromEntries(Object.entries(options).filter(([name]) => !names.includes(name)));
}

function withOptions(parsed: ParsedRequest, options: Options): ParsedRequest {
  return { ...parsed, job: { ...parsed.job, options } };
}

function generation(type: JobRequest['type'], body: GenerationBody, context: ParserContext): ParsedRequest {
  rejectUnsupported(body);
  const settings = settingsOf(body, context);
  const read = promptReader(body, context);
  const restored = body.infotext
    ? toJson(restoreOptions(body.infotext, { upscalers: context.upscalers }).options)
    : {};
  const sampling = samplingOf(body, restored, settings);
  if (!sampling.keepsSigmas) delete restored.sigmas;
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
    ...definedOnly({ subseedStrength: body.subseed_strength }),
    ...resizedFrom(body),
    // As in A1111, an unknown LoRA is ignored.
    missingAdapters: 'warn',
    count: batchSize * batches,
    batch: batchSize,
    ...sampling.options,
    ...fromSettings(settings, restored),
    ...changesOf(type, body, restored, settings),
  };
  const every = settings.live_previews_enable ? Math.max(1, settings.show_progress_every_n_steps) : 0;
  return {
    job: { type, client: 'a1111', previews: { every }, options },
    ...{ sampler: sampling.sampler, settings, batchSize, batches },
  };
}

/** Returns the settings with the request's overrides. @throws 422 */
function settingsOf(body: GenerationBody, { settings, find }: ParserContext): Settings {
  return applyChanges(settings, body.override_settings ?? {}, find, 'override_settings.');
}

/** Returns a function that applies the request's styles and `sd_lora` to a prompt and removes its comments. */
function promptReader(body: GenerationBody, context: ParserContext): ReadPrompt {
  const chosen = stylesNamed(context.styles, body.styles ?? []);
  const settings = settingsOf(body, context);
  return (field, prompt) => {
    const isNegative = field.includes('negative');
    const texts = chosen.map((style) => style[isNegative ? 'negative_prompt' : 'prompt']);
    const text = withoutComments(styled(prompt, texts));
    return isNegative ? text : withDefaultLora(text, settings);
  };
}

/** Rejects unsupported fields, unless they have values without effect. */
function rejectUnsupported(body: GenerationBody): void {
  if (body.restore_faces) throw notSupported('restore_faces', 'omit it');
  if (body.s_min_uncond) throw notSupported('s_min_uncond', 'set it to 0');
  const refiner = body.refiner_checkpoint ?? '';
  if (!['', 'none'].includes(refiner.toLowerCase()) && body.refiner_switch_at)
    throw notSupported('refiner_checkpoint', 'omit it');
  if (body.script_name && body.script_name !== 'None')
    throw failure(422, `Script '${body.script_name.slice(0, 100)}' not found: script_name must be omitted`);
  const [script] = Object.keys(body.alwayson_scripts ?? {});
  if (script !== undefined)
    throw failure(
      422,
      `always on script ${script.slice(0, 100)} not found: alwayson_scripts must be omitted`,
    );
}

/** Determines the sampling options with A1111's rules of precedence. */
function samplingOf(body: GenerationBody, restored: Options, settings: Settings) {
  const name = body.sampler_name || (restored.sampler as string | undefined) || body.sampler_index || 'Euler';
  const { sampler, schedule: suffix } = samplerNamed('sampler_name', name);
  const requested = body.scheduler || suffix || (restored.schedule as string | undefined) || 'Automatic';
  // A schedule in the sampler's name ("DPM++ 2M Karras") takes precedence over the field.
  // The schedule of an infotext was used, whatever A1111 does.
  const ignores = !body.scheduler && !suffix ? false : undefined;
  const schedule = scheduleNamed('scheduler', suffix ?? requested, sampler, ignores);
  // Sigmas of the infotext replace steps and schedule, unless the request sets one of these.
  const keepsSigmas =
    restored.sigmas !== undefined && !body.steps && !body.scheduler && !suffix && !sampler.ownsSchedule;
  const options: Options = {
    ...{ sampler: sampler.name, schedule },
    steps: body.steps ?? (restored.steps as number | undefined) ?? stepsOf(restored.sigmas) ?? 50,
    cfg: body.cfg_scale ?? (restored.cfg as number | undefined) ?? 7,
    discardPenultimate: sampler.discardsPenultimate || settings.always_discard_next_to_last_sigma,
    ...etaOf(body, restored, sampler, settings),
    ...unless(0, {
      sChurn: body.s_churn ?? restored.sChurn ?? settings.s_churn,
      sTmin: body.s_tmin ?? restored.sTmin ?? settings.s_tmin,
      sTmax: body.s_tmax ?? restored.sTmax ?? settings.s_tmax, // 0 means no limit in A1111
      sigmaMin: settings.sigma_min,
      sigmaMax: settings.sigma_max,
      rho: settings.rho,
    }),
    ...unless(1, { sNoise: body.s_noise ?? restored.sNoise ?? settings.s_noise }),
  };
  if (keepsSigmas) for (const name of replacedBySigmas) delete options[name];
  return { sampler, options, keepsSigmas };
}

/** Returns the number of steps that the sigmas of the infotext represent. */
function stepsOf(sigmas: Json | undefined): number | undefined {
  return Array.isArray(sigmas) ? sigmas.filter((sigma) => Number(sigma) > 0).length : undefined;
}

/** Returns eta. A1111 has two settings for it: one for DDIM and one for the ancestral samplers. */
function etaOf(body: GenerationBody, restored: Options, sampler: SamplerInfo, settings: Settings): Options {
  if (sampler.defaultEta === undefined) return {};
  const setting = { ddim: settings.eta_ddim, tcd: sampler.defaultEta }[sampler.name as string];
  const eta = body.eta ?? restored.eta ?? setting ?? settings.eta_ancestral;
  return unless(sampler.defaultEta, { eta });
}

/** Returns seamless tiling and token merging. As in A1111, an override of the ratio applies to img2img too. */
function changesOf(
  type: JobRequest['type'],
  body: GenerationBody,
  restored: Options,
  settings: Settings,
): Options {
  const isOverridden = Object.hasOwn(body.override_settings ?? {}, 'token_merging_ratio');
  const { token_merging_ratio: ratio, token_merging_ratio_img2img: own } = settings;
  const isOwn = type !== 'text-to-image' && own > 0 && !(isOverridden && ratio > 0);
  return {
    ...unless(0, { tokenMerging: restored.tokenMerging ?? (isOwn ? own : ratio) }),
    ...unless(false, { tiling: body.tiling ?? restored.tiling ?? settings.tiling }),
  };
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

function definedOnly(options: Readonly<Record<string, Json | null | undefined>>): Options {
  return Object.fromEntries(
    Object.entries(options).flatMap(([name, value]) =>
      value === null || value === undefined ? [] : [[name, value] as const],
    ),
  );
}
