#!/usr/bin/env node
/** The command line's door: looks at Node's version before anything else is loaded, so that an old one gets a sentence. */

const OLDEST_NODE = 20;

if (Number(process.versions.node.split('.')[0]) < OLDEST_NODE) {
  process.stderr.write(
    `safelight: Node.js ${OLDEST_NODE} or newer is needed, this is ${process.versions.node}\n`,
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
