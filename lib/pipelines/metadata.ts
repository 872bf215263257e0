/** The settings of a picture as A1111 names them. */
import { readFileSync } from 'node:fs';
import type { ModelFacts } from '../families/shared/loaded-model.js';
import { formatParameters } from '../image/parameters.js';
import { schedules } from '../sampling/schedules/index.js';
import type { HiresSettings } from './hires-options.js';
import { emphasisLabels, fillLabels, resizeLabels, upscalerLabels } from './labels.js';
import type { MaskSettings } from './mask-options.js';
import type { Settings } from './options.js';
import type { SamplingSettings } from './sampling-options.js';

/** The text of one picture; fields that have their default there are left out, as A1111 does. */
export function parametersOf(
  facts: ModelFacts,
  settings: Settings,
  size: { readonly width: number; readonly height: number },
  { seed, subseed }: { readonly seed: number; readonly subseed: number },
): string {
  const { sampling, text, hires, mask, init, variation } = settings;
  const { sampler } = sampling;
  const strength = hires?.strength ?? init?.strength;
  const fields: Record<string, string | number | undefined> = {
    Steps: sampling.steps,
    Sampler: sampler.label,
    'Schedule type': scheduleOf(sampling),
    'CFG scale': sampling.cfg,
    Class: settings.class,
    Seed: seed,
    Size: `${size.width}x${size.height}`,
    Model: facts.name,
    'Variation seed': variation.strength === 0 ? undefined : subseed,
    'Variation seed strength': variation.strength || undefined,
    'Seed resize from': variation.from && `${variation.from.width}x${variation.from.height}`,
    'Denoising strength': strength,
    'Clip skip': text.clipSkip > 1 ? text.clipSkip : undefined,
    ENSD: variation.seedDelta || undefined,
    RNG: settings.rng === 'cuda' ? 'NV' : 'CPU',
    ...samplerFields(settings),
    Emphasis: text.emphasis === 'original' ? undefined : emphasisLabels[text.emphasis],
    ...(init && {
      Posterior: init.posterior === 'sample' ? 'sample' : undefined,
      'Noise multiplier': init.noiseMultiplier === 1 ? undefined : init.noiseMultiplier,
      'Resize mode': init.resizeMode === 'resize' ? undefined : resizeLabels[init.resizeMode],
    }),
    ...(mask && maskFields(mask)),
    ...(hires && hiresFields(hires, sampling)),
    Version: `Safelight ${version()}`,
  };
  const given = Object.entries(fields).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, String(value)]],
  );
  return formatParameters({
    prompt: settings.prompt,
    negative: settings.negative,
    fields: Object.fromEntries(given),
  });
}

function maskFields(mask: MaskSettings): Record<string, string | number | undefined> {
  const [x, y] = mask.blur;
  return {
    'Mask blur': x === y ? x : `${x}/${y}`,
    'Mask round': mask.round ? undefined : 'False',
    'Mask mode': mask.invert ? 'Inpaint not masked' : undefined,
    'Masked content': fillLabels[mask.fill],
    'Inpaint area': mask.onlyMasked ? 'Only masked' : undefined,
    'Masked area padding': mask.onlyMasked ? mask.padding : undefined,
  };
}

function hiresFields(
  hires: HiresSettings,
  first: SamplingSettings,
): Record<string, string | number | undefined> {
  const { width, height, sampling } = hires;
  const isScaled = width === undefined && height === undefined;
  const schedule = scheduleOf(sampling);
  return {
    'Hires upscale': isScaled ? hires.scale : undefined,
    'Hires resize': isScaled ? undefined : `${width ?? 0}x${height ?? 0}`,
    'Hires steps': hires.steps,
    'Hires upscaler': upscalerLabels[hires.upscaler],
    'Hires sampler': sampling.sampler === first.sampler ? undefined : sampling.sampler.label,
    'Hires schedule type': schedule === scheduleOf(first) ? undefined : schedule,
    'Hires discard penultimate sigma':
      sampling.discardPenultimate === first.discardPenultimate
        ? undefined
        : sampling.discardPenultimate
          ? 'True'
          : 'False',
    'Hires prompt': hires.prompt,
    'Hires negative prompt': hires.negative,
  };
}

/** Undefined for samplers that have their own. */
function scheduleOf({ sampler, schedule }: SamplingSettings): string | undefined {
  return sampler.ownsSchedule ? undefined : schedules.find(({ name }) => name === schedule)?.label;
}

function samplerFields({ sampling }: Settings): Record<string, string | number | undefined> {
  const { eta, sChurn, sTmin, sTmax, sNoise } = sampling.sampling;
  return {
    [sampling.sampler.name === 'ddim' ? 'Eta DDIM' : 'Eta']: eta,
    'Sigma churn': sChurn,
    'Sigma tmin': sTmin,
    'Sigma tmax': sTmax,
    'Sigma noise': sNoise,
    'Discard penultimate sigma': sampling.discardPenultimate ? 'True' : undefined,
    'Schedule min sigma': sampling.range.sigmaMin,
    'Schedule max sigma': sampling.range.sigmaMax,
    'Schedule rho': sampling.range.rho,
    'Guidance rescale': sampling.guidanceRescale || undefined,
    'Guidance interval': sampling.guidanceInterval?.join(' to '),
    'DeepCache interval': sampling.deepCache?.interval,
    'DeepCache branch': sampling.deepCache?.branch,
  };
}

let known: string | undefined;

/** Of the package, from `lib/` and from `dist/` alike. */
function version(): string {
  known ??= (
    JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }
  ).version;
  return known;
}
