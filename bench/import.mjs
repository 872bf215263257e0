// @ts-check
/**
 * Milliseconds that `import 'safelight'` takes in a new process: the time of a program that imports it, less the time of one that
 * does not, interleaved, medians.
 *
 *   node bench/import.mjs [RUNS]
 */
import { spawnSync } from 'node:child_process';
import { median } from './measure.mjs';

const runs = Number(process.argv[2] ?? 21);
const entry = new URL('../dist/index.js', import.meta.url).href;
const programs = { 'empty program': '', 'with import': `await import(${JSON.stringify(entry)})` };
const times = Object.fromEntries(Object.keys(programs).map((name) => [name, /** @type {number[]} */ ([])]));
for (let run = 0; run <= runs; run++) {
  for (const [name, code] of Object.entries(programs)) {
    const start = performance.now();
    spawnSync(process.execPath, ['--input-type=module', '-e', code]);
    if (run > 0) times[name]?.push(performance.now() - start); // the first run fills the disk cache
  }
}
const [empty, loaded] = Object.keys(programs).map((name) => median(times[name] ?? []));
console.log(`empty program ${empty?.toFixed(0)} ms, with import ${loaded?.toFixed(0)} ms`);
console.log(`import 'safelight': ${((loaded ?? 0) - (empty ?? 0)).toFixed(0)} ms`);
