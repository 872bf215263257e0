/**
 * The Vulkan backend on a real driver: Mesa's lavapipe where there is no GPU (`npm run test:vulkan`, which is no part of `npm test`: a cold run
 * compiles shaders for the better part of an hour). Results are within 1e-2 of the CPU's, as ggml's Vulkan products round their inputs to
 * f16; codes are equal.
 */
import { appendFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { backends } from '../../lib/native/backends.js';
import { Pipeline } from '../../lib/pipelines/pipeline.js';
import { gpuCases, type Results } from './cases.js';

const TOLERANCE = 1e-2;
/** Of nodes inside, which may be small beside what they are added to, or exponentials of scores. */
const INSIDE = 3e-2;
const LONG = 1_800_000;

/** SAFELIGHT_VULKAN_CASES=PATTERN runs some of the cases. */
const pattern = new RegExp(process.env.SAFELIGHT_VULKAN_CASES ?? '');
/** SAFELIGHT_VULKAN_REPORT=FILE gets a line of JSON for each case. */
const report = process.env.SAFELIGHT_VULKAN_REPORT;

interface Comparison {
  /** The largest |a - b| / max|b| of an output, and of a node inside with its name. */
  readonly error: number;
  readonly inside: number;
  readonly worst: string;
  /** Codes that differ. */
  readonly codes: number;
  /** The largest difference of a byte of an image. */
  readonly pixels: number;
}

function compare(actual: Results, expected: Results): Comparison {
  let [error, inside, codes, pixels, worst] = [0, 0, 0, 0, ''];
  for (const [name, b] of Object.entries(expected)) {
    const a = actual[name]!;
    if (a.length !== b.length) return { error: Number.POSITIVE_INFINITY, inside, worst: name, codes, pixels };
    let [off, largest] = [0, 0];
    for (let i = 0; i < b.length; i++) {
      const d = Math.abs(a[i]! - b[i]!);
      if (!Number.isFinite(d)) return { error: Number.POSITIVE_INFINITY, inside, worst: name, codes, pixels };
      off = Math.max(off, d);
      largest = Math.max(largest, Math.abs(b[i]!));
    }
    if (b instanceof Int32Array) codes += a.filter((value, i) => value !== b[i]).length;
    else if (b instanceof Uint8Array) pixels = Math.max(pixels, off);
    else {
      const relative = largest === 0 ? off : off / largest;
      if (!name.startsWith('node ')) error = Math.max(error, relative);
      else if (relative > inside) [inside, worst] = [relative, name];
    }
  }
  return { error, inside, worst, codes, pixels };
}

describe('the Vulkan backend', () => {
  it('has a device', () => {
    expect(backends().filter(({ name, opens }) => name === 'vulkan' && opens)).not.toEqual([]);
  });

  it.each(gpuCases.filter(({ name }) => pattern.test(name)).map((one) => [one.name, one] as const))(
    'computes %s within 1e-2 of the CPU, codes equal',
    async (name, { run }) => {
      const start = performance.now();
      const found = compare(await run({ backend: 'vulkan' }), await run({ backend: 'cpu' }));
      const seconds = Math.round((performance.now() - start) / 100) / 10;
      if (report) appendFileSync(report, `${JSON.stringify({ name, ...found, seconds })}\n`);
      expect(found.error).toBeLessThan(TOLERANCE);
      expect(found.inside, found.worst).toBeLessThan(INSIDE);
      expect(found.codes).toBe(0);
      expect(found.pixels).toBeLessThanOrEqual(3);
    },
    LONG,
  );

  it.runIf(pattern.test('generate'))(
    'draws the starter’s image within 3 of 255',
    async () => {
      const draw = async (backend: 'cpu' | 'vulkan') => {
        await using pipeline = await Pipeline.load(undefined, { backend });
        return (await pipeline.generate({ prompt: 'a red apple', seed: 1, steps: 4 })).images[0]!.data;
      };
      const [there, here] = [await draw('vulkan'), await draw('cpu')];
      const off = here.reduce((most, value, i) => Math.max(most, Math.abs(value - there[i]!)), 0);
      if (report) appendFileSync(report, `${JSON.stringify({ name: 'generate', pixels: off })}\n`);
      expect(off).toBeLessThanOrEqual(3);
    },
    LONG,
  );
});
