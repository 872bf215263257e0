// @ts-check
/** One of the programs that bench/compare.mjs compares: a process that is asked by lines of JSON, and its private memory meanwhile. */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

/** How often memory is looked at, in milliseconds, in the runs that are not timed. */
const LOOK = 10;

export class Contender {
  /** @param {string} name @param {string[]} command @param {NodeJS.ProcessEnv} env */
  constructor(name, command, env) {
    this.name = name;
    const [program = '', ...args] = command;
    this.process = spawn(program, args, {
      env: { ...process.env, ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    /** The end of what it wrote to stderr. */
    this.said = '';
    this.process.stderr.setEncoding('utf8').on('data', (text) => {
      this.said = (this.said + text).slice(-2000);
    });
    this.answers = createInterface({ input: this.process.stdout })[Symbol.asyncIterator]();
  }

  /** @param {Record<string, unknown>} question @returns {Promise<{ seconds?: number }>} */
  async ask(question) {
    this.process.stdin.write(`${JSON.stringify(question)}\n`);
    const { value, done } = await this.answers.next();
    if (done)
      throw new Error(`${this.name} ended while it was asked ${JSON.stringify(question)}:\n${this.said}`);
    return JSON.parse(value);
  }

  /** Seconds of one run. */
  async run() {
    const { seconds = Number.NaN } = await this.ask({ cmd: 'run' });
    return seconds;
  }

  /**
   * The most private memory (RssAnon) in bytes while `work` is under way.
   * @param {() => Promise<unknown>} work
   */
  async peakMemory(work) {
    let peak = this.privateMemory();
    const timer = setInterval(() => {
      peak = Math.max(peak, this.privateMemory());
    }, LOOK);
    try {
      await work();
    } finally {
      clearInterval(timer);
    }
    return Math.max(peak, this.privateMemory());
  }

  privateMemory() {
    const status = readFileSync(`/proc/${this.process.pid}/status`, 'utf8');
    return 1024 * Number(/^RssAnon:\s*(\d+) kB$/m.exec(status)?.[1] ?? 0);
  }

  end() {
    this.process.stdin.end();
    return new Promise((resolve) => {
      this.process.exitCode === null ? this.process.once('exit', resolve) : resolve(undefined);
      this.process.kill();
    });
  }
}
