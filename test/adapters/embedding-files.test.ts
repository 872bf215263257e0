/** Files of textual inversion in each form, as PyTorch, safetensors and A1111 write them. */
import { createHash } from 'node:crypto';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { bundledEmbeddings } from '../../lib/adapters/embeddings/bundled-embeddings.js';
import { type EmbeddingFile, readEmbedding } from '../../lib/adapters/embeddings/embedding-file.js';
import { misfitMessage, modelEmbedding } from '../../lib/adapters/embeddings/model-embedding.js';
import { readLora } from '../../lib/adapters/lora-file.js';
import { SafelightError } from '../../lib/errors.js';
import { encodePng } from '../../lib/image/png.js';
import { Tensor } from '../../lib/tensor/tensor.js';
import { FIXTURES, record, vectorsOf } from '../support/embeddings.js';
import { tensorOf } from '../support/lora.js';
import { type RawTensor, writeSafetensors } from '../support/tiny-models.js';

const folder = mkdtempSync(join(tmpdir(), 'safelight-embedding-files-'));
afterAll(() => rmSync(folder, { recursive: true }));

const { amplitude, width, width_2: width2 } = record.files;
const fixture = (name: string) => readEmbedding(join(FIXTURES, name));
/** The first two of the vectors `old-oak`, which most files contain. */
const two = vectorsOf('old-oak', 'any', width, amplitude).slice(0, 2 * width);
const one = vectorsOf('inky', 'any', width, amplitude);
const second = vectorsOf('old-oak', 'clip_g', width2, amplitude).slice(0, 2 * width2);
const MADE_IN_WEBUI = { step: 1234, sdCheckpoint: '4bdfc29c', sdCheckpointName: 'sd-v1-5' };

let written = 0;
/** Writes a safetensors file of tensors in f32. @returns its path */
function write(tensors: Readonly<Record<string, RawTensor>>): string {
  const path = join(folder, `file-${written++}.safetensors`);
  writeSafetensors(path, new Map(Object.entries(tensors)));
  return path;
}

const f32 = (shape: readonly number[], fill = 1): RawTensor =>
  tensorOf(new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(fill), shape, 'F32');

/** Writes a PNG with the text of an embedding. @returns its path */
async function writeImage(json: string, name = `image-${written++}.png`): Promise<string> {
  const path = join(folder, name);
  const image = { data: new Uint8Array(12), width: 2, height: 2, channels: 3 } as const;
  writeFileSync(path, await encodePng(image, { 'sd-ti-embedding': Buffer.from(json).toString('base64') }));
  return path;
}

describe('readEmbedding', () => {
  it.each([
    ['webui.pt', MADE_IN_WEBUI],
    ['legacy.pt', MADE_IN_WEBUI],
    ['parameter.pt', MADE_IN_WEBUI],
    ['parameter-dict.pt', {}],
    ['parameter-dict-legacy.pt', {}],
    ['half.bin', {}],
    ['kohya.safetensors', {}],
    ['other.safetensors', {}],
    ['text.png', { ...MADE_IN_WEBUI, name: 'made-name' }],
  ])('reads two vectors of %s', async (name, facts) => {
    const { tables, ...rest } = await fixture(name);
    expect(Object.keys(tables)).toEqual(['any']);
    expect(tables.any!.shape).toEqual([2, width]);
    expect(tables.any!.data).toEqual(two);
    const path = join(FIXTURES, name);
    const digest = createHash('sha256').update(readFileSync(path)).digest('hex');
    const hash = digest.slice(0, 12);
    expect(rest).toEqual({ path, name: name.split('.')[0], hash, vectors: 2, widths: [width], ...facts });
  });

  it('reads a vector of one dimension, as diffusers saves a concept', async () => {
    const { tables, vectors } = await fixture('concept.bin');
    expect([vectors, tables.any!.shape, tables.any!.data]).toEqual([1, [1, width], one]);
  });

  it.each(['xl.safetensors', 'pivotal.safetensors'])(
    'reads the vectors of both encoders of %s',
    async (name) => {
      const { tables, vectors, widths } = await fixture(name);
      expect([vectors, widths, Object.keys(tables)]).toEqual([2, [width, width2], ['clip_l', 'clip_g']]);
      expect([tables.clip_l!.data, tables.clip_g!.data]).toEqual([two, second]);
    },
  );

  it.each(['pixels.png', 'pixels.webp'])('reads the vectors in the pixels of %s', async (name) => {
    const { tables, ...rest } = await fixture(name);
    expect(tables.any!.data).toEqual(one);
    expect(rest).toMatchObject({ name: 'made-name', vectors: 1, ...MADE_IN_WEBUI });
  });

  it('recognizes the format by its content, not by its extension', async () => {
    const path = join(folder, 'renamed.bin');
    copyFileSync(join(FIXTURES, 'kohya.safetensors'), path);
    expect((await readEmbedding(path)).tables.any!.data).toEqual(two);
  });

  it.each([
    [
      'a missing file',
      () => join(folder, 'missing.pt'),
      'ADAPTER_NOT_FOUND',
      /embedding .*missing\.pt does not exist/,
    ],
    ['a folder', () => folder, 'ADAPTER_NOT_FOUND', /is a folder/],
    [
      'several embeddings',
      () => write({ 'string_to_param.*': f32([1, 4]), 'string_to_param.a': f32([1, 4]) }),
      'UNSUPPORTED_ADAPTER',
      /contains 2 embeddings/,
    ],
    [
      'tables of different length',
      () => write({ clip_l: f32([1, 4]), clip_g: f32([2, 6]) }),
      'INVALID_FILE',
      /1 and 2 vectors/,
    ],
    ['no vector', () => write({ emb_params: f32([0, 4]) }), 'UNSUPPORTED_ADAPTER', /shape \[0, 4\]/],
    [
      'three dimensions',
      () => write({ emb_params: f32([1, 2, 4]) }),
      'UNSUPPORTED_ADAPTER',
      /shape \[1, 2, 4\]/,
    ],
    [
      'too many vectors',
      () => write({ emb_params: f32([1025, 2]) }),
      'UNSUPPORTED_ADAPTER',
      /up to 1024 vectors/,
    ],
    ['NaN', () => write({ emb_params: f32([1, 4], Number.NaN) }), 'NOT_FINITE', /NaN/],
    [
      'another kind of model',
      () => write(Object.fromEntries('abcdef'.split('').map((name) => [name, f32([2, 2])]))),
      'UNSUPPORTED_ADAPTER',
      /contains 6 tensors/,
    ],
    [
      'integers',
      () => write({ emb_params: { dtype: 'I64', shape: [1, 1], data: new Uint8Array(8) } }),
      'UNSUPPORTED_ADAPTER',
      /type I64/,
    ],
    [
      'no tensor of numbers',
      () => write({ a: { dtype: 'I64', shape: [1], data: new Uint8Array(8) } }),
      'UNSUPPORTED_ADAPTER',
      /no vectors/,
    ],
    [
      'an image without an embedding',
      () => join(FIXTURES, 'plain.png'),
      'INVALID_FILE',
      /neither the text "sd-ti-embedding" nor data in its pixels/,
    ],
  ])('rejects %s', async (_, path, code, message) => {
    await expect(readEmbedding(path())).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
  });

  it('rejects a large file without reading it', async () => {
    const path = join(folder, 'large.safetensors');
    writeFileSync(path, Buffer.alloc(64 * 2 ** 20 + 1));
    await expect(readEmbedding(path)).rejects.toMatchObject({
      code: 'UNSUPPORTED_ADAPTER',
      message: expect.stringMatching(/67108865 bytes/),
    });
    rmSync(path);
  });

  it.each([
    ['text that is not JSON', '{', /not valid JSON/],
    ['deep nesting', '['.repeat(1e5), /not valid JSON/],
    ['a list', '[]', /no vectors/],
    [
      'rows of different length',
      '{"string_to_param":{"*":{"TORCHTENSOR":[[1,2],[3]]}}}',
      /no table of numbers/,
    ],
    ['text instead of numbers', '{"string_to_param":{"*":{"TORCHTENSOR":[["1"]]}}}', /no table of numbers/],
    ['deeper lists', '{"string_to_param":{"*":{"TORCHTENSOR":[[[1]]]}}}', /no table of numbers/],
    ['no list', '{"string_to_param":{"*":{"TORCHTENSOR":{"length":1}}}}', /no list of numbers/],
    ['an empty list', '{"string_to_param":{"*":{"TORCHTENSOR":[]}}}', /shape/],
    ['an infinite number', '{"string_to_param":{"*":{"TORCHTENSOR":[[1e999]]}}}', /NaN or infinite/],
    [
      'keys of prototypes',
      '{"__proto__":{"*":{"TORCHTENSOR":"x"}},"constructor":{"TORCHTENSOR":1}}',
      /no list/,
    ],
  ])('rejects an image with %s', async (_, json, message) => {
    const error = await readEmbedding(await writeImage(json)).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(SafelightError);
    expect(error).toMatchObject({ message: expect.stringMatching(message) });
  });

  it('names an image after its file if it states no name', async () => {
    const json = '{"string_to_param":{"*":{"TORCHTENSOR":[1,2,3]}},"name":"","step":-1,"sd_checkpoint":null}';
    const { name, tables, step, sdCheckpoint } = await readEmbedding(await writeImage(json, 'own-name.png'));
    expect([name, tables.any!.shape, step, sdCheckpoint]).toEqual(['own-name', [1, 3], undefined, undefined]);
  });

  it('rejects every damaged file with a typed error', async () => {
    const names = [
      'webui.pt',
      'legacy.pt',
      'parameter-dict.pt',
      'concept.bin',
      'xl.safetensors',
      'text.png',
      'pixels.png',
      'pixels.webp',
    ];
    let state = 1;
    const random = (count: number) => {
      state = (Math.imul(state, 1103515245) + 12345) >>> 0;
      return Math.floor((state / 2 ** 32) * count);
    };
    const codes = new Set<string>();
    for (const name of names) {
      const whole = readFileSync(join(FIXTURES, name));
      const path = join(folder, `damaged-${name}`);
      for (let i = 0; i < 40; i++) {
        const bytes = Buffer.from(i % 2 === 0 ? whole.subarray(0, random(whole.length)) : whole);
        for (let n = random(4); n >= 0 && bytes.length > 0; n--) bytes[random(bytes.length)] = random(256);
        writeFileSync(path, bytes);
        const error = await readEmbedding(path).catch((reason: unknown) => reason);
        if (error instanceof SafelightError) codes.add(error.code);
        else if (error instanceof Error) throw error;
      }
    }
    const allowed = ['INVALID_FILE', 'UNSUPPORTED_ADAPTER', 'NOT_FINITE'];
    expect([...codes].filter((code) => !allowed.includes(code))).toEqual([]);
    expect(codes.has('INVALID_FILE')).toBe(true);
  });
});

describe('bundledEmbeddings', () => {
  const bundle = async (tensors: Readonly<Record<string, RawTensor>>) => {
    const lora = await readLora(write(tensors));
    return bundledEmbeddings(lora);
  };

  it('reads the embeddings of a LoRA file by their names, in the forms that LyCORIS writes', async () => {
    const files = await bundle({
      'lora_unet_x.lora_down.weight': f32([1, 4]),
      'bundle_emb.ink.string_to_param.*': f32([2, 4], 0.5),
      'bundle_emb.v1.5 style.clip_l': f32([3, 4], 2),
      'bundle_emb.v1.5 style.clip_g': f32([3, 6], 3),
      'bundle_emb.other.vector': f32([4], 4),
    });
    expect(files.map(({ name, vectors, widths }) => [name, vectors, widths])).toEqual([
      ['ink', 2, [4]],
      ['v1.5 style', 3, [4, 6]],
      ['other', 1, [4]],
    ]);
    expect(files[1]!.tables.clip_g!.data).toEqual(new Float32Array(18).fill(3));
    expect(new Set(files.map(({ hash }) => hash)).size).toBe(3);
  });

  it('hashes the content of an embedding, not its file', async () => {
    const [a] = await bundle({ 'bundle_emb.a.emb_params': f32([2, 4]) });
    const [b] = await bundle({ 'bundle_emb.b.emb_params': f32([2, 4]), more: f32([1]) });
    const [c] = await bundle({ 'bundle_emb.a.emb_params': f32([4, 2]) });
    expect(a!.hash).toMatch(/^[0-9a-f]{12}$/);
    expect([b!.hash === a!.hash, c!.hash === a!.hash]).toEqual([true, false]);
  });

  it('names the embedding that is damaged', async () => {
    const files = bundle({ 'bundle_emb.ink.emb_params': f32([1, 4], Number.NaN) });
    await expect(files).rejects.toMatchObject({
      code: 'NOT_FINITE',
      message: expect.stringMatching(/"ink" in .*NaN/),
    });
    expect(await bundle({ 'lora_unet_x.alpha': f32([]) })).toEqual([]);
  });
});

describe('modelEmbedding', () => {
  const table = (columns: number) => Tensor.zeros([2, columns]);
  const file = (tables: EmbeddingFile['tables']): EmbeddingFile => ({
    ...{ path: '/style.pt', name: 'style', hash: 'abc', tables, vectors: 2 },
    widths: Object.values(tables).map(({ shape }) => shape[1]!),
  });
  const assign = (tables: EmbeddingFile['tables'], ...widths: number[]) =>
    modelEmbedding(file(tables), widths).tables.map((each) => each?.shape[1]);

  it('assigns the only table to the only encoder of its width', () => {
    expect(assign({ any: table(8) }, 8)).toEqual([8]);
    expect(assign({ any: table(8) }, 12)).toEqual([undefined]);
    expect(assign({ any: table(8) }, 8, 8)).toEqual([undefined, undefined]);
  });

  it('assigns clip_l and clip_g by name, even if both have one width', () => {
    const [l, g] = [table(8), table(8)];
    expect(modelEmbedding(file({ clip_l: l, clip_g: g }), [8, 8]).tables[0]).toBe(l);
    expect(modelEmbedding(file({ clip_l: l, clip_g: g }), [8, 8]).tables[1]).toBe(g);
    expect(assign({ clip_l: table(8), clip_g: table(12) }, 12, 8)).toEqual([undefined, undefined]);
    expect(assign({ clip_l: table(8) }, 8, 12)).toEqual([8, undefined]);
  });

  it('assigns clip_g of a file for SDXL to the only encoder of its refiner, but not clip_l to SD1', () => {
    expect(assign({ clip_l: table(8), clip_g: table(12) }, 12)).toEqual([12]);
    expect(assign({ clip_l: table(8), clip_g: table(12) }, 8)).toEqual([undefined]);
    expect(assign({ clip_l: table(8) }, 8)).toEqual([8]);
  });

  it('states file, name and both widths in the warning about a misfit', () => {
    const message = misfitMessage(file({ clip_l: table(8), clip_g: table(12) }), [16]);
    expect(message).toMatch(/\/style\.pt.*width 8 and 12.*width 16.*"style"/);
  });
});
