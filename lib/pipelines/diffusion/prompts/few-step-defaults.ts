/** Default options of models and LoRAs that were distilled for few steps, and their statement in the output. */
import { fewStepOfLora } from '../../../adapters/few-step-lora.js';
import type { FewStep, GenerationDefaults } from '../../../checkpoint/config/types.js';
import { defined } from '../../../defined.js';
import type { LoadedModel } from '../../../families/shared/loaded-model.js';
import type { SamplingSettings } from '../../../options/settings/sampling.js';
import { type GenerateOptions, resolveOptions, type Settings } from '../../options.js';
import { readPassPrompts } from './pass-prompts.js';

/** A few-step model or LoRA of a call. */
interface Source {
  readonly name: string;
  readonly form: 'model' | 'LoRA';
  readonly fewStep: FewStep;
}

/**
 * Applies the defaults of the first few-step LoRA to the options that the caller did not give, unless the model has its
 * own few-step defaults, which are already resolved. States the applied defaults in a warning and in the result.
 * @param settings after styles and dynamic prompts are resolved, since prompts name LoRAs
 * @param options of the call
 * @throws as `readPassPrompts`
 */
export async function withFewStepDefaults(
  loaded: LoadedModel,
  settings: Settings,
  options: GenerateOptions,
): Promise<Settings> {
  const { facts, source } = loaded;
  const own = source.fewStep;
  const found: Source | undefined = own
    ? { name: facts.name, form: 'model', fewStep: own }
    : await fewStepLoraOf(settings);
  if (!found) return settings;
  const { defaults } = found.fewStep;
  const resolved = own ? settings : resampled(loaded, settings, options, defaults);
  const applied = appliedDefaults(defaults, resolved, options, loaded);
  if (Object.keys(applied).length === 0) return resolved;
  const message = `Defaults for ${found.name} (${found.fewStep.kind} ${found.form}): ${stated(applied)}`;
  resolved.warnings.add('FEW_STEP_DEFAULTS', message);
  return { ...resolved, fewStepDefaults: applied };
}

async function fewStepLoraOf(settings: Settings): Promise<Source | undefined> {
  const { loras } = await readPassPrompts(settings, settings);
  for (const { name, settings: lora } of loras) {
    const fewStep = lora.weight === 0 ? undefined : await fewStepOfLora(lora.path);
    if (fewStep) return { name, form: 'LoRA', fewStep };
  }
  return undefined;
}

/** Options of sampling that depend on defaults. */
const SAMPLED = ['steps', 'cfg', 'sampler', 'schedule', 'eta'] as const;

/** Resolves the sampling of both passes again, with other defaults. */
function resampled(
  loaded: LoadedModel,
  settings: Settings,
  options: GenerateOptions,
  defaults: GenerationDefaults,
): Settings {
  const { downsampleFactor, condition, defaults: base } = loaded.facts;
  // The model's schedule belongs to its own sampler.
  const { schedule: _, eta: _eta, ...others } = base;
  const { prompt, negative, files } = settings;
  const again = resolveOptions(
    { ...options, prompt, negative },
    { ...others, ...defaults },
    downsampleFactor,
    condition,
    files,
  );
  const hires = settings.hires && again.hires && { ...settings.hires, sampling: again.hires.sampling };
  const { prompt: second, negative: secondNegative } = settings.options.hires ?? {};
  const recorded = again.options.hires && {
    ...again.options.hires,
    ...defined({ prompt: second, negative: secondNegative }),
  };
  const kept = Object.entries(settings.options).filter(([name]) => !isSampled(name));
  const sampled = Object.entries(again.options).filter(([name]) => isSampled(name));
  return {
    ...settings,
    ...{ sampling: again.sampling, hires },
    options: { ...Object.fromEntries([...kept, ...sampled]), ...(recorded ? { hires: recorded } : {}) },
  };
}

function isSampled(name: string): boolean {
  return SAMPLED.some((sampled) => sampled === name);
}

/** Returns the defaults that determined the settings, since the caller did not give these options. */
function appliedDefaults(
  defaults: GenerationDefaults,
  settings: Settings,
  options: GenerateOptions,
  { facts }: LoadedModel,
): GenerationDefaults {
  const { width, height } = facts.defaults;
  const isSized = settings.init || settings.given.latent || settings.given.noise;
  const effective: GenerationDefaults = {
    ...sampledValues(settings.sampling),
    ...(isSized ? {} : { width, height }),
  };
  const names = Object.keys(defaults) as (keyof GenerationDefaults)[];
  return Object.fromEntries(
    names
      .filter((name) => (options[name] ?? undefined) === undefined && effective[name] === defaults[name])
      .map((name) => [name, defaults[name]]),
  );
}

function sampledValues(sampling: SamplingSettings): GenerationDefaults {
  const { steps, cfg, sampler, schedule, sigmas, ownTimesteps } = sampling;
  return defined({
    steps: sigmas ? undefined : steps,
    cfg,
    sampler: sampler.name,
    schedule: sigmas || ownTimesteps ? undefined : schedule,
    eta: sampling.sampling.eta,
  });
}

function stated({ width, height, ...defaults }: GenerationDefaults): string {
  const sides = width !== undefined && height !== undefined ? [`${width} x ${height}`] : [];
  return [...Object.entries(defaults).map(([name, value]) => `${name} ${value}`), ...sides].join(', ');
}
