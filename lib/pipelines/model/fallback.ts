/** A generation that begins anew on the CPU where a GPU that `auto` chose has too little memory for it. */
import { SafelightError } from '../../errors.js';
import type { LoadedModel } from '../../families/shared/loaded-model.js';
import { type GenerateResult, type GenerationStep, generateSteps } from '../diffusion/generation.js';
import type { Settings } from '../options.js';

/** @throws every code of SafelightError that the stages name */
export async function* generateWithFallback(
  loaded: LoadedModel,
  settings: Settings,
): AsyncGenerator<GenerationStep, GenerateResult> {
  try {
    return yield* generateSteps(loaded, settings);
  } catch (error) {
    // Another call may have left the GPU under this one.
    const left = loaded.fellBack && error instanceof SafelightError && error.code === 'DISPOSED';
    if (!loaded.fallBackToCpu(error) && !left) throw error;
    for (const { code, message } of loaded.warnings.list) settings.warnings.add(code, message);
    return yield* generateSteps(loaded, settings);
  }
}
