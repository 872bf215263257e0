// @ts-check
/** A process that bench/compare.mjs measures. It exchanges JSON lines with bench/compare.mjs (see bench/peers/worker.py). */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

/** Interval in milliseconds at which memory is read, in runs that are not timed. */
const MEMORY_INTERVAL = 10;

/**
 * Reply to the command `load` or `run`. `precision` is the number format of the products, and `inferencePrecision` the one that
 * OpenVINO reports, where the peer selects it.
 * @typedef {{ seconds?: number, precision?: import('./peers/table.mjs').Format, inferencePrecision?: string }} Reply
 */

export class Contender {
  /** @param {string} name @param {string[]} command @param {NodeJS.ProcessEnv} env */
  constructor(name, command, env) {
    this.name = name;
    const [program = '', ...args] = command;
    this.process = spawn(program, args, {
      env: { ...process.env, ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    /** The last 2000 characters of stderr. */
    this.errors = '';
    this.process.stderr.setEncoding('utf8').on('data', (text) => {
      this.errors = (this.errors + text).slice(-2000);
    });
    this.replies = createInterface({ input: this.process.stdout })[Symbol.asyncIterator]();
  }

  /** @param {Record<string, unknown>} command @returns {Promise<Reply>} the reply */
  async send(command) {
    this.process.stdin.write(`${JSON.stringify(command)}\n`);
    const { value, done } = await this.replies.next();
    if (done) throw new Error(`${this.name} exited during ${JSON.stringify(command)}:\n${this.errors}`);
    return JSON.parse(value);
  }

  /** Runs the loaded cell once. @returns seconds */
  async run() {
    const { seconds = Number.NaN } = await this.send({ cmd: 'run' });
    return seconds;
  }

  /**
   * Returns the peak private memory (RssAnon) in bytes during `work`.
   * @param {() => Promise<unknown>} work
   */
  async peakMemory(work) {
    let peak = this.privateMemory();
    const timer = setInterval(() => {
      peak = Math.max(peak, this.privateMemory());
    }, MEMORY_INTERVAL);
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
