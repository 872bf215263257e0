/** Completion of prompts before a generation: styles, comments, then variants and wildcards. */
import { withoutComments } from '../../../conditioning/comments.js';
import { type DynamicPromptOptions, resolveDynamicPrompt } from '../../../conditioning/dynamic-prompts.js';
import { parseStyles, type Style, styled, stylesNamed } from '../../../conditioning/styles.js';
import { defined } from '../../../defined.js';
import { SafelightError } from '../../../errors.js';
import { readText } from '../../../files/read.js';
import type { Region } from '../../../options/declarations/prompt.js';
import { rowsOf } from '../../initial-tensors.js';
import type { Settings } from '../../options.js';

/** Largest styles file that is read. */
const MAX_STYLES_BYTES = 2 ** 24;

/**
 * Applies the styles, removes comments, and resolves variants and wildcards.
 * @returns the settings; one entry per image if dynamic prompts give the images of a call different prompts
 * @throws FILE_NOT_FOUND for the styles file or a wildcard, INVALID_OPTION for an unknown style or a prompt that becomes
 *   too long
 */
export async function resolvePrompts(settings: Settings): Promise<[Settings, ...Settings[]]> {
  const styledSettings = settings.styles.length > 0 ? await withStyles(settings) : settings;
  const plain = await mapPrompts(styledSettings, withoutComments);
  if (!plain.dynamicPrompts) return [plain];
  const resolved: Settings[] = [];
  for (let i = 0; i < settings.count; i++) resolved.push(await withChoices(plain, i));
  const [first, ...others] = resolved;
  const differs = others.some((other) => PROMPTS.some((read) => read(other) !== read(first!)));
  if (!differs) return [{ ...first!, count: settings.count, batch: settings.batch }];
  return [first!, ...others];
}

const PROMPTS: readonly ((settings: Settings) => string | undefined)[] = [
  ({ prompt }) => prompt,
  ({ negative }) => negative,
  ({ hires }) => hires?.prompt,
  ({ hires }) => hires?.negative,
  ({ regions }) => JSON.stringify(regions.map((region) => region.prompt)),
];

type PromptName = 'prompt' | 'negative_prompt';

/** Returns the settings with every prompt mapped; `region` is the index of the region that a prompt belongs to. */
async function mapPrompts(
  settings: Settings,
  map: (prompt: string, name: PromptName, region?: number) => string | Promise<string>,
): Promise<Settings> {
  const { hires } = settings;
  const regions: Region[] = [];
  for (const [i, region] of settings.regions.entries())
    regions.push({ ...region, prompt: await map(region.prompt, 'prompt', i) });
  const optional = async (text: string | undefined, name: PromptName): Promise<string | undefined> =>
    text === undefined ? undefined : map(text, name);
  const prompt = await map(settings.prompt, 'prompt');
  const negative = await map(settings.negative, 'negative_prompt');
  const second = hires && {
    prompt: await optional(hires.prompt, 'prompt'),
    negative: await optional(hires.negative, 'negative_prompt'),
  };
  const { options } = settings;
  const recorded = options.hires && {
    ...options.hires,
    ...(second?.prompt === undefined ? {} : { prompt: second.prompt }),
    ...(second?.negative === undefined ? {} : { negative: second.negative }),
  };
  return {
    ...settings,
    ...{ prompt, negative, regions },
    hires: hires && { ...hires, ...second! },
    options: { ...options, prompt, negative, ...(recorded ? { hires: recorded } : {}) },
  };
}

async function withStyles(settings: Settings): Promise<Settings> {
  const styles = stylesNamed(await readStyles(settings), settings.styles, settings.files.styles);
  const applied = await mapPrompts(settings, (prompt, name, region) =>
    region === undefined
      ? styled(
          prompt,
          styles.map((style) => style[name]),
        )
      : prompt,
  );
  return { ...applied, styles: [] };
}

async function readStyles({ files }: Settings): Promise<Style[]> {
  if (files.styles === undefined)
    throw new SafelightError(
      'INVALID_OPTION',
      'The option styles needs a styles file; set stylesFile (--styles FILE)',
    );
  return parseStyles(await readText(files.styles, MAX_STYLES_BYTES));
}

/** Resolves the prompts of the image with this index; its seed is the one that it has in the call. */
async function withChoices(settings: Settings, index: number): Promise<Settings> {
  const { variation, files } = settings;
  const varies = variation.strength > 0;
  const seed = varies ? settings.seed : settings.seed + index;
  const subseed = varies ? variation.subseed + index : variation.subseed;
  // With a variation, the images of a call differ by their variation seed only.
  const choice = (stream: number): DynamicPromptOptions =>
    defined({ seed: varies ? subseed : seed, stream, wildcards: files.wildcards });
  const resolved = await mapPrompts(settings, (prompt, name, region) =>
    resolveDynamicPrompt(prompt, choice(region === undefined ? (name === 'prompt' ? 0 : 1) : 2 + region)),
  );
  return {
    ...resolved,
    ...{ seed, count: 1, batch: 1, dynamicPrompts: false },
    given: givenOf(settings.given, index),
    variation: { ...variation, subseed },
  };
}

/** Returns the caller's tensors for one image. */
function givenOf({ latent, noise }: Settings['given'], index: number): Settings['given'] {
  return defined({
    latent: latent && rowsOf(latent, index, 1),
    noise: noise && rowsOf(noise, index, 1),
  });
}
