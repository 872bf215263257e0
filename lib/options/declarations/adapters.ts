/** Options of adapters, which change a model's weights for one call. */
import { type LoraOption, parseLora, resolveLoras } from '../../adapters/lora-options.js';
import { choice, custom } from '../field.js';

export const adapterFields = {
  /** LoRAs to apply, at most 20; their changes are summed. Other calls of the model are not affected. */
  loras: custom({
    description:
      "apply a LoRA, as FILE[:WEIGHT[:TEXT_ENCODER_WEIGHT]], repeatable; the weights default to 1 and to the U-Net's",
    // Short, so that the column of descriptions in help stays wide enough.
    flag: { name: 'lora', argument: 'file[:n[:n]]' },
    check: (_name, value): readonly LoraOption[] => {
      resolveLoras(value);
      return value as readonly LoraOption[];
    },
    parse: parseLora,
  }),
  /**
   * Effect of a LoRA that a prompt names but the pipeline's folder of LoRAs does not have: `error` (default) rejects the
   * call with ADAPTER_NOT_FOUND, `warn` adds a warning and ignores it, as A1111 does.
   */
  missingAdapters: choice(['error', 'warn'], {
    description: 'effect of an unknown LoRA in a prompt: error (default) or warn',
    default: 'error',
    flag: { argument: 'effect' },
  }),
};
