/** Checks of prompts and of the files that they name, without a model. */
import { readLora } from '../../../adapters/lora-file.js';
import type { Settings } from '../../options.js';
import { readPassPrompts } from './pass-prompts.js';
import { resolvePrompts } from './resolve-prompts.js';

/**
 * Reads everything that prompts refer to except embeddings, whose names only a tokenizer finds: styles, wildcards, LoRAs.
 * @throws the errors that a generation would throw for them
 */
export async function checkPrompts(settings: Settings): Promise<void> {
  for (const { prompt, negative, hires, ...resolved } of await resolvePrompts(settings)) {
    const second = { prompt: hires?.prompt ?? prompt, negative: hires?.negative ?? negative };
    for (const texts of [{ prompt, negative }, second]) {
      const { loras } = await readPassPrompts(texts, resolved);
      for (const lora of loras) await readLora(lora.settings.path);
    }
  }
}
