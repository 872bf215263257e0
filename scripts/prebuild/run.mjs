// @ts-check
/** Runs programs for the scripts that build and check prebuilt binaries. */
import { spawnSync } from 'node:child_process';
import { root } from '../files.mjs';

/** Throws an error. @param {string} message @returns {never} */
export function fail(message) {
  throw new Error(message);
}

/** Runs a script. If it throws, prints the message and sets the exit code 1. @param {() => void | Promise<void>} main */
export async function runMain(main) {
  try {
    await main();
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}

/**
 * Runs a program with this process's output. Throws if the program fails.
 * @param {string} program
 * @param {string[]} args
 * @param {string} what for the message, such as `installing Zig`
 */
export function run(program, args, what) {
  const { status, error } = spawnSync(program, args, { cwd: root, stdio: 'inherit' });
  if (error) fail(`${what} needs ${program}: ${error.message}`);
  if (status !== 0) fail(`${what} failed: ${program} ended with exit code ${status}`);
}

/**
 * Returns the standard output of a program. Throws if the program fails.
 * @param {string} program
 * @param {string[]} args
 */
export function output(program, args) {
  const { status, error, stdout, stderr } = spawnSync(program, args, {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
    // Messages and names of sections are compared.
    env: { ...process.env, LC_ALL: 'C' },
  });
  if (error) fail(`${program} cannot be run: ${error.message}`);
  if (status !== 0) fail(`${program} ${args.join(' ')} failed: ${stderr}`);
  return stdout;
}
