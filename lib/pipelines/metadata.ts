/** The settings of a picture as A1111 names them. */
import { readFileSync } from 'node:fs';
import { formatParameters } from '../image/parameters.js';
import { schedules } from '../sampling/schedules/index.js';
import type { ModelFacts } from './engine.js';
import type { HiresUpscaler } from './hires-options.js';
import type { MaskFill } from './mask-options.js';
import type { Settings } from './options.js';

const UPSCALERS: Record<HiresUpscaler, string> = {
  latent: 'Latent',
  latent_antialiased: 'Latent (antialiased)',
  latent_bicubic: 'Latent (bicubic)',
  latent_bicubic_antialiased: 'Latent (bicubic antialiased)',
  latent_nearest: 'Latent (nearest)',
  latent_nearest_exact: 'Latent (nearest-exact)',
  lanczos: 'Lanczos',
};
const FILLS: Record<MaskFill, string> = {
  fill: 'fill',
  original: 'original',
  noise: 'latent noise',
  nothing: 'latent nothing',
};
const EMPHASES = { original: undefined, 'no norm': 'No norm', ignore: 'Ignore', none: 'None' } as const;

/** The text of one picture; fields that have their default there are left out, as A1111 does. */
export function parametersOf(
  facts: ModelFacts,
  settings: Settings,
  size: { readonly width: number; readonly height: number },
  seed: number,
): string {
  const { sampling, text, hires, mask, init } = settings;
  const { sampler } = sampling;
  const strength = hires?.strength ?? init?.strength;
  const fields: Record<string, string | number | undefined> = {
    Steps: sampling.steps,
    Sampler: sampler.label,
    'Schedule type': sampler.ownsSchedule
      ? undefined
      : schedules.find(({ name }) => name === sampling.schedule)?.label,
    'CFG scale': sampling.cfg,
    Class: settings.class,
    Seed: seed,
    Size: `${size.width}x${size.height}`,
    Model: facts.name,
    'Denoising strength': strength,
    'Clip skip': text.clipSkip > 1 ? text.clipSkip : undefined,
    RNG: settings.rng === 'cuda' ? 'NV' : 'CPU',
    ...samplerFields(settings),
    Emphasis: EMPHASES[text.emphasis],
    ...(mask && {
      'Mask blur': mask.blur,
      'Masked content': FILLS[mask.fill],
      'Inpaint area': mask.onlyMasked ? 'Only masked' : undefined,
      'Masked area padding': mask.onlyMasked ? mask.padding : undefined,
    }),
    ...(hires && {
      'Hires upscale': hires.width === undefined && hires.height === undefined ? hires.scale : undefined,
      'Hires resize':
        hires.width === undefined && hires.height === undefined
          ? undefined
          : `${hires.width ?? 0}x${hires.height ?? 0}`,
      'Hires steps': hires.steps,
      'Hires upscaler': UPSCALERS[hires.upscaler],
    }),
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
