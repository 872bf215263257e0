/** Options for how prompts are completed before they are encoded: styles, dynamic prompts, regions. */
import { invalidOption } from '../../errors.js';
import type { ImageSource } from '../../image/source.js';
import { knownKeys } from '../../known-keys.js';
import { text as checkText, string } from '../check.js';
import { boolean, custom, type OptionsOf } from '../field.js';
import { apiLimits } from '../limits.js';

/** A prompt for a part of the image. */
export interface Region {
  /** Image of any size, which is scaled to the size of the generation: the prompt applies to white areas. */
  readonly mask: ImageSource;
  readonly prompt: string;
}

const MAX_STYLES = 100;
const MAX_STYLE_NAME = 1000;
const MAX_REGIONS = 16;
const REGION_KEYS: ReadonlySet<string> = new Set(['mask', 'prompt']);

export const promptFields = {
  /**
   * Names of styles of the pipeline's styles file. In order, the prompt replaces `{prompt}` in a style's text, or the
   * text is appended after a comma; the negative prompt likewise.
   */
  styles: custom({
    description: 'apply the style of this name from the styles file, repeatable',
    flag: { name: 'style', argument: 'name' },
    check: (name, value): readonly string[] => {
      const isName = (item: unknown): item is string =>
        typeof item === 'string' && item.length > 0 && item.length <= MAX_STYLE_NAME;
      if (Array.isArray(value) && value.length <= MAX_STYLES && value.every(isName)) return [...value];
      throw invalidOption(name, `an array of at most ${MAX_STYLES} names of styles`, value);
    },
    parse: (name) => name,
    schema: (_limits, { z }) => z.array(z.string().min(1).max(MAX_STYLE_NAME)).max(MAX_STYLES),
  }),
  /**
   * Resolves variants `{a|b}`, `{2$$a|b|c}` and wildcards `__name__` in the prompts, differently for each image and
   * reproducibly from its seed. Default false.
   */
  dynamicPrompts: boolean({
    description: 'resolve {a|b}, {2$$a|b|c} and __wildcards__ in prompts from the seed of each image',
    default: false,
  }),
  /**
   * Prompts for parts of the image, at most 16. The main prompt applies to the remaining area; where masks overlap, the
   * prompts share the area in proportion to the masks.
   */
  regions: custom({
    description: 'a prompt for the white areas of a mask image, as MASK:PROMPT, repeatable',
    flag: { name: 'region', argument: 'mask:prompt' },
    check: checkRegions,
    parse: parseRegion,
    images: true,
    schema: (limits, { z, image }) =>
      z.array(z.strictObject({ mask: image, prompt: z.string().max(limits.maxPrompt) })).max(MAX_REGIONS),
  }),
};
export type PromptOptions = OptionsOf<typeof promptFields>;

function checkRegions(name: string, value: unknown): readonly Region[] {
  if (!Array.isArray(value) || value.length > MAX_REGIONS)
    throw invalidOption(name, `an array of at most ${MAX_REGIONS} regions ({ mask, prompt })`, value);
  return value.map((region: unknown, i) => {
    knownKeys(`${name}[${i}]`, region, REGION_KEYS);
    const { mask, prompt } = region as Region;
    if (mask === undefined || mask === null)
      throw invalidOption(`${name}[${i}].mask`, 'an image: a path, a URL, bytes or pixels', mask);
    return { mask, prompt: checkText(`${name}[${i}].prompt`, prompt, apiLimits.maxPrompt) };
  });
}

/** Parses `MASK:PROMPT`. The colon of a Windows drive (`C:\mask.png`) is part of the path. @throws INVALID_OPTION */
export function parseRegion(value: string): Region {
  const [, mask, prompt] = /^((?:[A-Za-z]:(?=[\\/]))?[^:]+):(.*)$/s.exec(string('--region', value)) ?? [];
  if (mask === undefined || prompt === undefined)
    throw invalidOption('--region', 'MASK:PROMPT, the path of a mask image and a prompt', value);
  return { mask, prompt };
}
