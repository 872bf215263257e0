/** Options that change a model's weights for one call. */
import { type LoraOption, parseLora, resolveLoras } from '../../adapters/lora-options.js';
import { custom } from '../field.js';

export const adapterFields = {
  /** LoRAs to apply, at most 20; several add up. They change nothing of the model that other calls see. */
  loras: custom({
    description:
      "apply a LoRA, as FILE[:WEIGHT[:TEXT_ENCODER_WEIGHT]]; may be given several times. Weights default to 1 and to the U-Net's",
    // A longer one would leave no room for the descriptions beside.
    flag: { name: 'lora', argument: 'file[:n[:n]]' },
    check: (_name, value): readonly LoraOption[] => {
      resolveLoras(value);
      return value as readonly LoraOption[];
    },
    parse: parseLora,
  }),
};
