// @ts-check
/**
 * Estimates how the time of a U-Net or decoder is divided among its layers: runs the kernel of each kind of layer separately
 * and adds up. Prints the time of each kind, its effective GFLOPS (multiply-adds of a direct evaluation; Winograd needs fewer)
 * and the share of the peak of fused multiply-adds. Requires the CMake build of `npm run prepare`.
 *
 *   node bench/kernels.mjs sd1|sdxl|decoder [--side 512] [--batch 1] [--type f16] [--precision f32] [--threads 2] [--layers]
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    side: { type: 'string', default: '512' },
    batch: { type: 'string', default: '1' },
    type: { type: 'string', default: 'f16' },
    precision: { type: 'string', default: 'f32' },
    threads: { type: 'string', default: '2' },
    program: { type: 'string' },
    layers: { type: 'boolean', default: false },
  },
});
const models = { sd1: unet, sdxl: unet, decoder };
const name = positionals[0] ?? '';
if (!Object.hasOwn(models, name)) {
  console.error(
    'usage: kernels.mjs sd1|sdxl|decoder [--side N] [--batch N] [--type TYPE] [--precision f32|bf16] [--threads N] [--layers]',
  );
  process.exit(2);
}
const batch = Number(values.batch);
const { type, precision, threads } = values;

/** @type {Map<string, { count: number, kind: string, flops: number }>} */
const layers = new Map();
/** @param {string} line @param {string} kind @param {number} flops */
function layer(line, kind, flops) {
  const known = layers.get(line);
  if (known) known.count++;
  else layers.set(line, { count: 1, kind, flops });
}
const conv = (/** @type {number} */ s, /** @type {number} */ cin, /** @type {number} */ cout, norm = 1) =>
  layer(
    `conv3x3 ${batch} ${s} ${s} ${cin} ${cout} f16 ${norm} ${precision}`,
    `conv3x3 ${s}²`,
    18 * batch * s * s * cin * cout,
  );
const linear = (
  /** @type {number} */ rows,
  /** @type {number} */ out,
  /** @type {number} */ depth,
  act = 'none',
  norm = 0,
) =>
  layer(
    `gemm ${rows} ${out} ${depth} ${type} ${act} ${norm} ${precision}`,
    rows > batch ? `gemm of ${rows} rows` : 'gemm of one row',
    2 * rows * out * depth,
  );
const heads = (
  /** @type {number} */ n,
  /** @type {number} */ d,
  /** @type {number} */ q,
  /** @type {number} */ k,
) =>
  layer(
    `attention ${batch} ${n} ${d} ${q} ${k} ${precision}`,
    k === 77 ? 'cross-attention' : 'self-attention',
    4 * batch * n * d * q * k,
  );
const norm = (/** @type {number} */ s, /** @type {number} */ c) =>
  layer(`group_norm ${batch} ${s * s} ${c}`, 'group norm', 0);
const stride2 = (/** @type {number} */ s, /** @type {number} */ c) =>
  layer(
    `gather ${batch} ${s} ${s} ${c} ${c} 3 2 1 f16 ${precision}`,
    'stride 2',
    (18 * batch * s * s * c * c) / 4,
  );

/** @param {number} s @param {number} cin @param {number} cout @param {number} emb */
function resnet(s, cin, cout, emb) {
  norm(s, cin);
  conv(s, cin, cout);
  if (emb) linear(batch, cout, emb);
  norm(s, cout);
  conv(s, cout, cout);
  if (cin !== cout) linear(batch * s * s, cout, cin);
}

/** @param {number} s @param {number} c @param {number} depth @param {number} count @param {number} context */
function transformer(s, c, depth, count, context) {
  const rows = batch * s * s;
  norm(s, c);
  linear(rows, c, c);
  for (let i = 0; i < depth; i++) {
    for (let j = 0; j < 3; j++) linear(rows, c, c, 'none', 1);
    heads(count, c / count, s * s, s * s);
    linear(rows, c, c);
    linear(rows, c, c, 'none', 1);
    for (let j = 0; j < 2; j++) linear(77 * batch, c, context);
    heads(count, c / count, s * s, 77);
    linear(rows, c, c);
    linear(rows, 8 * c, c, 'geglu', 1);
    linear(rows, c, 4 * c);
  }
  linear(rows, c, c);
}

function unet() {
  const xl = name === 'sdxl';
  const widths = xl ? [320, 640, 1280] : [320, 640, 1280, 1280];
  const depths = xl ? [0, 2, 10] : [1, 1, 1, 0];
  const context = xl ? 2048 : 768;
  const emb = 4 * 320;
  const count = (/** @type {number} */ c) => (xl ? c / 64 : 8);
  let s = Number(values.side) / 8;
  const skips = [320];
  conv(s, 4, 320, 0);
  let x = 320;
  widths.forEach((c, i) => {
    for (let j = 0; j < 2; j++) {
      resnet(s, x, c, emb);
      x = c;
      if (depths[i]) transformer(s, c, depths[i] ?? 0, count(c), context);
      skips.push(c);
    }
    if (i + 1 < widths.length) {
      stride2(s, c);
      s /= 2;
      skips.push(c);
    }
  });
  resnet(s, x, x, emb);
  transformer(s, x, xl ? 10 : 1, count(x), context);
  resnet(s, x, x, emb);
  for (let i = widths.length - 1; i >= 0; i--) {
    const c = widths[i] ?? 0;
    for (let j = 0; j < 3; j++) {
      resnet(s, x + (skips.pop() ?? 0), c, emb);
      x = c;
      if (depths[i]) transformer(s, c, depths[i] ?? 0, count(c), context);
    }
    if (i > 0) {
      s *= 2;
      conv(s, c, c, 0);
    }
  }
  norm(s, x);
  conv(s, x, 4);
}

function decoder() {
  let s = Number(values.side) / 8;
  let x = 512;
  conv(s, 4, 512, 0);
  resnet(s, 512, 512, 0);
  norm(s, 512);
  for (let i = 0; i < 4; i++) linear(batch * s * s, 512, 512);
  heads(1, 512, s * s, s * s);
  resnet(s, 512, 512, 0);
  [512, 512, 256, 128].forEach((c, i) => {
    for (let j = 0; j < 3; j++) {
      resnet(s, x, c, 0);
      x = c;
    }
    if (i < 3) {
      s *= 2;
      conv(s, c, c, 0);
    }
  });
  norm(s, x);
  conv(s, x, 3);
}

models[/** @type {keyof typeof models} */ (name)]();
const build = join(fileURLToPath(new URL('..', import.meta.url)), '.build/cpu');
if (!values.program) {
  const compiled = spawnSync('cmake', ['--build', build, '--target', 'kernels-bench'], { encoding: 'utf8' });
  if (compiled.status !== 0)
    throw new Error(`kernels-bench could not be compiled:\n${compiled.stdout}${compiled.stderr}`);
}
const input = [...layers.keys()].join('\n');
const times = execFileSync(values.program ?? join(build, 'kernels-bench'), [threads], {
  input,
  encoding: 'utf8',
})
  .trim()
  .split('\n')
  .map((line) => line.split(' ').map(Number));

// Scales each time to the highest peak measured, so that a temporary slowdown of the machine does not distort a layer's time.
const peak = Math.max(...times.map(([, seen = 0]) => seen));
/** @type {Map<string, { ms: number, flops: number }>} */
const kinds = new Map();
const total = { ms: 0, flops: 0 };
[...layers].forEach(([line, { count, kind, flops }], i) => {
  const [measured = 0, seen = 0] = times[i] ?? [];
  const ms = (measured * seen) / peak;
  if (values.layers) print(`${count} x ${line}`, ms, flops, count * ms);
  const known = kinds.get(kind) ?? { ms: 0, flops: 0 };
  kinds.set(kind, known);
  for (const sum of [known, total]) {
    sum.ms += count * ms;
    sum.flops += count * flops;
  }
});
for (const [kind, sum] of [...kinds].sort((a, b) => b[1].ms - a[1].ms))
  print(kind, sum.ms, sum.flops, sum.ms);
print(`${name} ${values.side}² x ${batch}`, total.ms, total.flops, total.ms);
console.log(`peak of fused multiply-adds: ${peak.toFixed(0)} GFLOPS`);

/** @param {string} what @param {number} ms @param {number} flops @param {number} all */
function print(what, ms, flops, all) {
  const rate = flops / ms / 1e6;
  console.log(
    `${what.padEnd(44)} ${ms.toFixed(2).padStart(9)} ms ${rate.toFixed(0).padStart(5)} GFLOPS ${((100 * rate) / peak).toFixed(0).padStart(4)} % of peak ${all.toFixed(1).padStart(8)} ms in total`,
  );
}
