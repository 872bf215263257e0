/** Files that prompts refer to, through the compiled command line. */
import { readFileSync, writeFileSync } from 'node:fs';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseParameters } from '../../lib/image/parameters.js';
import { readPngText } from '../../lib/image/png.js';
import { startSession, workFolder } from '../support/cli.js';
import { AdapterFolder } from '../support/server/adapter-folder.js';

const work = workFolder();
const { run, end } = startSession();
const files = new AdapterFolder();
const folder = (name: string) => `${files.path}/${name}`;
const SMALL = ['--width', '64', '--height', '64', '--steps', '2', '--seed', '7', '--quiet', '--threads', '1'];

beforeAll(async () => {
  files.lora('loras/sub/mine.safetensors');
  files.embedding('embeddings/zyx.safetensors');
  files.text('wildcards/fruit.txt', 'pear\n# comment\nplum\n');
  writeFileSync(work.file('styles.csv'), 'name,prompt,negative_prompt\nink,"{prompt}, ink",colour\n');
  await files.image('left.png', '#fff', [8, 8]);
});
afterAll(() => {
  end();
  work.remove();
});

let count = 0;
async function generate(...args: string[]) {
  const file = work.file(`${count++}.png`);
  const { code, stderr } = await run(['generate', ...SMALL, ...args, '-o', file]);
  expect([code, stderr]).toEqual([0, '']);
  const { parameters } = await readPngText(readFileSync(file));
  return { data: await sharp(file).raw().toBuffer(), ...parseParameters(parameters!) };
}
const failure = async (...args: string[]) => {
  const { code, stderr, stdout } = await run([
    'generate',
    ...args,
    ...SMALL,
    '-o',
    work.file('x.png'),
    '--json',
  ]);
  return { code, text: stderr + stdout };
};

describe('safelight generate', () => {
  it('applies the LoRAs that a prompt names with --loras, like --lora', async () => {
    const tagged = await generate('an apple <lora:MINE:0.5:0.25>', '--loras', folder('loras'));
    const file = `${folder('loras')}/sub/mine.safetensors`;
    const option = await generate('an apple ', '--lora', `${file}:0.25:0.5`);
    expect(tagged.data.equals(option.data)).toBe(true);
    expect(tagged.data.equals((await generate('an apple ')).data)).toBe(false);
    expect(tagged.fields['Lora hashes']).toMatch(/^MINE: [0-9a-f]{12}$/);
    expect(option.prompt).toBe('an apple  <lora:mine:0.5:0.25>');
  });

  it('replaces the names of embeddings with --embeddings', async () => {
    const embedded = await generate('an apple', '-n', 'zyx', '--embeddings', folder('embeddings'));
    expect(embedded.data.equals((await generate('an apple', '-n', 'zyx')).data)).toBe(false);
    expect(embedded.fields['TI hashes']).toMatch(/^zyx: [0-9a-f]{12}$/);
  });

  it('resolves --dynamic-prompts with --wildcards, and applies --style from --styles', async () => {
    const made = await generate(
      ...['a {red|red} __fruit__', '--dynamic-prompts', '--wildcards', folder('wildcards')],
      ...['--style', 'ink', '--styles', work.file('styles.csv')],
    );
    expect(made.prompt).toMatch(/^a red (pear|plum), ink$/);
    expect(made.negative).toBe('colour');
    const literal = await generate('a {red|red} __fruit__');
    expect(literal.prompt).toBe('a {red|red} __fruit__');
  });

  it('limits a prompt to the mask of a --region', async () => {
    const mask = `${files.path}/left.png`;
    const region = await generate('an apple', '--region', `${mask}:blue water`, '--cfg', '5');
    const water = await generate('blue water', '--cfg', '5');
    const apart = [...region.data].map((value, i) => Math.abs(value - water.data[i]!));
    expect(Math.max(...apart)).toBeLessThanOrEqual(1);
    expect(region.fields.Unwritten).toBe('regions');
  });

  it('changes the prompt while it samples', async () => {
    const edited = await generate('[an apple:blue water:0.5]', '--steps', '4');
    expect(edited.data.equals((await generate('an apple', '--steps', '4')).data)).toBe(false);
    expect(edited.prompt).toBe('[an apple:blue water:0.5]');
  });

  it.each<[string, string[], RegExp]>([
    ['an unknown LoRA', ['<lora:mime:1>', '--loras', '{loras}'], /did you mean mine/s],
    ['a LoRA without a folder', ['<lora:mine:1>'], /--loras/s],
    ['a missing folder', ['a', '--embeddings', '/nowhere'], /--embeddings/s],
    [
      'an unknown wildcard',
      ['__fruits__', '--dynamic-prompts', '--wildcards', '{wildcards}'],
      /did you mean __fruit__/,
    ],
    ['a style without a file', ['a', '--style', 'ink'], /--styles/s],
    ['a region without a prompt', ['a', '--region', 'mask.png'], /MASK:PROMPT/s],
    [
      'a region whose mask is missing',
      ['a', '--region', 'nowhere.png:b'],
      /There is no image at 'nowhere.png'/,
    ],
  ])('rejects %s', async (_, args, message) => {
    const { code, text } = await failure(
      ...args.map((arg) => arg.replace(/^\{(\w+)\}$/, (_all, name: string) => folder(name))),
    );
    expect(code).not.toBe(0);
    expect(text).toMatch(message);
  });
});
