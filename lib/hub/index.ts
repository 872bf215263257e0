/** Models from the Hugging Face hub and from Civitai. */
import { civitaiVersion, type PullCivitaiOptions, pullCivitai } from './civitai.js';
import { type PullRepositoryOptions, pullRepository } from './pull.js';
import type { PullResult } from './types.js';

export { type DownloadedModel, listModels, removeModel } from './library.js';
export { locateModel } from './locate.js';
export type { PullOptions, PullProgress, PullResult } from './types.js';

export type PullModelOptions = PullRepositoryOptions & PullCivitaiOptions;

/**
 * Downloads `owner/name[@revision]` from the hub or `civitai:VERSION_ID` from Civitai.
 * @throws SafelightError as `pullRepository` and `pullCivitai`
 */
export async function pullModel(name: string, options: PullModelOptions = {}): Promise<PullResult> {
  return civitaiVersion(name) === undefined ? pullRepository(name, options) : pullCivitai(name, options);
}
