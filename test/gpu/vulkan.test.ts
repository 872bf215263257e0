/**
 * The Vulkan backend on a real driver: Mesa's lavapipe if there is no GPU (`npm run test:vulkan`, which is
 * not part of `npm test`: a cold run compiles shaders for most of an hour). There are two runs. With
 * GGML_VK_DISABLE_F16, results are within 1e-2 of the CPU's and code indices are equal. Without it, as users
 * run it, ggml rounds the inputs of its matrix products to f16: random weights and samplers amplify that, and
 * a code index may become that of a neighboring codebook entry.
 */
import { appendFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { backends } from '../../lib/binding/backends.js';
import { Pipeline } from '../../lib/pipelines/diffusion/pipeline.js';
import { gpuCases, type Results } from './cases.js';

/**
 * Maximum differences: outputs (relative to their largest value); inner nodes, which may be small compared to
 * what they are added to, or exponentials of scores; the share of code indices; a byte of an image.
 */
const EXACT = { outputs: 1e-2, nodes: 3e-2, codes: 0, bytes: 3 };
const ROUNDED = { outputs: 2e-2, nodes: 1e-1, codes: 1e-2, bytes: 24 };
const rounds = process.env.GGML_VK_DISABLE_F16 === undefined;
/** Products with weights in bf16 round the other input, too, to eight bits. */
const limitsOf = (name: string) => (rounds || name.endsWith('in bf16') ? ROUNDED : EXACT);
const LONG = 1_800_000;

/** SAFELIGHT_VULKAN_CASES=PATTERN runs only matching cases. */
const pattern = new RegExp(process.env.SAFELIGHT_VULKAN_CASES ?? '');
/** SAFELIGHT_VULKAN_REPORT=FILE receives one line of JSON per case. */
const report = process.env.SAFELIGHT_VULKAN_REPORT;

interface Comparison {
  /** The largest |a - b| / max|b| of an output, and of an inner node with its name. */
  readonly error: number;
  readonly inside: number;
  readonly worst: string;
  /** The share of code indices that differ. */
  readonly codes: number;
  /** The largest difference of a byte of an image. */
  readonly pixels: number;
}

function compare(actual: Results, expected: Results): Comparison {
  let [error, inside, codes, compared, pixels, worst] = [0, 0, 0, 0, 0, ''];
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
    if (b instanceof Int32Array) {
      codes += a.filter((value, i) => value !== b[i]).length;
      compared += b.length;
    } else if (b instanceof Uint8Array) pixels = Math.max(pixels, off);
    else {
      const relative = largest === 0 ? off : off / largest;
      if (!name.startsWith('node ')) error = Math.max(error, relative);
      else if (relative > inside) [inside, worst] = [relative, name];
    }
  }
  return { error, inside, worst, codes: codes / Math.max(1, compared), pixels };
}

describe('the Vulkan backend', () => {
  it('has a device', () => {
    expect(backends().filter(({ name, opens }) => name === 'vulkan' && opens)).not.toEqual([]);
  });

  it.each(gpuCases.filter(({ name }) => pattern.test(name)).map((one) => [one.name, one] as const))(
    'computes %s as the CPU does, except for rounding',
    async (name, { run }) => {
      const start = performance.now();
      const most = limitsOf(name);
      const found = compare(await run({ backend: 'vulkan' }), await run({ backend: 'cpu' }));
      const seconds = Math.round((performance.now() - start) / 100) / 10;
      if (report) appendFileSync(report, `${JSON.stringify({ name, ...found, seconds })}\n`);
      expect(found.error).toBeLessThanOrEqual(most.outputs);
      expect(found.inside, found.worst).toBeLessThanOrEqual(most.nodes);
      expect(found.codes).toBeLessThanOrEqual(most.codes);
      expect(found.pixels).toBeLessThanOrEqual(most.bytes);
    },
    LONG,
  );

  it.runIf(pattern.test('generate'))(
    'generates the starter’s image within 3 of 255',
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
