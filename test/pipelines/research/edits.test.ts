/** Writable taps: nodes of the U-Net changed at each evaluation. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Edits } from '../../../lib/pipelines/diffusion/denoising/edited-network.js';
import { Pipeline } from '../../../lib/pipelines/diffusion/pipeline.js';
import type { GenerateOptions } from '../../../lib/pipelines/options.js';
import { Tensor } from '../../../lib/tensor/tensor.js';

let pipeline: Pipeline;
let nodes: string[];
beforeAll(async () => {
  pipeline = await Pipeline.load(undefined, { threads: 1 });
  nodes = (await pipeline.nodes({ module: 'unet', width: 64, height: 64 })).map(({ name }) => name);
});
afterAll(() => pipeline.dispose());

const APPLE = { prompt: 'a red apple', seed: 7, steps: 2, sampler: 'euler', width: 64, height: 64 } as const;
const one = async (options: Partial<GenerateOptions>) =>
  (await pipeline.generate({ ...APPLE, ...options })).images[0]!;
const MID = 'mid_block.resnets.0';
const probs = (): string => nodes.find((name) => name.endsWith('attn2.probs'))!;

describe('an edit', () => {
  it('without a change returns the tap of the node, bit for bit', async () => {
    for (const node of [MID, probs(), nodes[0]!, nodes.at(-1)!]) {
      const tapped = await one({ taps: [node] });
      const seen: number[][] = [];
      const same = await one({ edit: { [node]: (tensor) => void seen.push([...tensor.shape]) } });
      expect(same.latent.data, node).toEqual(tapped.latent.data);
      expect(seen).toHaveLength(2);
      const copied = await one({ edit: { [node]: async (tensor) => tensor.clone() } });
      expect(copied.latent.data, node).toEqual(tapped.latent.data);
    }
  });

  it.each([MID, 'probs', 'first', 'last'])('of %s that sets zero changes the image', async (which) => {
    const node = { probs: probs(), first: nodes[0]!, last: nodes.at(-1)! }[which] ?? which;
    const tapped = await one({ taps: [node] });
    const zeroed = await one({ edit: { [node]: (tensor) => Tensor.zeros(tensor.shape) } });
    const written = await one({ edit: { [node]: (tensor) => void tensor.data.fill(0) } });
    expect(zeroed.latent.data).not.toEqual(tapped.latent.data);
    expect(written.latent.data).toEqual(zeroed.latent.data);
  });

  it('receives the evaluation, its branches and the effect of edits of earlier nodes', async () => {
    const infos: unknown[] = [];
    const [before, after] = [nodes.indexOf(MID), nodes.length - 2].map((i) => nodes[i]!) as [string, string];
    const late: Float32Array[] = [];
    const edit = (first: Edits[string]): Edits => ({
      [after]: ({ data }) => void late.push(data.slice()),
      [before]: first,
    });
    await one({ steps: 1, edit: edit((_, info) => void infos.push(info)) });
    await one({ steps: 1, edit: edit(({ data }) => void data.fill(0)) });
    expect(infos).toEqual([
      { node: before, sigma: expect.closeTo(14.6, 0), evaluation: 0, conditions: ['negative', 'positive'] },
    ]);
    expect(late[0]).not.toEqual(late[1]);
  });

  it('passes its result to taps, and runs in the denoise stage', async () => {
    const edit: Edits = { [MID]: ({ shape }) => Tensor.zeros(shape) };
    for await (const { taps } of pipeline.stream({ ...APPLE, taps: [MID], edit }))
      expect(taps[MID]!.data.every((value) => value === 0)).toBe(true);
    const positive = await pipeline.encodeText(APPLE.prompt);
    const { seed, steps, sampler, width, height } = APPLE;
    const latent = await pipeline.denoise({ positive, seed, steps, sampler, width, height, edit });
    expect(latent.data).toEqual((await one({ edit })).latent.data);
  });

  it('rejects the call with the exception that it throws', async () => {
    const mine = new RangeError('mine');
    const call = one({ edit: { [MID]: () => Promise.reject(mine) } });
    expect(await call.catch((error: unknown) => error)).toBe(mine);
  });

  it.each<[string, unknown, string]>([
    ['of an unknown node', { 'no.such.node': () => undefined }, 'INVALID_OPTION'],
    ['that is not a function', { [MID]: 7 }, 'INVALID_OPTION'],
    ['that is not an object', () => undefined, 'INVALID_OPTION'],
    ['that returns no tensor', { [MID]: () => 7 }, 'INVALID_OPTION'],
    ['that returns integers', { [MID]: () => new Tensor(new Int32Array(4), [4]) }, 'INVALID_OPTION'],
    ['that returns another shape', { [MID]: () => Tensor.zeros([1, 2]) }, 'SHAPE_MISMATCH'],
    ['that returns NaN', { [MID]: (tensor: Tensor) => void tensor.data.fill(Number.NaN) }, 'NOT_FINITE'],
    [
      'that transfers its memory',
      {
        [MID]: (tensor: Tensor) =>
          void structuredClone(tensor.data, { transfer: [tensor.data.buffer as ArrayBuffer] }),
      },
      'SHAPE_MISMATCH',
    ],
  ])('is rejected: %s', async (_, edit, code) => {
    await expect(one({ edit: edit as Edits })).rejects.toMatchObject({ code });
    expect((await one({ steps: 1 })).width).toBe(64);
  });

  it('is rejected together with step caching', async () => {
    const call = one({ edit: { [MID]: () => undefined }, deepCache: {} });
    await expect(call).rejects.toMatchObject({ code: 'INVALID_OPTION' });
  });
});
