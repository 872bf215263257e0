/** Options that change a model's weights for one call. */
import { type LoraOption, parseLora, resolveLoras } from '../../adapters/lora-options.js';
import { custom } from '../field.js';

export const adapterFields = {
  /** LoRAs to apply, at most 20; several add up. They change nothing of the model that other calls see. */
  loras: custom({
    description: "apply a LoRA; may be given several times. Weights default to 1 and to the U-Net's",
    flag: { name: 'lora', argument: 'file[:weight[:text-encoder-weight]]' },
    check: (_name, value): readonly LoraOption[] => {
      resolveLoras(value);
      return value as readonly LoraOption[];
    },
    parse: parseLora,
  }),
};
