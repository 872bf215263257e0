/** The provider: models by name, loaded once and shared by everything that asks for them. */

import { starterModel } from '../checkpoint/open.js';
import { SafelightError } from '../errors.js';
import { Pipeline } from '../pipelines/diffusion/pipeline.js';
import type { LoadPipelineOptions } from '../pipelines/model/load-options.js';
import { SafelightImageModel } from './image-model.js';
import { SPECIFICATION_VERSION, type SpecificationVersion } from './specification.js';

export interface SafelightProviderSettings
  extends Pick<LoadPipelineOptions, 'backend' | 'storage' | 'threads' | 'memory'> {
  /** Names and the paths they stand for; `starter` is there always. A name that is not among them is taken for a path. */
  readonly models?: Readonly<Record<string, string>>;
}

/** A provider for `generateImage`, `createProviderRegistry` and `customProvider` of AI SDK 6 and 7. */
export interface SafelightProvider {
  readonly specificationVersion: SpecificationVersion;
  /** A model by its name or path; loaded with its first picture. */
  (model: string): SafelightImageModel;
  image(model: string): SafelightImageModel;
  imageModel(model: string): SafelightImageModel;
  /** Part of the specification. @throws SafelightError INVALID_OPTION: Safelight has image models only */
  languageModel(model: string): never;
  /** Part of the specification. @throws SafelightError INVALID_OPTION: Safelight has image models only */
  embeddingModel(model: string): never;
  /** Frees every model that was loaded. */
  dispose(): Promise<void>;
}

/** A provider with settings of its own. */
export function createSafelight({
  models = {},
  ...loading
}: SafelightProviderSettings = {}): SafelightProvider {
  const paths = new Map([['starter', starterModel], ...Object.entries(models)]);
  const loaded = new Map<string, Promise<Pipeline>>();
  const pipelineOf = (name: string): Promise<Pipeline> => {
    let pipeline = loaded.get(name);
    if (!pipeline) {
      pipeline = Pipeline.load(paths.get(name) ?? name, loading);
      loaded.set(name, pipeline);
      // A model that did not load may be there the next time.
      pipeline.catch(() => loaded.delete(name));
    }
    return pipeline;
  };
  const image = (name: string): SafelightImageModel => new SafelightImageModel(name, () => pipelineOf(name));
  return Object.assign((name: string) => image(name), {
    ...{ specificationVersion: SPECIFICATION_VERSION, image, imageModel: image },
    dispose: async (): Promise<void> => {
      const all = [...loaded.values()];
      loaded.clear();
      await Promise.all(all.map(async (pipeline) => (await pipeline.catch(() => undefined))?.dispose()));
    },
    languageModel: () => none('language'),
    embeddingModel: () => none('embedding'),
  });
}

function none(kind: string): never {
  throw new SafelightError(
    'INVALID_OPTION',
    `Safelight has no ${kind} models, only image models: safelight.image(NAME)`,
  );
}

/** The provider without settings: the starter model, and models by their path. */
export const safelight: SafelightProvider = createSafelight();
