#!/usr/bin/env node
/** The command line's door: looks at Node's version before anything else is loaded, so that an old one gets a sentence. */

/** The oldest of package.json's `engines`. */
const OLDEST_NODE = [20, 19] as const;

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor < OLDEST_NODE[1])) {
  process.stderr.write(
    `safelight: Node.js ${OLDEST_NODE.join('.')} or newer is needed, this is ${process.versions.node}\n`,
  );
  process.exitCode = 1;
} else {
  const { run } = await import('./program.js');
  const { EXIT } = await import('./failure.js');
  const code = await run(process.argv.slice(2));
  // At once: the end of the event loop would wait for threads, and one in a driver that compiles a shader cannot be stopped.
  if (code === EXIT.interrupted || code === EXIT.terminated) process.exit(code);
  process.exitCode = code;
}
