import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { NativeModule } from '../../lib/binding/module.js';
import type { NativeTensor } from '../../lib/binding/types.js';
import type { ErrorCode } from '../../lib/errors.js';
import { config, create, planOf, removeFiles, tokens } from './tiny.js';

afterAll(removeFiles);

const i32 = (values: readonly number[], shape: readonly number[]): NativeTensor => ({
  data: Int32Array.from(values),
  shape,
});

/** About a second of work, enough to be aborted in the middle. */
const slowConfig = { ...config, hidden_size: 256, intermediate_size: 1024, num_hidden_layers: 8 };
const slowInputs = () => ({ tokens: i32(new Array(8 * 512).fill(1), [512, 8]) });

describe('a module', () => {
  let module: NativeModule;
  beforeAll(async () => {
    module = await create();
  });
  afterAll(() => module.dispose());

  it('returns outputs that the caller owns, and equal outputs for equal inputs', async () => {
    const first = await module.run('encode', tokens(1, 2, 3));
    expect(first.outputs.hidden?.shape).toEqual([1, 3, 32]);
    expect(first.outputs.hidden?.data).toBeInstanceOf(Float32Array);
    const copy = first.outputs.hidden!.data.slice();
    // Run another graph in between, then the first one twice (rebuilt, then cached).
    const other = await module.run('encode', tokens(4, 5));
    expect(other.outputs.hidden?.data).not.toEqual(copy.slice(0, 64));
    first.outputs.hidden!.data.fill(0);
    for (let i = 0; i < 2; i++) {
      expect((await module.run('encode', tokens(1, 2, 3))).outputs.hidden?.data).toEqual(copy);
    }
  });

  it('copies inputs when run() is called', async () => {
    const inputs = tokens(1, 2, 3);
    const expected = (await module.run('encode', tokens(1, 2, 3))).outputs.hidden?.data;
    const running = module.run('encode', inputs);
    inputs.tokens.data.fill(7);
    expect((await running).outputs.hidden?.data).toEqual(expected);
  });

  it('runs calls in order', async () => {
    const done: number[] = [];
    await Promise.all([1, 2, 3, 4].map((n) => module.run('encode', tokens(n)).then(() => done.push(n))));
    expect(done).toEqual([1, 2, 3, 4]);
  });

  it('lists its nodes, which can all be tapped without changing the output', async () => {
    const nodes = module.nodes('encode', { tokens: [1, 3] });
    const names = nodes.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    const plain = await module.run('encode', tokens(1, 2, 3));
    const all = await module.run('encode', tokens(1, 2, 3), { taps: names });
    expect(Object.keys(all.taps).sort()).toEqual([...names].sort());
    for (const { name, shape } of nodes) {
      const tap = all.taps[name]!;
      expect(tap.shape, name).toEqual(shape);
      expect(tap.data.length, name).toBe(shape.reduce((a, b) => a * b, 1));
      expect((await module.run('encode', tokens(1, 2, 3), { taps: [name] })).taps[name]?.data, name).toEqual(
        tap.data,
      );
    }
    const difference = all.outputs.hidden!.data.map((x, i) => Math.abs(x - plain.outputs.hidden!.data[i]!));
    expect(Math.max(...difference)).toBeLessThan(1e-5);
  });

  it('taps layer outputs and attention probabilities', async () => {
    const params = { layer: 1, final_norm: false };
    const layer = 'text_model.encoder.layers.0';
    const { outputs, taps } = await module.run('encode', tokens(1, 2), { params, taps: [layer] });
    expect(taps[layer]?.data).toEqual(outputs.hidden?.data);
    const probabilities = `${layer}.self_attn.probs`;
    const { taps: more } = await module.run('encode', tokens(1, 2), { taps: [probabilities] });
    expect(more[probabilities]?.shape).toEqual([1, 2, 2, 2]);
    const [first, second, third, fourth] = more[probabilities]!.data;
    // The mask is causal: the first token attends only to itself.
    expect([first, second]).toEqual([1, 0]);
    expect(third! + fourth!).toBeCloseTo(1, 6);
  });

  it('measures its nodes on request', async () => {
    const { timings, outputs } = await module.run('encode', tokens(1, 2), { timings: true });
    expect(Object.keys(timings.nodes ?? {})).toContain('text_model.encoder.layers.0');
    const sum = Object.values(timings.nodes!).reduce((a, b) => a + b, 0);
    expect(sum).toBeGreaterThan(0);
    expect(sum).toBeLessThanOrEqual(timings.compute);
    const { outputs: expected, timings: plain } = await module.run('encode', tokens(1, 2));
    expect(outputs.hidden?.data).toEqual(expected.hidden?.data);
    expect(plain.nodes).toBeUndefined();
  });

  it('reports its memory and backend', () => {
    const { weights, compute, backend } = module.memory();
    expect(backend).toBe('cpu');
    expect(weights).toBeGreaterThan(4 * 32 * 64);
    expect(compute).toBeGreaterThan(0);
  });

  const bad: [string, ErrorCode, Record<string, NativeTensor>, object?][] = [
    ['no inputs', 'INVALID_OPTION', {}],
    ['an unknown input', 'INVALID_OPTION', { ...tokens(1), more: i32([1], [1]) }],
    [
      'floats instead of integers',
      'INVALID_OPTION',
      { tokens: { data: new Float32Array(2), shape: [1, 2] } },
    ],
    [
      'another typed array',
      'INVALID_OPTION',
      { tokens: { data: new Uint8Array(8) as never, shape: [1, 2] } },
    ],
    ['a plain array', 'INVALID_OPTION', { tokens: { data: [1, 2] as never, shape: [1, 2] } }],
    ['null', 'INVALID_OPTION', { tokens: null as never }],
    ['too few values', 'SHAPE_MISMATCH', { tokens: i32([1], [1, 2]) }],
    ['too many values', 'SHAPE_MISMATCH', { tokens: i32([1, 2, 3], [1, 2]) }],
    ['a dimension of 0', 'SHAPE_MISMATCH', { tokens: i32([], [1, 0]) }],
    ['a dimension of 2^32', 'SHAPE_MISMATCH', { tokens: i32([1], [1, 2 ** 32]) }],
    ['a shape whose product overflows', 'SHAPE_MISMATCH', { tokens: i32([], [2 ** 33, 2 ** 33]) }],
    [
      'a shape whose product overflows to the length',
      'SHAPE_MISMATCH',
      { tokens: i32([], [2 ** 32, 2 ** 32]) },
    ],
    ['negative dimensions', 'SHAPE_MISMATCH', { tokens: i32([1], [-1, -1]) }],
    ['a fractional dimension', 'INVALID_OPTION', { tokens: i32([1], [1, 0.5]) }],
    ['no dimensions', 'SHAPE_MISMATCH', { tokens: i32([1], []) }],
    ['too many dimensions', 'SHAPE_MISMATCH', { tokens: i32([1], [1, 1, 1, 1, 1]) }],
    ['a token after the vocabulary', 'INVALID_OPTION', tokens(1, 10)],
    ['a negative token', 'INVALID_OPTION', tokens(-1)],
    ['more tokens than positions', 'SHAPE_MISMATCH', tokens(1, 1, 1, 1, 1, 1, 1, 1, 1)],
    ['an unknown tap', 'INVALID_OPTION', tokens(1), { taps: ['nowhere'] }],
    ['taps that are not an array', 'INVALID_OPTION', tokens(1), { taps: 'all' }],
    ['params of the wrong type', 'INVALID_OPTION', tokens(1), { params: { layer: 'last' } }],
    ['a layer after the last', 'INVALID_OPTION', tokens(1), { params: { layer: 3 } }],
  ];
  it.each(bad)('rejects %s with %s and continues to work', async (_what, code, inputs, options = {}) => {
    await expect(module.run('encode', inputs, options)).rejects.toMatchObject({
      name: 'SafelightError',
      code,
    });
    expect((await module.run('encode', tokens(1))).outputs.hidden?.shape).toEqual([1, 1, 32]);
  });

  it('rejects an unknown entry and impossible shapes', async () => {
    await expect(module.run('decode', tokens(1))).rejects.toMatchObject({ code: 'INVALID_OPTION' });
    const shapes: (readonly number[])[] = [
      [1, 0],
      [0, 1],
      [1, 2 ** 32],
      [2 ** 32, 2 ** 32],
      [2 ** 40, 8],
      [-1, -1],
    ];
    for (const shape of shapes) {
      expect(() => module.nodes('encode', { tokens: shape }), String(shape)).toThrow(
        expect.objectContaining({ code: expect.stringMatching(/^(SHAPE_MISMATCH|INVALID_OPTION)$/) }),
      );
    }
  });
});

describe('an AbortSignal', () => {
  it('stops a queued call while another one runs', async () => {
    const module = await create(planOf(slowConfig), {}, slowConfig);
    try {
      let isRunning = true;
      const first = module.run('encode', slowInputs()).finally(() => (isRunning = false));
      const controller = new AbortController();
      const second = module.run('encode', slowInputs(), { signal: controller.signal });
      await new Promise((resolve) => setTimeout(resolve, 20));
      controller.abort();
      await expect(second).rejects.toMatchObject({ code: 'ABORTED' });
      expect(isRunning).toBe(true);
      expect((await first).outputs.hidden).toBeDefined();
    } finally {
      module.dispose();
    }
  });

  it('that is already aborted rejects a call before it begins', async () => {
    const signal = AbortSignal.abort('enough');
    const stopped = { name: 'AbortError', code: 'ABORTED', cause: 'enough' };
    await expect(create(planOf(), { signal })).rejects.toMatchObject(stopped);
    const module = await create();
    await expect(module.run('encode', tokens(1), { signal })).rejects.toMatchObject(stopped);
    module.dispose();
  });

  it('stops a run between nodes, and the module continues to work', { retry: 3 }, async () => {
    const module = await create(planOf(slowConfig), {}, slowConfig);
    const started = performance.now();
    const complete = await module.run('encode', slowInputs());
    const seconds = (performance.now() - started) / 1000;
    for (const part of [0, 0.1, 0.3]) {
      const controller = new AbortController();
      setTimeout(() => controller.abort(new Error('stop')), seconds * part * 1000);
      const begun = performance.now();
      await expect(module.run('encode', slowInputs(), { signal: controller.signal })).rejects.toMatchObject({
        code: 'ABORTED',
        cause: expect.objectContaining({ message: 'stop' }),
      });
      // Much earlier than the end of the run, even if other processes slow down the machine.
      expect(performance.now() - begun).toBeLessThan(seconds * 1000 * (part + 0.5));
    }
    const again = await module.run('encode', slowInputs());
    expect(again.outputs.hidden?.data).toEqual(complete.outputs.hidden?.data);
    module.dispose();
  });

  it('stops only its own call in a queue', async () => {
    const module = await create();
    const controller = new AbortController();
    const calls = [1, 2, 3].map((n) =>
      module.run('encode', tokens(n), n === 2 ? { signal: controller.signal } : {}),
    );
    controller.abort();
    const results = await Promise.allSettled(calls);
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    module.dispose();
  });

  it('has no listeners left after a call', async () => {
    const { signal } = new AbortController();
    let listeners = 0;
    const add = signal.addEventListener.bind(signal);
    const remove = signal.removeEventListener.bind(signal);
    signal.addEventListener = ((...args: Parameters<typeof add>) => {
      listeners++;
      add(...args);
    }) as typeof add;
    signal.removeEventListener = ((...args: Parameters<typeof remove>) => {
      listeners--;
      remove(...args);
    }) as typeof remove;
    const module = await create(planOf(), { signal });
    await module.run('encode', tokens(1), { signal });
    await module.run('encode', tokens(99), { signal }).catch(() => undefined);
    expect(listeners).toBe(0);
    module.dispose();
  });

  it('stops loading', async () => {
    const controller = new AbortController();
    const loading = create(planOf(slowConfig), { signal: controller.signal, threads: 1 }, slowConfig);
    controller.abort();
    await expect(loading).rejects.toMatchObject({ code: 'ABORTED' });
  });
});

describe('loading progress', () => {
  it('reports the bytes read up to the total', async () => {
    const reports: [number, number][] = [];
    const plan = planOf(slowConfig);
    const total = plan.entries.reduce((sum, { source }) => sum + source.length, 0);
    const module = await create(plan, { onProgress: (...report) => reports.push(report) }, slowConfig);
    expect(reports.at(-1)).toEqual([total, total]);
    expect(reports.every(([done], i) => done <= total && done >= (reports[i - 1]?.[0] ?? 0))).toBe(true);
    module.dispose();
  });

  it('rejects with the exception of its callback', async () => {
    const thrown = new RangeError('mine');
    const onProgress = () => {
      throw thrown;
    };
    await expect(create(planOf(), { onProgress })).rejects.toBe(thrown);
  });
});

describe('dispose', () => {
  it('can be called twice; later calls throw DISPOSED', async () => {
    const module = await create();
    module.dispose();
    module.dispose();
    await module[Symbol.asyncDispose]();
    expect(module.disposed).toBe(true);
    await expect(module.run('encode', tokens(1))).rejects.toMatchObject({ code: 'DISPOSED' });
    expect(() => module.memory()).toThrow(expect.objectContaining({ code: 'DISPOSED' }));
    expect(() => module.nodes('encode', { tokens: [1, 1] })).toThrow(
      expect.objectContaining({ code: 'DISPOSED' }),
    );
  });

  it('stops the current run and those in the queue', async () => {
    const module = await create(planOf(slowConfig), {}, slowConfig);
    const calls = [1, 2, 3].map(() => module.run('encode', slowInputs()));
    setTimeout(() => module.dispose(), 30);
    const codes = (await Promise.allSettled(calls)).map((r) => r.status === 'rejected' && r.reason.code);
    expect(codes).toEqual(['DISPOSED', 'DISPOSED', 'DISPOSED']);
  });

  it('frees the memory', async () => {
    const large = { ...config, vocab_size: 200_000 }; // 25 MB
    const plan = planOf(large);
    const cycle = async (n: number) => {
      for (let i = 0; i < n; i++) {
        const module = await create(plan, {}, large);
        await module.run('encode', tokens(1, 2));
        module.dispose();
      }
      await new Promise((resolve) => setTimeout(resolve, 200));
    };
    await cycle(3);
    const before = process.memoryUsage().rss;
    await cycle(12);
    // Twelve leaked modules would use 300 MB.
    expect(process.memoryUsage().rss - before).toBeLessThan(80e6);
  });
});

it('rejects a run that does not fit into memory with the required size, without ending the process', async () => {
  const deep = { ...config, hidden_size: 256, num_hidden_layers: 12 };
  const module = await create(planOf(deep), {}, deep);
  const batch = 2 ** 19;
  const inputs = { tokens: { data: new Int32Array(batch * 8), shape: [batch, 8] } };
  // Every tap needs at least 2^19 x 8 x 256 floats, which are 4 GiB.
  const taps = module.nodes('encode', { tokens: [batch, 8] }).map(({ name }) => name);
  await expect(module.run('encode', inputs, { taps })).rejects.toMatchObject({
    code: 'OUT_OF_MEMORY',
    message: expect.stringMatching(/needs \d{12,} bytes \(.*\), but only \d+ bytes \(.*\) are available/),
  });
  expect((await module.run('encode', tokens(1))).outputs.hidden?.shape).toEqual([1, 1, 256]);
  module.dispose();
});

it('runs several modules at the same time on their own threads', async () => {
  const modules = await Promise.all([create(), create(), create()]);
  const expected = await modules[0]!.run('encode', tokens(1, 2, 3));
  const results = await Promise.all(
    modules.flatMap((module) => Array.from({ length: 10 }, () => module.run('encode', tokens(1, 2, 3)))),
  );
  for (const { outputs } of results) expect(outputs.hidden?.data).toEqual(expected.outputs.hidden?.data);
  for (const module of modules) module.dispose();
});

it.each([-1, 257, 1.5])('rejects %s threads', async (threads) => {
  await expect(create(planOf(), { threads })).rejects.toMatchObject({ code: 'INVALID_OPTION' });
});

it('rejects a backend that is not compiled in', async () => {
  await expect(create(planOf(), { backend: 'metal' })).rejects.toMatchObject({
    code: 'BACKEND_UNAVAILABLE',
    message: expect.stringContaining('npx safelight build --metal'),
  });
});
