/** Embeddings in text encoders, against diffusers' pipelines after `load_textual_inversion`. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readSafetensors } from '../../lib/checkpoint/formats/safetensors.js';
import { readRow } from '../../lib/checkpoint/weights/read-tensor.js';
import type { Encoding, TextSettings } from '../../lib/conditioning/prompt-encoder.js';
import type { TokenEmbedding } from '../../lib/conditioning/token-embeddings.js';
import { Tensor } from '../../lib/tensor/tensor.js';
import {
  type EmbeddingModel,
  type Encoders,
  FIXTURES,
  loadEncoders,
  models,
  names,
  record,
  tokenEmbedding,
} from '../support/embeddings.js';
import { caseNamed, writeModel } from '../support/latent-diffusion.js';
import { expected } from '../support/lora.js';
import { relativeError } from '../support/pipeline-cases.js';
import { writeFolder } from '../support/tiny-models.js';

/** A backend whose memory the host may not access (test/gpu/device.test.ts). */
const DEVICE = fileURLToPath(new URL('../../build/test-device', import.meta.url));
process.env.SAFELIGHT_GPU_BINARIES = DEVICE;

const folder = mkdtempSync(join(tmpdir(), 'safelight-embeddings-'));
const folders = {} as Record<EmbeddingModel, string>;
const loaded = {} as Record<EmbeddingModel, Encoders>;
let reference: Awaited<ReturnType<typeof expected>>;

beforeAll(async () => {
  reference = await expected(FIXTURES);
  for (const model of models) {
    folders[model] = writeFolder(model, join(folder, model));
    loaded[model] = await loadEncoders(folders[model]);
  }
});
afterAll(() => {
  for (const encoders of Object.values(loaded)) encoders[Symbol.dispose]();
  rmSync(folder, { recursive: true });
});

const PLAIN: TextSettings = { clipSkip: 1, emphasis: 'original' };
const PROMPT = 'a red apple inky on the road';
const withNames = (model: EmbeddingModel, ...used: string[]): TextSettings => ({
  ...PLAIN,
  embeddings: used.map((name) => tokenEmbedding(model, name)),
});

/** Returns the positions of each chunk that the reference stored. */
function kept({ context, chunks }: Encoding): number[] {
  const [first, last] = record.kept;
  const rows = context.reshape([chunks, context.shape[1]! / chunks, context.shape[2]!]);
  return Array.from({ length: chunks }, (_, i) => [
    ...rows.slice(i, [0, first]).data,
    ...rows.slice(i, [-last, null]).data,
  ]).flat();
}

describe.each(models)('prompts with embeddings, %s', (model) => {
  it.each(Object.entries(record.cases))(
    'are encoded as by diffusers: %s',
    async (name, { prompt, chunks }) => {
      const encoding = await loaded[model].prompt.encode(prompt, withNames(model, ...names));
      expect(encoding.chunks).toBe(chunks);
      expect(relativeError(kept(encoding), reference(`${model}/${name}`).data)).toBeLessThan(1e-3);
      if (model === 'sdxl') {
        const pooled = reference(`${model}/${name}/pooled`).data;
        expect(relativeError(encoding.pooled!.data, pooled)).toBeLessThan(1e-3);
      }
      // The reference is of the embeddings, not of their names as words.
      const words = await loaded[model].prompt.encode(prompt, PLAIN);
      expect(relativeError(kept({ ...words, chunks }), reference(`${model}/${name}`).data)).toBeGreaterThan(
        0.05,
      );
    },
  );

  it('are encoded alike with stock operations and mapped weights', async () => {
    const fused = await loaded[model].prompt.encode(PROMPT, withNames(model, 'inky'));
    for (const options of [{ stockOps: true }, { memory: 'lean' }] as const) {
      using other = await loadEncoders(folders[model], options);
      const encoding = await other.prompt.encode(PROMPT, withNames(model, 'inky'));
      expect(relativeError(encoding.context.data, fused.context.data)).toBeLessThan(1e-3);
    }
  });

  it.skipIf(!existsSync(join(DEVICE, 'safelight-vulkan.node')))(
    'are encoded on another device as by stock operations of the CPU',
    async () => {
      using here = await loadEncoders(folders[model], { stockOps: true });
      using there = await loadEncoders(folders[model], { backend: 'vulkan' });
      const [wanted, actual] = [
        await here.prompt.encode(PROMPT, withNames(model, 'inky')),
        await there.prompt.encode(PROMPT, withNames(model, 'inky')),
      ];
      expect(actual.context.data).toEqual(wanted.context.data);
    },
  );

  it('are encoded in the negative prompt', async () => {
    const { prompt } = loaded[model];
    const pair = await prompt.encodePair('a cat', PROMPT, withNames(model, 'inky'));
    expect(relativeError(kept(pair.negative), reference(`${model}/one`).data)).toBeLessThan(1e-3);
    const plain = await prompt.encode('a cat', PLAIN);
    expect(pair.positive.context.data).toEqual(plain.context.data);
  });

  it('are encoded again if an embedding of the same name has other content', async () => {
    const { prompt } = loaded[model];
    const settings = withNames(model, 'inky');
    const first = await prompt.encode(PROMPT, settings);
    expect(await prompt.encode(PROMPT, settings)).toBe(first);
    const [embedding] = settings.embeddings!;
    const tables = embedding!.tables.map((table) =>
      Tensor.from(
        table!.data.map((value) => -value),
        table!.shape,
      ),
    );
    const other: TokenEmbedding = { ...embedding!, identity: 'other', tables };
    const second = await prompt.encode(PROMPT, { ...PLAIN, embeddings: [other] });
    expect(relativeError(second.context.data, first.context.data)).toBeGreaterThan(0.05);
    expect(await prompt.encode(PROMPT, settings)).toBe(first);
  });

  it('use the cached encoding of a prompt in which no embedding occurs', async () => {
    const { prompt } = loaded[model];
    const plain = await prompt.encode('a silver bird', PLAIN);
    expect(await prompt.encode('a silver bird', withNames(model, ...names))).toBe(plain);
  });

  it('keep the name as text if the embedding lacks vectors of the right width for an encoder', async () => {
    const { prompt } = loaded[model];
    const plain = await prompt.encode(PROMPT, PLAIN);
    const embedding = tokenEmbedding(model, 'inky');
    const [first, ...others] = embedding.tables;
    const wide = Tensor.zeros([1, first!.shape[1]! + 1]);
    const misfits = [
      [undefined, ...others],
      [wide, ...others],
      [Tensor.zeros([0, first!.shape[1]!]), ...others],
    ];
    for (const tables of misfits) {
      const encoding = await prompt.encode(PROMPT, { ...PLAIN, embeddings: [{ ...embedding, tables }] });
      expect(encoding.context.data).toEqual(plain.context.data);
    }
    expect(prompt.tokenize(PROMPT, 'original', [embedding])[0]!.tokens).toContain('inky');
  });
});

describe('findEmbeddings', () => {
  /** Returns a source of embeddings, of which some do not fit the model or cannot be read. */
  function source(all: readonly string[], misfits: readonly string[] = [], damaged: readonly string[] = []) {
    const read: string[] = [];
    return {
      names: all,
      read: async (name: string): Promise<TokenEmbedding> => {
        read.push(name);
        if (damaged.includes(name)) throw new Error(`${name} is damaged`);
        return { name, identity: name, tables: [Tensor.zeros([2, misfits.includes(name) ? 4 : 128])] };
      },
      requested: read,
    };
  }
  const find = async (prompts: readonly string[], from: ReturnType<typeof source>) => {
    const { used, misfits } = await loaded.sd1.prompt.findEmbeddings(prompts, 'original', from);
    return [used, misfits].map((list) => list.map(({ name }) => name));
  };

  it('reads only the embeddings whose names occur in one of the prompts', async () => {
    const from = source(['cat', 'old oak', 'dog', 'fox'], [], ['fox']);
    expect(await find(['an (old oak:1.2)', 'a dog'], from)).toEqual([['old oak', 'dog'], []]);
    expect(from.requested).toEqual(['old oak', 'dog']);
    expect(await find(['an old house'], from)).toEqual([[], []]);
  });

  it('fails if an embedding that is named cannot be read', async () => {
    await expect(find(['a fox'], source(['cat', 'fox'], [], ['fox']))).rejects.toThrow('fox is damaged');
  });

  it('finds shorter names in the name of an embedding that does not fit', async () => {
    const all = ['old', 'old oak', 'old oak tree'];
    expect(await find(['an old oak tree'], source(all))).toEqual([['old oak tree'], []]);
    const from = source(all, ['old oak tree', 'old oak']);
    expect(await find(['an old oak tree'], from)).toEqual([['old'], ['old oak tree', 'old oak']]);
    expect(from.requested).toEqual(['old oak tree', 'old oak', 'old']);
  });

  it('reads brackets literally without emphasis', async () => {
    const from = source(['old oak']);
    expect(await loaded.sd1.prompt.findEmbeddings(['old (oak:1.2)'], 'none', from)).toMatchObject({
      used: [],
    });
    expect(await loaded.sd1.prompt.findEmbeddings(['(old oak'], 'none', from)).toMatchObject({
      used: [{ name: 'old oak' }],
    });
  });
});

describe('vectors of a text encoder', () => {
  it('replace token embeddings exactly, in BERT, too', async () => {
    const path = writeModel(caseNamed('text'), join(folder, 'bert'));
    using encoders = await loadEncoders(path);
    const { encoder, tokenizer, source } = encoders.encoders[0]!;
    expect(source.kind).toBe('bert');
    const ids = tokenizer.encode('a red apple').slice(0, 3);
    const width = source.config.hidden_size;
    const { tensors } = await readSafetensors(path);
    const table = [...tensors.values()].find(({ name }) => name.endsWith('token_emb.weight'))!;
    const vectors = Tensor.zeros([1, 3, width]);
    vectors.data.set(await readRow(table, ids[1]!), width);
    const tokens = (...row: number[]) => Tensor.from(Int32Array.from(row), [1, 3]);
    const vectorMask = Tensor.from(Float32Array.of(0, 1, 0), [1, 3]);
    const plain = await encoder.encode({ tokens: tokens(...ids) });
    const changed = await encoder.encode({ tokens: tokens(ids[0]!, 7, ids[2]!) });
    const replaced = await encoder.encode({ tokens: tokens(ids[0]!, 7, ids[2]!), vectors, vectorMask });
    expect(replaced.hidden.data).toEqual(plain.hidden.data);
    expect(relativeError(changed.hidden.data, plain.hidden.data)).toBeGreaterThan(0.01);
  });

  const tokens = Tensor.from(Int32Array.of(1, 2, 3), [1, 3]);
  const vectors = Tensor.zeros([1, 3, 128]);
  const vectorMask = Tensor.zeros([1, 3]);
  it.each([
    ['without a mask', { tokens, vectors }, 'INVALID_OPTION', /vectorMask/],
    ['without vectors', { tokens, vectorMask }, 'INVALID_OPTION', /vectors/],
    ['without tokens', { embeddings: vectors, vectors, vectorMask }, 'INVALID_OPTION', /tokens/],
    [
      'of another width',
      { tokens, vectors: Tensor.zeros([1, 3, 64]), vectorMask },
      'SHAPE_MISMATCH',
      /vectors/,
    ],
    [
      'of another length',
      { tokens, vectors: Tensor.zeros([1, 2, 128]), vectorMask },
      'SHAPE_MISMATCH',
      /vectors/,
    ],
    [
      'with a longer mask',
      { tokens, vectors, vectorMask: Tensor.zeros([1, 4]) },
      'SHAPE_MISMATCH',
      /vector_mask/,
    ],
    [
      'with a mask of other numbers',
      { tokens, vectors, vectorMask: Tensor.from(Float32Array.of(0, 0.5, 1), [1, 3]) },
      'INVALID_OPTION',
      /0 and 1.*vectorMask.*0\.5/,
    ],
  ])('are rejected %s', async (_, inputs, code, message) => {
    const call = loaded.sd1.encoders[0]!.encoder.encode(inputs);
    await expect(call).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });
});
