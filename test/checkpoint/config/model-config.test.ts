// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are interpolations of OmegaConf
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as yaml from 'yaml';
import { ModelConfig } from '../../../lib/checkpoint/config/omegaconf/model-config.js';
import { readModelConfig } from '../../../lib/checkpoint/config/omegaconf/read-model-config.js';
import { parseYaml } from '../../../lib/checkpoint/config/omegaconf/yaml-tree.js';
import { type ErrorCode, SafelightError } from '../../../lib/errors.js';

const config = (text: string): ModelConfig => new ModelConfig('m.yaml', parseYaml(text, 'm.yaml', yaml));

function rejected(act: () => unknown, message: RegExp): void {
  let thrown: unknown;
  try {
    act();
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(SafelightError);
  expect((thrown as SafelightError).code).toBe('INVALID_FILE');
  expect((thrown as SafelightError).message).toMatch(message);
}

describe('fields of a config', () => {
  const model = config(
    'model: {target: a.B, params: {ch: 128, lr: 1.5e-6, double_z: false, ch_mult: [1, 2], name: x, none: null, part: "???",' +
      ' layers: [{ch: 3}]}}',
  );

  test('are read by path', () => {
    expect(model.getString('model.target')).toBe('a.B');
    expect(model.getInt('model.params.ch', undefined, { min: 1, max: 128 })).toBe(128);
    expect(model.getNumber('model.params.lr')).toBe(1.5e-6);
    expect(model.getBoolean('model.params.double_z')).toBe(false);
    expect(model.getInts('model.params.ch_mult')).toEqual([1, 2]);
    expect(model.section('model.params')?.section('layers.0')?.getInt('ch')).toBe(3);
  });

  test('are optional if there is a default', () => {
    for (const field of ['model.params.none', 'model.params.part', 'model.params.gone', 'gone.gone'])
      expect([model.getInt(field, 7), model.getString(field, null), model.has(field)]).toEqual([
        7,
        null,
        false,
      ]);
    expect(model.section('model.params.none')).toBeNull();
  });

  test('are rejected by file and field name if they have another type', () => {
    rejected(
      () => model.getInt('model.params.name'),
      /^m\.yaml: model\.params\.name: expected an integer, found "x"/,
    );
    rejected(() => model.getInt('model.params.lr'), /found 0\.0000015/);
    rejected(() => model.getInt('model.params.ch', 1, { max: 64 }), /an integer of at most 64, found 128/);
    rejected(
      () => model.section('model.params')?.getInts('ch'),
      /model\.params\.ch: expected a list of integers/,
    );
    rejected(() => model.getString('model.params.none'), /expected a string, found null/);
    rejected(() => model.getBoolean('model.params.gone'), /found nothing/);
    rejected(() => model.section('model.target'), /expected a mapping/);
    rejected(() => model.getInt('model.params.ch_mult.length'), /found nothing/);
  });

  test('with the names of prototype properties are data like any other', () => {
    const tree = config('__proto__: {polluted: 1}\nconstructor: 2');
    expect(tree.getInt('__proto__.polluted')).toBe(1);
    expect(tree.getInt('constructor')).toBe(2);
    expect('polluted' in {}).toBe(false);
    expect(tree.has('toString')).toBe(false);
  });
});

describe('interpolations', () => {
  test.each([
    ['of an environment variable', 'a: ${oc.env:HOME}', /\$\{oc\.env:HOME\} is an unsupported interpolation/],
    ['that refers to a missing field', 'a: ${b.c}', /\$\{b\.c\} refers to a missing field/],
    ['that refers to itself', 'a: ${a}', /cyclic|too many/],
    ['that is circular', 'a: ${b}\nb: x${c}\nc: ${a}', /cyclic|too many/],
    ['above the root', 'a: ${...b}', /above the root/],
    ['of a mapping within text', 'a: x${b}\nb: {}', /does not refer to a scalar/],
    [
      'that doubles endlessly',
      `a: ${'${b}'.repeat(9)}\n${[...'bcdefghijk'].map((key, i) => `${key}: ${`\${${'bcdefghijkl'[i + 1]}}`.repeat(9)}`).join('\n')}\nl: ""`,
      /too many values/,
    ],
  ])('rejects an interpolation %s by name', (_, text, message) => {
    rejected(() => config(text).get('a'), message);
  });

  test('rejects an interpolation only when it is read', () => {
    expect(config('a: ${oc.env:HOME}\nb: 1').getInt('b')).toBe(1);
  });
});

describe('malicious YAML files', () => {
  const bomb = ['a: &a [x, x, x, x, x, x, x, x, x]'];
  for (const [before, key] of ['ab', 'bc', 'cd', 'de', 'ef', 'fg', 'gh', 'hi'])
    bomb.push(`${key}: &${key} [${Array(9).fill(`*${before}`).join(', ')}]`);

  test.each([
    ['aliases that expand to billions', bomb.join('\n'), /alias/i],
    ['an alias that contains itself', 'a: &a [*a]', /nested deeper|alias/i],
    ['deep nesting', '['.repeat(100_000), /no YAML|nested/],
    [
      'deep indentation',
      Array.from({ length: 300 }, (_, i) => `${' '.repeat(i)}a:\n`).join(''),
      /nested deeper/,
    ],
    ['deep closed nesting', `a: ${'['.repeat(500)}${']'.repeat(500)}`, /nested deeper/],
    ['tags of Python', 'a: !!python/object/apply:os.system ["touch x"]', /line 1: .*tag/i],
    ['custom tags', 'a: 1\nb: !thing 1', /line 2: .*tag/i],
    ['binary data', 'a: !!binary aGk=', /tag/i],
    ['duplicate keys', 'a: 1\na: 2', /unique/],
    ['a list at its root', '- 1', /is not a mapping/],
    ['an empty file', '', /is not a mapping/],
    ['two documents', 'a: 1\n---\nb: 2', /document/],
    ['a mapping as a key', '? {a: 1}\n: 2', /key/],
    ['an unknown alias', 'a: *b', /alias/i],
  ])('rejects %s', (_, text, message) => {
    rejected(() => parseYaml(text, 'm.yaml', yaml), message);
  });

  test.each(['[', '&a ', 'a:\n', '-\n', '\t- '])('rejects %j repeated many times in a short time', (part) => {
    const start = performance.now();
    rejected(() => parseYaml(part.repeat(131_072 / part.length), 'm.yaml', yaml), /not a model's config/);
    // One second on an idle machine; quadratic time would take minutes.
    expect(performance.now() - start).toBeLessThan(10_000);
  });

  test('rejects a file that is too large before reading it', async () => {
    const path = join(await mkdtemp(join(tmpdir(), 'safelight-configs-')), 'config.yaml');
    await writeFile(path, 'a: 1\n'.repeat(50_000));
    await expect(readModelConfig(path, path)).rejects.toThrow(/has 250000 bytes, expected at most 131072/);
    await rm(dirname(path), { recursive: true });
  });
});

describe('the config of a checkpoint', () => {
  let root: string;
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'safelight-configs-'));
  });
  afterAll(() => rm(root, { recursive: true, force: true }));

  /** Writes files and finds the config of one of them. */
  async function found(files: Record<string, string>, checkpoint: string, option?: string | string[]) {
    const folder = await mkdtemp(join(root, 'case-'));
    for (const [name, text] of Object.entries({ ...files, [checkpoint]: '' })) {
      await mkdir(dirname(join(folder, name)), { recursive: true });
      await writeFile(join(folder, name), text);
    }
    const options =
      typeof option === 'string' ? join(folder, option) : option?.map((name) => join(folder, name));
    const config = await readModelConfig(join(folder, checkpoint), options);
    return config?.get('model.params.n') ?? null;
  }
  const model = (n: number): string => `model: {target: x, params: {n: ${n}}}`;

  test('is next to it: the same name first, then config.yaml, then model.yaml', async () => {
    const files = { 'a.yaml': model(1), 'config.yaml': model(2), 'model.yaml': model(3) };
    expect(await found(files, 'a.ckpt')).toBe(1);
    expect(await found(files, 'b.ckpt')).toBe(2);
    expect(await found({ 'model.yml': model(3) }, 'b.ckpt')).toBe(3);
    expect(await found({ 'other.yaml': model(3) }, 'b.ckpt')).toBeNull();
  });

  test('is not a file that describes something else', async () => {
    expect(await found({ 'a.yaml': 'data: {params: {n: 1}}', 'config.yaml': model(2) }, 'a.ckpt')).toBe(2);
  });

  test('is that of the training run, with resumed runs merged in order', async () => {
    const files = {
      'configs/2021-04-01T00-00-00-project.yaml': 'model: {target: x, params: {n: 1, m: 1}}',
      'configs/2021-05-01T00-00-00-project.yaml': 'model: {params: {n: 2}}',
      'configs/2021-05-01T00-00-00-lightning.yaml': 'lightning: {}',
    };
    expect(await found(files, 'checkpoints/last.ckpt')).toBe(2);
    expect(await found({ 'configs/model.yaml': model(4) }, 'ckpts/last.ckpt')).toBe(4);
  });

  test('may be given as an option, also several', async () => {
    expect(await found({ 'a.yaml': model(1), 'z.yaml': model(9) }, 'a.ckpt', 'z.yaml')).toBe(9);
    expect(await found({ 'y.yaml': model(8), 'z.yaml': model(9) }, 'a.ckpt', ['z.yaml', 'y.yaml'])).toBe(8);
  });

  test('has to exist and to be a config if it is given', async () => {
    const code = (reading: Promise<unknown>): Promise<ErrorCode> =>
      reading.then(
        () => expect.unreachable(),
        (error: unknown) => (error as SafelightError).code,
      );
    expect(await code(found({}, 'a.ckpt', 'gone.yaml'))).toBe('FILE_NOT_FOUND');
    expect(await code(found({ 'z.yaml': 'a: 1' }, 'a.ckpt', 'z.yaml'))).toBe('INVALID_FILE');
    expect(await code(readModelConfig('a.ckpt', ''))).toBe('INVALID_OPTION');
  });

  test('is searched in a folder that is given', async () => {
    const folder = await mkdtemp(join(root, 'case-'));
    await writeFile(join(folder, 'config.yaml'), model(5));
    expect((await readModelConfig(folder))?.getInt('model.params.n')).toBe(5);
  });
});
