/** Restarts a generation on the CPU if a GPU chosen by `auto` has too little memory. */
import { SafelightError } from '../../errors.js';
import type { LoadedModel } from '../../families/shared/loaded-model.js';
import { type GenerateResult, type GenerationStep, generateSteps } from '../diffusion/generation.js';
import type { Settings } from '../options.js';

/** Generates images, falling back to the CPU. @throws as `generateSteps` */
export async function* generateWithFallback(
  loaded: LoadedModel,
  settings: Settings,
): AsyncGenerator<GenerationStep, GenerateResult> {
  try {
    return yield* generateSteps(loaded, settings);
  } catch (error) {
    // Another call may have moved the model to the CPU, which disposed the modules that this one used.
    const movedByOther = loaded.fellBack && error instanceof SafelightError && error.code === 'DISPOSED';
    if (!loaded.fallBackToCpu(error) && !movedByOther) throw error;
    for (const { code, message } of loaded.warnings.list) settings.warnings.add(code, message);
    return yield* generateSteps(loaded, settings);
  }
}
