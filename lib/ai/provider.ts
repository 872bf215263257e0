/** The AI SDK provider. Each model is loaded once and shared by all `SafelightImageModel`s of its name. */

import { starterModel } from '../checkpoint/open.js';
import { SafelightError } from '../errors.js';
import { Pipeline } from '../pipelines/diffusion/pipeline.js';
import type { LoadPipelineOptions } from '../pipelines/model/load-options.js';
import { SafelightImageModel } from './image-model.js';
import { SPECIFICATION_VERSION, type SpecificationVersion } from './specification.js';

export interface SafelightProviderSettings
  extends Pick<LoadPipelineOptions, 'backend' | 'storage' | 'threads' | 'memory'> {
  /** Paths of models by name. `starter` is always available. Other names are used as paths. */
  readonly models?: Readonly<Record<string, string>>;
}

/** Provider for `generateImage`, `createProviderRegistry` and `customProvider` of AI SDK 6 and 7. */
export interface SafelightProvider {
  readonly specificationVersion: SpecificationVersion;
  /** Returns a model by its name or path; its weights are loaded when it generates its first image. */
  (model: string): SafelightImageModel;
  image(model: string): SafelightImageModel;
  imageModel(model: string): SafelightImageModel;
  /** Required by the specification. @throws SafelightError INVALID_OPTION, because Safelight has only image models */
  languageModel(model: string): never;
  /** Required by the specification. @throws SafelightError INVALID_OPTION, because Safelight has only image models */
  embeddingModel(model: string): never;
  /** Frees all loaded models. */
  dispose(): Promise<void>;
}

/** Creates a provider with its own models and settings. */
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
      // Failures are not cached, so that loading can be retried.
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
    languageModel: () => unsupported('language'),
    embeddingModel: () => unsupported('embedding'),
  });
}

function unsupported(kind: string): never {
  throw new SafelightError('INVALID_OPTION', `Safelight has no ${kind} models; use safelight.image(NAME)`);
}

/** The default provider: the starter model, and models by path. */
export const safelight: SafelightProvider = createSafelight();
