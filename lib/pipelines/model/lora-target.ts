/** A pipeline's model as LoRAs see it: its modules' parameters, and the modules once they are loaded. */
import type { LoraTarget } from '../../adapters/apply-loras.js';
import type { AdaptedModule } from '../../adapters/lora-places.js';
import { requirements } from '../../binding/module.js';
import type { ModelSource } from '../../checkpoint/model-descriptor.js';
import { moduleSources } from '../../modules/module-sources.js';
import type { LoadedEncoder } from '../../conditioning/prompt-encoder.js';
import type { DenoiseModel } from '../diffusion/denoise-loop.js';
import type { ModelFacts } from './loaded-model.js';

/** What a model has to offer for it. */
interface Adaptable {
  readonly source: ModelSource;
  readonly facts: ModelFacts;
  encoders(signal?: AbortSignal): Promise<readonly LoadedEncoder[]>;
  denoiser(signal?: AbortSignal): Promise<DenoiseModel>;
}

export function loraTarget(model: Adaptable): LoraTarget {
  const { name, family, unet } = model.facts;
  return {
    name,
    family,
    textWidth: unet.cross_attention_dim,
    modules: () => {
      let encoders = 0;
      return moduleSources(model.source).flatMap(({ part, kind, config }): AdaptedModule[] => {
        if (part === 'autoencoder') return [];
        const needed = requirements(kind, config);
        if (part === 'unet') return [{ component: part, requirements: needed, unet }];
        const component = encoders++ === 0 ? 'text_encoder' : 'text_encoder_2';
        return [{ component, requirements: needed }];
      });
    },
    load: async (component, signal) => {
      if (component === 'unet') return (await model.denoiser(signal)).unet;
      const [first, second] = await model.encoders(signal);
      return (component === 'text_encoder' ? first! : second!).encoder;
    },
  };
}
