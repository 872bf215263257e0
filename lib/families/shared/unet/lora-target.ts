/** LoRA target of a U-Net model: the parameters of its modules, and access to the loaded modules. */
import type { LoraTarget } from '../../../adapters/apply-loras.js';
import type { AdaptedComponent, AdaptedModule } from '../../../adapters/model-layers.js';
import { requirements } from '../../../binding/module.js';
import type { ModelSource } from '../../../checkpoint/model-descriptor.js';
import type { LoadedEncoder } from '../../../conditioning/prompt-encoder.js';
import type { UNet } from '../../../modules/unet.js';
import { trainedFor } from './lora-family.js';

/** The loaded modules of a model. */
export interface LoraModules {
  unet(signal?: AbortSignal): Promise<UNet>;
  textEncoders(signal?: AbortSignal): Promise<readonly LoadedEncoder[]>;
}

const TEXT: readonly AdaptedComponent[] = ['text_encoder', 'text_encoder_2'];

/** Creates the LoRA target of a model. @param name of the model, for messages */
export function loraTarget(model: ModelSource, name: string, modules: LoraModules): LoraTarget {
  return {
    name,
    family: model.family,
    textWidth: model.unet.config.cross_attention_dim,
    familyOf: trainedFor,
    modules: () => adaptedModules(model),
    load: async (component, signal) => {
      if (component === 'unet') return modules.unet(signal);
      const encoders = await modules.textEncoders(signal);
      return encoders[TEXT.indexOf(component)]!.encoder;
    },
  };
}

/** Lists the U-Net and the text encoders, the latter in the order in which their states are concatenated. */
export function adaptedModules({ components, unet }: ModelSource): AdaptedModule[] {
  let encoders = 0;
  return components.flatMap(({ part, kind, config }): AdaptedModule[] => {
    if (part === 'autoencoder') return [];
    const needed = requirements(kind, { ...config });
    if (part === 'unet') return [{ component: 'unet', requirements: needed, unet: unet.config }];
    return [{ component: TEXT[encoders++]!, requirements: needed }];
  });
}
