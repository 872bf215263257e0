// @ts-check
/**
 * Measures the processor's peaks with .build/cpu/kernels-bench: products per second in registers, in 10^9 operations (two per
 * multiply-add), on all threads. A format without units on this processor has peak 0.
 */
import { spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** @typedef {import('./table.mjs').Format} Format */
/** @type {readonly Format[]} */
export const FORMATS = ['f32', 'bf16', 'int8'];

export class Peaks {
  /** @param {string} program @param {number} threads */
  constructor(program, threads) {
    this.process = spawn(program, [String(threads)], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.replies = createInterface({ input: this.process.stdout })[Symbol.asyncIterator]();
  }

  /** Returns the peak at this moment. @param {Format} format @returns {Promise<number>} */
  async measure(format) {
    this.process.stdin.write(`peak ${format}\n`);
    const { value, done } = await this.replies.next();
    if (done) throw new Error(`kernels-bench exited while measuring the peak in ${format}`);
    return Number(value.split(' ')[1]);
  }

  end() {
    this.process.stdin.end();
  }
}

/** Compiles kernels-bench, which requires the CMake build of `npm run prepare`. @returns {string} its path */
export function buildKernelsBench() {
  const build = join(fileURLToPath(new URL('../..', import.meta.url)), '.build/cpu');
  const { status, stdout, stderr } = spawnSync('cmake', ['--build', build, '--target', 'kernels-bench'], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`kernels-bench could not be compiled:\n${stdout}${stderr}`);
  return join(build, 'kernels-bench');
}
