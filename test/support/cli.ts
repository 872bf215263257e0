/** Runs the compiled command line as a user would: in a separate process and folder. */
import { type ChildProcess, fork, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

export interface Result {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A running process; `text` is its output so far. */
export interface Running {
  readonly child: ChildProcess;
  readonly result: Promise<Result>;
  /** Resolves when stderr matches; rejects if the process ends before. */
  stderrHas(pattern: RegExp): Promise<void>;
}

export function start(args: readonly string[], cwd?: string): Running {
  const child = spawn(process.execPath, [MAIN, ...args], { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
  let [stdout, stderr] = ['', ''];
  const waiting = new Set<() => void>();
  child.stdout.on('data', (data: Buffer) => {
    stdout += data.toString();
  });
  child.stderr.on('data', (data: Buffer) => {
    stderr += data.toString();
    for (const check of waiting) check();
  });
  const result = new Promise<Result>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, stdout, stderr }));
  });
  const stderrHas = (pattern: RegExp) =>
    new Promise<void>((resolve, reject) => {
      const check = () => pattern.test(stderr) && resolve();
      waiting.add(check);
      check();
      void result.then(() => reject(new Error(`ended before ${pattern} was printed: ${stderr}`)));
    });
  return { child, result, stderrHas };
}

export function run(args: readonly string[], cwd?: string): Promise<Result> {
  return start(args, cwd).result;
}

export interface CliSession {
  run(args: readonly string[], cwd?: string): Promise<Result>;
  end(): void;
}

/**
 * Starts one process that runs several command lines, one after the other, without a terminal. Importing the
 * package takes longer than most commands, so tests use it unless they are about the process itself.
 */
export function startSession(env: Readonly<Record<string, string>> = {}): CliSession {
  const script = fileURLToPath(new URL('./cli-session.mjs', import.meta.url));
  const child = fork(script, { env: { ...process.env, ...env }, silent: true });
  const waiting: { resolve: (result: Result) => void; reject: (error: Error) => void }[] = [];
  let stderr = '';
  child.stderr?.on('data', (data: Buffer) => {
    stderr += data.toString();
  });
  child.on('message', (result: Result) => waiting.shift()?.resolve(result));
  child.on('close', () => {
    for (const { reject } of waiting) reject(new Error(`the session ended: ${stderr}`));
  });
  return {
    run: (args, cwd = process.cwd()) =>
      new Promise((resolve, reject) => {
        waiting.push({ resolve, reject });
        child.send({ args, cwd });
      }),
    end: () => child.kill(),
  };
}

/** Creates a folder that is removed at the end of the test. */
export function workFolder(): {
  readonly path: string;
  readonly file: (name: string) => string;
  readonly remove: () => void;
} {
  const path = mkdtempSync(join(tmpdir(), 'safelight-cli-'));
  return {
    path,
    file: (name) => join(path, name),
    remove: () => rmSync(path, { recursive: true, force: true }),
  };
}
