#!/usr/bin/env node
/**
 * Entry point of the command line. It checks the Node.js version before loading anything else, so that old
 * versions get a readable error.
 */

/** Oldest supported version, from `engines` in package.json. */
const OLDEST_NODE = [20, 19] as const;

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor < OLDEST_NODE[1])) {
  process.stderr.write(
    `safelight: Node.js ${OLDEST_NODE.join('.')} or newer is required, this is ${process.versions.node}\n`,
  );
  process.exitCode = 1;
} else {
  const { run } = await import('./program.js');
  const { EXIT } = await import('./failure.js');
  const code = await run(process.argv.slice(2));
  // A normal exit would wait for threads, and a driver that is compiling a shader cannot be stopped.
  if (code === EXIT.interrupted || code === EXIT.terminated) process.exit(code);
  process.exitCode = code;
}
