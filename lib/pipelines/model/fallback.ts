/** A generation that begins anew on the CPU where a GPU that `auto` chose has too little memory for it. */
import { SafelightError } from '../../errors.js';
import { type GenerateResult, type GenerationStep, generateSteps } from '../diffusion/generation.js';
import type { Settings } from '../options.js';
import type { Modules } from './lazy-model.js';

/** @throws every code of SafelightError that the stages name */
export async function* generateWithFallback(
  modules: Modules,
  settings: Settings,
): AsyncGenerator<GenerationStep, GenerateResult> {
  try {
    return yield* generateSteps(modules, settings);
  } catch (error) {
    // Another call may have left the GPU under this one.
    const left = modules.fellBack && error instanceof SafelightError && error.code === 'DISPOSED';
    if (!modules.fallBackToCpu(error) && !left) throw error;
    for (const { code, message } of modules.warnings.list) settings.warnings.add(code, message);
    return yield* generateSteps(modules, settings);
  }
}
