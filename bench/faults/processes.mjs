// @ts-check
/** Processes of `safelight` that can be killed and restarted. */
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

/** A `safelight` command that can be started, killed and restarted. */
export class Command {
  /** @param {readonly string[]} args of safelight @param {RegExp} ready matches its output when it is ready */
  constructor(args, ready) {
    this.args = args;
    this.ready = ready;
    this.text = '';
    this.errors = '';
  }

  /** @returns {Promise<this>} resolves when the command is ready */
  async start() {
    this.text = '';
    const child = spawn(process.execPath, [MAIN, ...this.args], { stdio: ['ignore', 'pipe', 'pipe'] });
    this.child = child;
    /** @type {Promise<number | null>} */
    this.ended = new Promise((resolve) => child.once('exit', (code) => resolve(code)));
    child.stderr.on('data', (data) => {
      this.errors = (this.errors + data).slice(-20_000);
    });
    await new Promise((resolve, reject) => {
      child.stdout.on('data', (data) => {
        this.text += data;
        if (this.ready.test(this.text)) resolve(undefined);
      });
      child.once('exit', (code) => reject(new Error(`${this.args[0]} exited with ${code}: ${this.errors}`)));
    });
    return this;
  }

  /** @param {NodeJS.Signals} signal */
  async kill(signal = 'SIGKILL') {
    this.child?.kill(signal);
    return this.ended;
  }
}

/**
 * Starts a server on a free port.
 * @param {string} folder its data folder
 * @param {readonly string[]} more arguments of `safelight serve`
 */
export async function server(folder, more = []) {
  const port = await freePort();
  const args = ['serve', '--port', String(port), '--data', folder, '--log-level', 'error', ...more];
  const command = await new Command(args, /serves http/).start();
  return { command, url: `http://127.0.0.1:${port}` };
}

/**
 * Starts a worker.
 * @param {string} queue URL of the Redis queue
 * @param {readonly string[]} more arguments of `safelight worker`
 */
export function worker(queue, more = []) {
  return new Command(['worker', '--queue', queue, '--quiet', ...more], /works for/).start();
}

/** Starts a Redis server on a free port. @returns {Promise<{ url: string, end: () => Promise<void> }>} */
export async function redis() {
  const folder = await mkdtemp(join(tmpdir(), 'safelight-redis-'));
  const port = await freePort();
  const flags = ['--bind', '127.0.0.1', '--port', String(port), '--save', '', '--dir', folder];
  const child = spawn('/usr/bin/redis-server', flags, { stdio: ['ignore', 'pipe', 'ignore'] });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  for await (const line of child.stdout) if (String(line).includes('Ready to accept')) break;
  const end = async () => {
    child.kill('SIGKILL');
    await ended;
    await rm(folder, { recursive: true, force: true });
  };
  return { url: `redis://127.0.0.1:${port}`, end };
}

/** @returns {Promise<number>} */
export function freePort() {
  return new Promise((resolve) => {
    const listening = createServer().listen(0, '127.0.0.1', () => {
      const address = listening.address();
      listening.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}

/** @returns {Promise<string>} */
export function scratch() {
  return mkdtemp(join(tmpdir(), 'safelight-faults-'));
}
