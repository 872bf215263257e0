/** Recognition of LoRAs that turn a model into a few-step model. */
import type { FewStep } from '../checkpoint/config/types.js';
import { fewStepLora, fewStepNames } from '../checkpoint/few-step.js';
import { openWeights } from '../checkpoint/formats/open-weights.js';
import { FileCache } from '../files/file-cache.js';

const recognized = new FileCache(async (path) => fewStepLora(fewStepNames(path, await notesOf(path))));

/** Recognizes a LoRA by its name and metadata. @returns undefined also for a file that does not exist */
export async function fewStepOfLora(path: string): Promise<FewStep | undefined> {
  try {
    return await recognized.get(path);
  } catch {
    return undefined; // reading it as a LoRA reports the reason
  }
}

async function notesOf(path: string): Promise<ReadonlyMap<string, string>> {
  try {
    return (await openWeights(path)).notes;
  } catch {
    return new Map();
  }
}
