/** Generation for a list of prompts: one generation per prompt in sequence, with a combined result. */
import type { LoadedModel } from '../../../families/shared/loaded-model.js';
import { splitSignal } from '../../finish-signal.js';
import type { GeneratedImage } from '../../image-result.js';
import { generateWithFallback } from '../../model/fallback.js';
import type { GenerateOptions, Settings } from '../../options.js';
import { type OnProgress, type Progress, ProgressReporter } from '../../progress.js';
import { endSteps } from '../denoising/end-steps.js';
import type { GenerateResult, GenerationStep } from '../generation.js';
import { withFewStepDefaults } from './few-step-defaults.js';
import { resolvePrompts } from './resolve-prompts.js';

/**
 * Generates the images of each prompt, after styles and dynamic prompts are resolved.
 * @param each settings of the prompts, which share their warnings
 * @param options of the call
 * @throws as `Pipeline.generate`
 */
export async function* generateEach(
  loaded: LoadedModel,
  each: readonly [Settings, ...Settings[]],
  options: GenerateOptions,
): AsyncGenerator<GenerationStep, GenerateResult> {
  // Listens only while the call runs; its prompts share their signals.
  const signals = splitSignal(each[0]);
  const { signal, finish } = signals;
  const [first, ...rest] = each;
  const split = (settings: Settings): Settings => ({ ...settings, signal, finish });
  try {
    return yield* generateAll(loaded, [split(first), ...rest.map(split)], options);
  } finally {
    signals[Symbol.dispose]();
  }
}

/** Generates the images of each prompt with signals that have one purpose each. */
async function* generateAll(
  loaded: LoadedModel,
  each: readonly [Settings, ...Settings[]],
  options: GenerateOptions,
): AsyncGenerator<GenerationStep, GenerateResult> {
  const [first] = each;
  const all: { readonly settings: Settings; readonly promptIndex: number }[] = [];
  for (const [promptIndex, unresolved] of each.entries())
    for (const resolved of await resolvePrompts(unresolved))
      all.push({ settings: await withFewStepDefaults(loaded, resolved, options), promptIndex });
  if (all.length === 1) return yield* generateWithFallback(loaded, all[0]!.settings);
  const reporter = new ProgressReporter(undefined);
  const total = new TotalProgress(all.length);
  const images: GeneratedImage[] = [];
  for (const [i, { settings, promptIndex }] of all.entries()) {
    if (settings.finish?.aborted && i > 0) break;
    const onProgress = settings.onProgress && total.scaled(settings.onProgress, i, reporter.elapsed);
    const steps = generateWithFallback(loaded, { ...settings, onProgress });
    try {
      for (;;) {
        const next = await steps.next();
        if (next.done) {
          images.push(...next.value.images);
          break;
        }
        yield { ...next.value, promptIndex };
      }
    } finally {
      await endSteps(steps);
    }
  }
  const { fewStepDefaults: defaults } = all[0]!.settings;
  const { seed, warnings } = first;
  return {
    ...{ images, seed, seconds: reporter.elapsed, warnings: warnings.list },
    ...(defaults ? { defaults } : {}),
  };
}

/**
 * Scales the progress of one prompt to that of all, assuming that remaining prompts need as many steps as the current
 * one.
 */
class TotalProgress {
  private readonly done = new Map<Progress['phase'], { prompt: number; before: number; steps: number }>();

  constructor(private readonly prompts: number) {}

  scaled(onProgress: OnProgress, prompt: number, secondsBefore: number): OnProgress {
    return (progress) => {
      const { phase, step, steps } = progress;
      const last = this.done.get(phase);
      const before = last === undefined ? 0 : last.prompt === prompt ? last.before : last.before + last.steps;
      this.done.set(phase, { prompt, before, steps });
      onProgress({
        ...progress,
        step: before + step,
        steps: before + steps * (this.prompts - prompt),
        elapsed: secondsBefore + progress.elapsed,
      });
    };
  }
}
