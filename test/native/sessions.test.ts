import { afterAll, describe, expect, it } from 'vitest';
import type { NativeModuleHandle, NativeTensor } from '../../lib/binding/types.js';
import { addon, createModule, difference, type Fixture, readFixture } from '../support/native-modules.js';
import { planOf, removeFiles } from './tiny.js';

afterAll(removeFiles);

const i32 = (values: readonly number[], shape: readonly number[]): NativeTensor => ({
  data: Int32Array.from(values),
  shape,
});

/** Places [from, to) of codes [B, T], and where they are. */
function places({ data, shape }: NativeTensor, from: number, to: number): Record<string, NativeTensor> {
  const [batch = 0, length = 0] = shape;
  const rows = Array.from({ length: batch }, (_, b) => [
    ...data.subarray(b * length + from, b * length + to),
  ]);
  return { codes: i32(rows.flat(), [batch, to - from]), position: i32([from], [1]) };
}

/** The logits that follow place `last` of each sequence: [B, V] of [B, T, V]. */
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
  return (await module.run('step', places(codes, from, to), { session }).promise).outputs.logits!;
}

/** The end of a call that was queued behind all others. */
async function settled(module: NativeModuleHandle): Promise<void> {
  await module.run('forward', { codes: i32([0], [1, 1]) }, {}).promise;
}

describe.each(['latent-transformer', 'latent-transformer-unmasked'])('the keys and values of %s', (name) => {
  it.each([false, true])(
    'kept between runs give what the whole sequence gives (stock operations: %s)',
    async (stockOps) => {
      const fixture = await readFixture(name);
      const module = await createModule(fixture, 'f32', { stockOps });
      const { n_unmasked: unmasked } = fixture.config as { n_unmasked: number };
      for (const { inputs, outputs } of fixture.cases.filter((one) => !one.inputs.embeddings)) {
        const codes = inputs.codes!;
        const length = codes.shape[1]!;
        // One at a time, in pieces, and all at once; what sees all of itself has to come at once.
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

  it('is one of several that do not mix', async () => {
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
    const one = module.memory().sessions;
    // 2 layers of keys and values, 2 sequences, 18 places of 32 numbers.
    expect(one).toBeGreaterThanOrEqual(2 * 2 * 2 * 18 * 32 * 4);
    await step(module, 'b', codes, 0, 1);
    expect(module.memory().sessions).toBe(2 * one);
    module.release('a');
    module.release('nobody');
    await settled(module);
    expect(module.memory().sessions).toBe(one);
    module.dispose();
  });

  it('begins anew after its release', async () => {
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

  it('keeps what it has where a call is refused', async () => {
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

  it('is needed, and leaves nothing where it could not begin', async () => {
    const { module, codes } = await open();
    await expect(module.run('step', places(codes, 0, 1), {}).promise).rejects.toMatchObject({
      code: 'INVALID_OPTION',
      message: expect.stringContaining('session'),
    });
    const bad = { codes: i32([99], [1, 1]), position: i32([0], [1]) };
    await expect(module.run('step', bad, { session: 'a' }).promise).rejects.toMatchObject({
      code: 'INVALID_OPTION',
    });
    await settled(module);
    expect(module.memory().sessions).toBe(0);
    // Nothing remembers the shape it failed with.
    await step(module, 'a', codes, 0, 1);
    module.dispose();
  });

  it('is released by a run of it that is stopped', async () => {
    const big = { vocab_size: 16, block_size: 512, n_layer: 12, n_head: 4, n_embd: 256, n_unmasked: 0 };
    const how = { backend: 'cpu' as const, threads: 1 };
    const plan = planOf(big, {}, 'latent_transformer');
    const module = await addon.createModule('latent_transformer', big, plan, how).promise;
    const codes = i32(new Array(4 * 512).fill(3), [4, 512]);
    await step(module, 'a', codes, 0, 8);
    const first = await step(module, 'a', codes, 8, 9);
    const task = module.run('step', places(codes, 9, 500), { session: 'a' });
    const stopped = expect(task.promise).rejects.toMatchObject({ code: 'ABORTED' });
    setTimeout(() => task.cancel(), 10);
    await stopped;
    await settled(module);
    expect(module.memory().sessions).toBe(0);
    await step(module, 'a', codes, 0, 8);
    expect(await step(module, 'a', codes, 8, 9)).toEqual(first);
    module.dispose();
  });

  it('can be looked into', async () => {
    const { module, codes } = await open();
    const { taps } = await module.run('step', places(codes, 0, 5), {
      session: 'a',
      taps: ['blocks.1.attn.probs'],
    }).promise;
    const probs = taps['blocks.1.attn.probs']!;
    expect(probs.shape).toEqual([2, 4, 5, 18]);
    // The first place looks at itself alone.
    expect([...probs.data.subarray(0, 3)]).toEqual([1, 0, 0]);
    module.dispose();
  });
});
