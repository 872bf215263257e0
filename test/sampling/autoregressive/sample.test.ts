import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LatentTransformer } from '../../../lib/modules/latent-transformer.js';
import { codeLikelihood } from '../../../lib/sampling/autoregressive/likelihood.js';
import { codeOrder } from '../../../lib/sampling/autoregressive/order.js';
import { sampleCodeIndices } from '../../../lib/sampling/autoregressive/sample.js';
import { slideCodeIndices } from '../../../lib/sampling/autoregressive/slide.js';
import { Tensor } from '../../../lib/tensor/tensor.js';
import { all, fixture, loadTransformer } from '../../support/vqgan/latent-transformer.js';

const models: Record<string, LatentTransformer> = {};
beforeAll(async () => {
  for (const name of ['latent-transformer', 'latent-transformer-unmasked']) {
    models[name] = await loadTransformer(name);
  }
});
afterAll(() => {
  for (const model of Object.values(models)) model.dispose();
});

const NAME = 'latent-transformer';

describe('sampleCodeIndices', () => {
  it.each(fixture.sequences)(
    'matches taming: $total code indices with $condition, seed $seed, $options, order $order',
    async ({ model, condition, total, seed, start, options, order: name, codes }) => {
      const order = name ? (codeOrder(name, 4, 4) ?? undefined) : undefined;
      const generator = sampleCodeIndices(models[model]!, {
        condition: [condition],
        total,
        seeds: [seed],
        start: [start],
        order,
        ...options,
      });
      const { steps, result } = await all(generator);
      // Net2NetTransformer returns what was sampled after the start; sample_with_past has no start.
      expect([...result[0]!]).toEqual(codes);
      expect(steps.map(({ done }) => done)).toEqual(
        Array.from({ length: total - start.length }, (_, i) => start.length + i + 1),
      );
      expect(steps.at(-1)!.codes[0]).toEqual(result[0]);
    },
  );

  it('yields index by index, with zeros at positions that are not sampled yet', async () => {
    const { condition, codes, seed } = fixture.sequences.find(({ order }) => order === 'spiral_out')!;
    const order = codeOrder('spiral_out', 4, 4)!;
    const { steps } = await all(
      sampleCodeIndices(models[NAME]!, { condition: [condition], total: 16, seeds: [seed], order }),
    );
    steps.forEach(({ done, place, codes: [sofar] }, n) => {
      expect(place).toBe(order[n]);
      const written = new Set(order.subarray(0, done));
      expect([...sofar!]).toEqual(codes.map((code, at) => (written.has(at) ? code : 0)));
    });
  });

  it('returns the same alone and within a batch', async () => {
    const alone = fixture.sequences.filter(
      (one) => one.total === 16 && Object.keys(one.options).length === 0,
    );
    const pair = alone.filter(({ order, model }) => order === null && model === NAME).slice(0, 2);
    expect(pair).toHaveLength(2);
    const { result } = await all(
      sampleCodeIndices(models[NAME]!, {
        condition: pair.map(({ condition }) => condition),
        total: 16,
        seeds: pair.map(({ seed }) => seed),
      }),
    );
    expect(result.map((codes) => [...codes])).toEqual(pair.map(({ codes }) => codes));
  });

  it('may run several sequences concurrently, and frees their memory', async () => {
    const model = models[NAME]!;
    const cases = fixture.sequences.filter(
      (one) => one.model === NAME && one.start.length === 0 && !one.order,
    );
    const results = await Promise.all(
      cases.map(({ condition, total, seed, options }) =>
        all(sampleCodeIndices(model, { condition: [condition], total, seeds: [seed], ...options })),
      ),
    );
    expect(results.map(({ result }) => [...result[0]!])).toEqual(cases.map(({ codes }) => codes));
    await model.forward({ codes: tensor([[1]]) });
    expect(model.memory().sessions).toBe(0);
  });

  it('can be stopped at any index', async () => {
    const model = models[NAME]!;
    const controller = new AbortController();
    const options = { condition: [[0]], total: 16, seeds: [1], signal: controller.signal };
    let seen = 0;
    const stopped = (async () => {
      for await (const { done } of sampleCodeIndices(model, options)) {
        seen = done;
        if (done === 5) controller.abort('enough');
      }
    })();
    await expect(stopped).rejects.toMatchObject({ code: 'ABORTED', cause: 'enough' });
    expect(seen).toBe(5);
    // Leaving the loop has the same effect.
    for await (const { done } of sampleCodeIndices(model, { condition: [[0]], total: 16, seeds: [1] })) {
      if (done === 3) break;
    }
    await model.forward({ codes: tensor([[1]]) });
    expect(model.memory().sessions).toBe(0);
  });

  it.each([
    ['INVALID_OPTION', { condition: [[23]] }],
    ['INVALID_OPTION', { condition: [[]] }],
    ['INVALID_OPTION', { condition: [] }],
    ['INVALID_OPTION', { total: 0 }],
    ['INVALID_OPTION', { total: 2, start: [[1, 2]] }],
    ['INVALID_OPTION', { start: [[-1]] }],
    ['INVALID_OPTION', { seeds: [1, 2] }],
    ['INVALID_OPTION', { temperature: 0 }],
    ['SHAPE_MISMATCH', { total: 19 }],
    ['SHAPE_MISMATCH', { order: codeOrder('zcurve', 2, 2)! }],
    ['SHAPE_MISMATCH', { condition: [[1], [1, 2]], seeds: [1, 2] }],
  ])('rejects (%s) %o', async (code, options) => {
    const whole = { condition: [[0]], total: 16, seeds: [1], ...options };
    await expect(sampleCodeIndices(models[NAME]!, whole).next()).rejects.toMatchObject({
      name: 'SafelightError',
      code,
    });
  });
});

describe('slideCodeIndices', () => {
  it.each(fixture.slides)(
    'matches taming: $height rows of $width, window $side, condition in each window: $grid',
    async ({ height, width, side, grid, seed, options, condition, start, codes }) => {
      const how = {
        height,
        width,
        side,
        condition: { kind: grid ? ('grid' as const) : ('tokens' as const), codes: [condition] },
        seeds: [seed],
        ...options,
      };
      const random = await all(slideCodeIndices(models[NAME]!, how));
      expect([...random.result[0]!]).toEqual(codes);
      const { steps } = random;
      expect(steps.map(({ place }) => place)).toEqual(codes.map((_, place) => place));
      steps.forEach(({ codes: [sofar] }, n) => {
        expect([...sofar!]).toEqual(codes.map((code, at) => (at <= n ? code : start[at])));
      });
      expect(models[NAME]!.memory().sessions).toBeLessThan(100_000);
    },
  );

  it('replaces given indices', async () => {
    const { height, width, side, condition } = fixture.slides[0]!;
    const given = Array.from({ length: height * width }, (_, i) => i % 23);
    const generator = slideCodeIndices(models[NAME]!, {
      height,
      width,
      side,
      condition: { kind: 'grid', codes: [condition, condition] },
      seeds: [1, 2],
      start: [given, given.toReversed()],
    });
    const { value } = await generator.next();
    if (!('codes' in value)) throw new Error('it ended before its first code');
    const [first, second] = value.codes;
    expect([...first!.subarray(1)]).toEqual(given.slice(1));
    expect([...second!.subarray(1)]).toEqual(given.toReversed().slice(1));
    await generator.return([]);
  });

  it('returns the same as sampling without a window if the sizes are equal', async () => {
    const condition = [1, 3, 5, 7, 9, 11, 13, 15, 17];
    const options = { seeds: [4], topK: 6 };
    const start = [new Array(9).fill(0)];
    const slid = await all(
      slideCodeIndices(models[NAME]!, {
        height: 3,
        width: 3,
        side: 3,
        condition: { kind: 'grid', codes: [condition] },
        start,
        ...options,
      }),
    );
    const plain = await all(
      sampleCodeIndices(models[NAME]!, { condition: [condition], total: 9, ...options }),
    );
    expect(slid.result).toEqual(plain.result);
  });

  it('can be stopped at any index', async () => {
    const controller = new AbortController();
    const generator = slideCodeIndices(models[NAME]!, {
      height: 6,
      width: 6,
      side: 3,
      condition: { kind: 'tokens', codes: [[0]] },
      seeds: [1],
      signal: controller.signal,
    });
    for (let i = 0; i < 10; i++) await generator.next();
    controller.abort();
    await expect(generator.next()).rejects.toMatchObject({ code: 'ABORTED' });
  });

  it.each([
    ['INVALID_OPTION', { height: 0 }],
    ['INVALID_OPTION', { side: 1.5 }],
    ['SHAPE_MISMATCH', { side: 4 }],
    ['SHAPE_MISMATCH', { condition: { kind: 'grid' as const, codes: [[1, 2]] } }],
    ['SHAPE_MISMATCH', { start: [[1]] }],
    ['INVALID_OPTION', { condition: { kind: 'tokens' as const, codes: [[]] } }],
  ])('rejects (%s) %o', async (code, options) => {
    const codes = [new Array(25).fill(1)];
    const whole = {
      height: 5,
      width: 5,
      side: 3,
      condition: { kind: 'grid' as const, codes },
      seeds: [1],
      ...options,
    };
    await expect(slideCodeIndices(models[NAME]!, whole).next()).rejects.toMatchObject({ code });
  });
});

describe('codeLikelihood', () => {
  it.each(fixture.likelihoods)(
    "matches taming's cross-entropy: $height rows of $width by $model",
    async (one) => {
      const { model, condition, height, width, codes, nats, loss } = one;
      const found = await codeLikelihood(models[model]!, codes, {
        height,
        width,
        condition: { kind: 'tokens', codes: condition },
      });
      nats.forEach((nat, i) => {
        expect(-found.codes[i]!).toBeCloseTo(nat, 4);
      });
      expect(-found.total / codes.length).toBeCloseTo(loss, 4);
    },
  );

  it("follows the model's order of indices", async () => {
    const { codes } = fixture.likelihoods[0]!;
    const order = codeOrder('spiral_in', 4, 4)!;
    const condition = { kind: 'tokens' as const, codes: [0] };
    const spiral = await codeLikelihood(models[NAME]!, codes, { height: 4, width: 4, condition, order });
    const written = [...order].map((place) => codes[place]!);
    const plain = await codeLikelihood(models[NAME]!, written, { height: 4, width: 4, condition });
    [...order].forEach((place, n) => {
      expect(spiral.codes[place]).toBe(plain.codes[n]);
    });
  });

  it('uses the sliding window for each index of a large image', async () => {
    const { height, width, side, condition, codes, options } = fixture.slides[0]!;
    const { codes: nats } = await codeLikelihood(models[NAME]!, codes, {
      height,
      width,
      side,
      condition: { kind: 'grid', codes: condition },
    });
    expect(options.topK).toBe(5);
    // Each index was among its window's five most probable.
    for (const nat of nats) expect(nat).toBeGreaterThan(Math.log(1e-4));
    const other = await codeLikelihood(models[NAME]!, codes.toReversed(), {
      height,
      width,
      side,
      condition: { kind: 'grid', codes: condition },
    });
    expect(other.total).toBeLessThan(nats.reduce((a, b) => a + b, 0));
  });

  it("rejects images beyond the transformer's block", async () => {
    const long = { height: 5, width: 5, condition: { kind: 'tokens' as const, codes: [0] } };
    await expect(codeLikelihood(models[NAME]!, new Array(25).fill(1), long)).rejects.toMatchObject({
      code: 'SHAPE_MISMATCH',
      message: expect.stringContaining('window'),
    });
    await expect(codeLikelihood(models[NAME]!, [1, 2], long)).rejects.toMatchObject({
      code: 'SHAPE_MISMATCH',
    });
    await expect(codeLikelihood(models[NAME]!, new Array(25).fill(99), long)).rejects.toMatchObject({
      code: 'INVALID_OPTION',
    });
  });
});

function tensor(rows: number[][]): Tensor<Int32Array> {
  return new Tensor(Int32Array.from(rows.flat()), [rows.length, rows[0]!.length]);
}
