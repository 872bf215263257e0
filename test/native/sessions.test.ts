import { afterAll, describe, expect, it } from 'vitest';
import type { NativeModuleHandle, NativeTensor } from '../../lib/binding/types.js';
import { addon, createModule, difference, type Fixture, readFixture } from '../support/native-modules.js';
import { planOf, removeFiles } from './tiny.js';

afterAll(removeFiles);

const i32 = (values: readonly number[], shape: readonly number[]): NativeTensor => ({
  data: Int32Array.from(values),
  shape,
});

/** Returns the inputs of a step: the codes at positions [from, to) of codes [B, T], and the first position. */
function stepInputs({ data, shape }: NativeTensor, from: number, to: number): Record<string, NativeTensor> {
  const [batch = 0, length = 0] = shape;
  const rows = Array.from({ length: batch }, (_, b) => [
    ...data.subarray(b * length + from, b * length + to),
  ]);
  return { codes: i32(rows.flat(), [batch, to - from]), position: i32([from], [1]) };
}

/** Selects the logits at position `last` of each sequence: [B, T, V] -> [B, V]. */
function logitsAt({ data, shape }: NativeTensor, last: number): NativeTensor {
  const [batch = 0, length = 0, vocabulary = 0] = shape;
  const out = new Float32Array(batch * vocabulary);
  for (let b = 0; b < batch; b++) {
    const at = (b * length + last) * vocabulary;
    out.set(data.subarray(at, at + vocabulary), b * vocabulary);
  }
  return { data: out, shape: [batch, vocabulary] };
}

async function step(
  module: NativeModuleHandle,
  session: string,
  codes: NativeTensor,
  from: number,
  to: number,
) {
  return (await module.run('step', stepInputs(codes, from, to), { session }).promise).outputs.logits!;
}

/** Resolves when all queued calls have finished, by awaiting another run. */
async function drained(module: NativeModuleHandle): Promise<void> {
  await module.run('forward', { codes: i32([0], [1, 1]) }, {}).promise;
}

describe.each(['latent-transformer', 'latent-transformer-unmasked'])('the KV cache of %s', (name) => {
  it.each([false, true])(
    'gives the same logits as a run of the whole sequence (stock operations: %s)',
    async (stockOps) => {
      const fixture = await readFixture(name);
      const module = await createModule(fixture, 'f32', { stockOps });
      const { n_unmasked: unmasked } = fixture.config as { n_unmasked: number };
      for (const { inputs, outputs } of fixture.cases.filter((item) => !item.inputs.embeddings)) {
        const codes = inputs.codes!;
        const length = codes.shape[1]!;
        // One at a time, in pieces, and all at once. The unmasked prefix must be passed in one step.
        for (const piece of [1, 3, length]) {
          let from = 0;
          while (from < length) {
            const to = Math.min(length, from === 0 ? Math.max(unmasked, piece) : from + piece);
            const logits = await step(module, `${length}/${piece}`, codes, from, to);
            expect(difference(logits, logitsAt(outputs.logits!, to - 1))).toBeLessThan(2e-5);
            from = to;
          }
        }
      }
      module.dispose();
    },
  );
});

describe('a session', () => {
  const open = async (): Promise<{ module: NativeModuleHandle; codes: NativeTensor; fixture: Fixture }> => {
    const fixture = await readFixture('latent-transformer');
    return { module: await createModule(fixture), codes: fixture.cases[0]!.inputs.codes!, fixture };
  };

  it('is independent of other sessions', async () => {
    const { module, codes } = await open();
    const reversed = i32([...codes.data].reverse(), codes.shape);
    const alone = [];
    for (let i = 0; i < 6; i++) alone.push(await step(module, 'alone', codes, i, i + 1));
    for (let i = 0; i < 6; i++) {
      expect(await step(module, 'a', codes, i, i + 1)).toEqual(alone[i]);
      await step(module, 'b', reversed, i, i + 1);
    }
    module.dispose();
  });

  it('counts as memory until it is released', async () => {
    const { module, codes } = await open();
    expect(module.memory().sessions).toBe(0);
    await step(module, 'a', codes, 0, 1);
    const bytes = module.memory().sessions;
    // 2 layers of keys and values, 2 sequences, 18 positions of 32 numbers.
    expect(bytes).toBeGreaterThanOrEqual(2 * 2 * 2 * 18 * 32 * 4);
    await step(module, 'b', codes, 0, 1);
    expect(module.memory().sessions).toBe(2 * bytes);
    module.release('a');
    module.release('unknown');
    await drained(module);
    expect(module.memory().sessions).toBe(bytes);
    module.dispose();
  });

  it('starts empty after its release', async () => {
    const { module, codes } = await open();
    await step(module, 'a', codes, 0, 4);
    const known = await step(module, 'a', codes, 4, 5);
    module.release('a');
    expect(difference(await step(module, 'a', codes, 4, 5), known)).toBeGreaterThan(1e-3);
    module.release('a');
    await step(module, 'a', codes, 0, 4);
    expect(await step(module, 'a', codes, 4, 5)).toEqual(known);
    module.dispose();
  });

  it('keeps its state when a call is rejected', async () => {
    const { module, codes } = await open();
    await step(module, 'a', codes, 0, 4);
    const known = await step(module, 'a', codes, 4, 5);
    await step(module, 'b', codes, 0, 4);
    const bad: [string, Record<string, NativeTensor>][] = [
      ['INVALID_OPTION', { codes: i32([99, 0], [2, 1]), position: i32([4], [1]) }],
      ['INVALID_OPTION', { codes: i32([1, 1], [2, 1]), position: i32([18], [1]) }],
      ['INVALID_OPTION', { codes: i32([1, 1], [2, 1]), position: i32([-1], [1]) }],
      ['INVALID_OPTION', { codes: i32([1, 1], [2, 1]) }],
      ['SHAPE_MISMATCH', { codes: i32([1, 1], [2, 1]), position: i32([4, 5], [2]) }],
      ['SHAPE_MISMATCH', { codes: i32([1], [1, 1]), position: i32([4], [1]) }],
    ];
    for (const [code, inputs] of bad) {
      await expect(module.run('step', inputs, { session: 'b' }).promise).rejects.toMatchObject({ code });
    }
    expect(await step(module, 'b', codes, 4, 5)).toEqual(known);
    module.dispose();
  });

  it('is required, and allocates nothing if its first run is rejected', async () => {
    const { module, codes } = await open();
    await expect(module.run('step', stepInputs(codes, 0, 1), {}).promise).rejects.toMatchObject({
      code: 'INVALID_OPTION',
      message: expect.stringContaining('session'),
    });
    const bad = { codes: i32([99], [1, 1]), position: i32([0], [1]) };
    await expect(module.run('step', bad, { session: 'a' }).promise).rejects.toMatchObject({
      code: 'INVALID_OPTION',
    });
    await drained(module);
    expect(module.memory().sessions).toBe(0);
    // The session does not remember the shape of the rejected run.
    await step(module, 'a', codes, 0, 1);
    module.dispose();
  });

  it('is released when one of its runs is aborted', async () => {
    const big = { vocab_size: 16, block_size: 512, n_layer: 12, n_head: 4, n_embd: 256, n_unmasked: 0 };
    const options = { backend: 'cpu' as const, threads: 1 };
    const plan = planOf(big, {}, 'latent_transformer');
    const module = await addon.createModule('latent_transformer', big, plan, options).promise;
    const codes = i32(new Array(4 * 512).fill(3), [4, 512]);
    await step(module, 'a', codes, 0, 8);
    const first = await step(module, 'a', codes, 8, 9);
    const task = module.run('step', stepInputs(codes, 9, 500), { session: 'a' });
    const stopped = expect(task.promise).rejects.toMatchObject({ code: 'ABORTED' });
    setTimeout(() => task.cancel(), 10);
    await stopped;
    await drained(module);
    expect(module.memory().sessions).toBe(0);
    await step(module, 'a', codes, 0, 8);
    expect(await step(module, 'a', codes, 8, 9)).toEqual(first);
    module.dispose();
  });

  it('can be tapped', async () => {
    const { module, codes } = await open();
    const { taps } = await module.run('step', stepInputs(codes, 0, 5), {
      session: 'a',
      taps: ['blocks.1.attn.probs'],
    }).promise;
    const probs = taps['blocks.1.attn.probs']!;
    expect(probs.shape).toEqual([2, 4, 5, 18]);
    // The first position attends only to itself.
    expect([...probs.data.subarray(0, 3)]).toEqual([1, 0, 0]);
    module.dispose();
  });
});
