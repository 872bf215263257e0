/** Search among finished images: by prompt, negative prompt, seed, model and sampler. */
import type { About, ShownImage, ShownJob } from '../api/types.js';

/** What an image is found by. */
export interface Findable {
  readonly prompt: string;
  readonly negative: string;
  readonly seed: string;
  readonly model: string;
  /** Name and label. */
  readonly sampler: string;
}

export function findable(job: ShownJob, picture: ShownImage, about: About | null): Findable {
  const { prompt, negative, sampler } = job.options;
  const model = about?.models.find(({ name }) => name === job.model)?.diffusion;
  const name = typeof sampler === 'string' ? sampler : (model?.sampler ?? '');
  const label = about?.samplers.find((one) => one.name === name)?.label ?? '';
  return {
    prompt: typeof prompt === 'string' ? prompt : '',
    negative: typeof negative === 'string' ? negative : '',
    seed: String(picture.seed ?? job.options.seed ?? ''),
    model: job.model,
    sampler: `${name}\n${label}`,
  };
}

type Test = (image: Findable) => boolean;

/**
 * Returns the test of a query. All words must occur, in any letter case and order; `"two words"` must occur as they stand, and `seed:`,
 * `prompt:`, `negative:`, `model:` and `sampler:` look in one place only.
 */
export function finder(query: string): Test {
  const tests = [...query.matchAll(/(?:(\w+):)?(?:"([^"]*)"?|(\S+))/g)].map(
    ([whole, place, quoted, word]) => {
      const text = folded(quoted ?? word ?? '');
      if (place === 'seed') return ({ seed }: Findable) => seed === text;
      if (isPlace(place)) return (image: Findable) => folded(image[place]).includes(text);
      // A colon that names no place belongs to the text, such as the one in a weight.
      const all = place === undefined ? text : folded(whole.replaceAll('"', ''));
      return (image: Findable) => Object.values(image).some((value) => folded(String(value)).includes(all));
    },
  );
  return (image) => tests.every((test) => test(image));
}

function isPlace(name: string | undefined): name is Exclude<keyof Findable, 'seed'> {
  return name === 'prompt' || name === 'negative' || name === 'model' || name === 'sampler';
}

/** Composed and decomposed letters are the same, and so are large and small ones. */
function folded(text: string): string {
  return text.normalize('NFKC').toLowerCase();
}
