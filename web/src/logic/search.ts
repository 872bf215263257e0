/** Search of finished images by prompt, negative prompt, seed, model and sampler. */
import type { About, ApiImage, ApiJob } from '../api/types.js';
import { optionsOfImage } from './grid/cells.js';
import { promptOfUpscaled } from './names.js';

/** Searchable texts of an image. */
export interface SearchTexts {
  readonly prompt: string;
  readonly negative: string;
  readonly seed: string;
  readonly model: string;
  /** Name and label of the sampler. */
  readonly sampler: string;
}

export function searchTexts(job: ApiJob, image: ApiImage, about: About | null): SearchTexts {
  const { prompt, negative, sampler } = optionsOfImage(job, image);
  const model = about?.models.find(({ name }) => name === job.model)?.diffusion;
  const name = typeof sampler === 'string' ? sampler : (model?.sampler ?? '');
  const label = about?.samplers.find((entry) => entry.name === name)?.label ?? '';
  return {
    prompt: typeof prompt === 'string' ? prompt : job.type === 'upscale' ? promptOfUpscaled(image) : '',
    negative: typeof negative === 'string' ? negative : '',
    seed: String(image.seed ?? job.options.seed ?? ''),
    model: job.model,
    sampler: `${name}\n${label}`,
  };
}

type Test = (image: SearchTexts) => boolean;

/**
 * Compiles a query to a predicate. All words must occur, in any case and order; `"two words"` must occur
 * literally, and `seed:`, `prompt:`, `negative:`, `model:` and `sampler:` search in one field only.
 */
export function compileQuery(query: string): Test {
  const tests = [...query.matchAll(/(?:(\w+):)?(?:"([^"]*)"?|(\S+))/g)].map(
    ([match, field, quoted, word]) => {
      const text = normalize(quoted ?? word ?? '');
      if (field === 'seed') return ({ seed }: SearchTexts) => seed === text;
      if (isField(field)) return (image: SearchTexts) => normalize(image[field]).includes(text);
      // A colon after anything else is part of the text, such as that of a weight.
      const all = field === undefined ? text : normalize(match.replaceAll('"', ''));
      return (image: SearchTexts) =>
        Object.values(image).some((value) => normalize(String(value)).includes(all));
    },
  );
  return (image) => tests.every((test) => test(image));
}

function isField(name: string | undefined): name is Exclude<keyof SearchTexts, 'seed'> {
  return name === 'prompt' || name === 'negative' || name === 'model' || name === 'sampler';
}

/** Normalizes Unicode composition and case. */
function normalize(text: string): string {
  return text.normalize('NFKC').toLowerCase();
}
