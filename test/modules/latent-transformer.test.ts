import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LatentTransformer } from '../../lib/modules/latent-transformer.js';
import { Tensor } from '../../lib/tensor/tensor.js';
import { loadTransformer } from '../support/vqgan/latent-transformer.js';

const codes = (...rows: number[][]) =>
  new Tensor(Int32Array.from(rows.flat()), [rows.length, rows[0]!.length]);
const expectClose = (a: Tensor, b: ArrayLike<number>) => {
  expect(a.data).toHaveLength(b.length);
  a.data.forEach((x, i) => {
    expect(x).toBeCloseTo(b[i]!, 4);
  });
};

let plain: LatentTransformer;
let unmasked: LatentTransformer;
beforeAll(async () => {
  plain = await loadTransformer('latent-transformer');
  unmasked = await loadTransformer('latent-transformer-unmasked');
});
afterAll(() => {
  plain.dispose();
  unmasked.dispose();
});

describe('a sequence of the latent transformer', () => {
  const written = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5];

  it('returns the logits of the whole sequence when it is appended in pieces', async () => {
    for (const model of [plain, unmasked]) {
      using sequence = model.begin();
      const { logits } = await model.forward({ codes: codes(written) });
      let read = 0;
      // Shorter than the bidirectional prefix, across its end, and after it.
      for (const piece of [1, 2, 1, 5, 1, 1]) {
        const next = await sequence.append({ codes: codes(written.slice(read, read + piece)) });
        read += piece;
        expect(sequence.length).toBe(read);
        const sofar = await model.forward({ codes: codes(written.slice(0, read)) });
        expectClose(next, sofar.logits.data.subarray(-model.vocabulary));
        if (model === plain || read >= 7) {
          expectClose(next, logits.data.subarray((read - 1) * model.vocabulary, read * model.vocabulary));
        }
      }
    }
  });

  it('may begin with embeddings', async () => {
    const width = unmasked.config.n_embd;
    const data = Float32Array.from({ length: 3 * width }, (_, i) => Math.sin(i));
    const embeddings = new Tensor(data, [1, 3, width]);
    using sequence = unmasked.begin();
    await sequence.append({ embeddings });
    await sequence.append({ codes: codes([5, 6]) });
    const last = await sequence.append({ codes: codes([7, 8, 9, 10]) });
    const { logits } = await unmasked.forward({ embeddings, codes: codes([5, 6, 7, 8, 9, 10]) });
    expectClose(last, logits.data.subarray(-unmasked.vocabulary));
  });

  it('is empty after a failed call and continues from there', async () => {
    using sequence = plain.begin();
    const first = await sequence.append({ codes: codes([1, 2]) });
    await expect(sequence.append({ codes: codes([99]) })).rejects.toMatchObject({ code: 'INVALID_OPTION' });
    expect(sequence.length).toBe(0);
    expectClose(await sequence.append({ codes: codes([1, 2]) }), first.data);
    const signal = AbortSignal.abort();
    await expect(sequence.append({ codes: codes([3]) }, { signal })).rejects.toMatchObject({
      code: 'ABORTED',
    });
    expect(sequence.length).toBe(0);
  });

  it("runs one call at a time, rejects an empty call, and is limited to the model's positions", async () => {
    const sequence = plain.begin();
    const running = sequence.append({ codes: codes([1, 2]) });
    await expect(sequence.append({ codes: codes([3]) })).rejects.toMatchObject({ code: 'INVALID_OPTION' });
    await running;
    expect(sequence.length).toBe(2);
    await expect(sequence.append({})).rejects.toMatchObject({ code: 'INVALID_OPTION' });
    await expect(sequence.append({ codes: codes(new Array(17).fill(0)) })).rejects.toMatchObject({
      code: 'SHAPE_MISMATCH',
      message: expect.stringContaining('18'),
    });
    expect(sequence.length).toBe(2);
    sequence.dispose();
    sequence.dispose();
    await expect(sequence.append({ codes: codes([1]) })).rejects.toMatchObject({ code: 'DISPOSED' });
  });

  it('reuses one graph for further positions', async () => {
    using sequence = plain.begin();
    await sequence.append({ codes: codes([1]) });
    const memory = plain.memory();
    expect(memory.sessions).toBeGreaterThan(0);
    for (let i = 0; i < 10; i++) await sequence.append({ codes: codes([i]) });
    expect(plain.memory()).toEqual(memory);
  });
});
