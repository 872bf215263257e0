/** The bundled sketch model against taming-transformers' classes (test/reference/sketch_starter.py). */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { VqganPipeline } from '../../../lib/pipelines/vqgan/vqgan-pipeline.js';
import { ball, ring } from '../../support/vqgan/drawings.js';

interface Reference {
  readonly codes: number[][];
  readonly psnr: number;
  /** Every 16th pixel of each row and column of the decoded image: [3, 6, 6] in -1..1. */
  readonly pixels: number[];
  readonly logLikelihood: number;
  /** ln p of the first code indices. */
  readonly firstNats: number[];
  /** top_k 100, after torch.manual_seed(7). */
  readonly sampled: number[][];
  /** Shape, and every fifth logit of each row and column. */
  readonly patches: [number[], number[]];
}

const fixture = new URL('../../fixtures/sketch-starter.json', import.meta.url);
const expected = JSON.parse(readFileSync(fixture, 'utf8')) as Reference;
let pipeline: VqganPipeline;
beforeAll(async () => {
  pipeline = await VqganPipeline.load(undefined, { storage: 'f32', backend: 'cpu' });
});
afterAll(() => pipeline.dispose());

/** max|a - b| / max|b| */
function difference(actual: readonly number[], wanted: readonly number[]): number {
  const top = Math.max(...wanted.map(Math.abs));
  return Math.max(...wanted.map((value, i) => Math.abs(value - actual[i]!))) / top;
}

describe('the sketch model matches taming-transformers', () => {
  it('in the code indices of an image and their reconstruction', async () => {
    const { codes, psnr, image } = await pipeline.reconstruct(ball(96));
    expect(codes).toEqual(expected.codes);
    expect(psnr).toBeCloseTo(expected.psnr, 2);
    const pixels = [0, 1, 2].flatMap((c) =>
      Array.from({ length: 36 }, (_, i) => {
        const at = Math.floor(i / 6) * 16 * 96 + (i % 6) * 16;
        return image.data[at * 3 + c]!;
      }),
    );
    const bytes = expected.pixels.map((y) => Math.round(127.5 * (Math.min(1, Math.max(-1, y)) + 1)));
    expect(Math.max(...bytes.map((byte, i) => Math.abs(byte - pixels[i]!)))).toBeLessThanOrEqual(1);
  });

  it('in sampling after a sketch with a seed', async () => {
    const { codes } = await pipeline.sketch(ring(96), { seed: 7, topK: 100, topP: 1, temperature: 1 }).result;
    expect(codes).toEqual(expected.sampled);
  });

  it('in the score of an image of a sketch', async () => {
    const { patches, logLikelihood } = await pipeline.score(ball(96), { condition: ring(96) });
    expect(logLikelihood!.condition).toBe('image');
    expect(logLikelihood!.total / expected.logLikelihood).toBeCloseTo(1, 4);
    expect(difference([...logLikelihood!.codes.data], expected.firstNats)).toBeLessThan(1e-3);
    const [shape, some] = expected.patches;
    expect(patches!.shape).toEqual(shape);
    const [rows = 0, columns = 0] = shape;
    const every = Array.from({ length: rows * columns }, (_, i) => i).filter(
      (i) => Math.floor(i / columns) % 5 === 0 && (i % columns) % 5 === 0,
    );
    expect(
      difference(
        every.map((i) => patches!.data[i]!),
        some,
      ),
    ).toBeLessThan(1e-3);
  });
});
