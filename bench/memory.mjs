// @ts-check
/**
 * Measures the peak private memory of a command: runs it, reads RssAnon of /proc/PID/status every 10 ms and prints the peak of
 * each phase. Phases are taken from the progress that the command writes to stderr.
 *
 *   node bench/memory.mjs node dist/cli/main.js generate 'a house' --model sd1.safetensors --memory lean -W 512 -H 512 --steps 2
 */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';

const [command = '', ...args] = process.argv.slice(2);
if (!command) {
  console.error('usage: memory.mjs COMMAND [ARGUMENT...]');
  process.exit(2);
}
const child = spawn(command, args, { stdio: ['ignore', 'inherit', 'pipe'] });
const start = performance.now();
let phase = 'start';
/** @type {Map<string, { peak: number, at: number }>} */
const peaks = new Map();

child.stderr.on('data', (/** @type {Buffer} */ data) => {
  process.stderr.write(data);
  for (const [word] of data.toString().matchAll(/\b(load|encod|draw|denois|decod)\w*/gi))
    phase = word.toLowerCase();
});

/** Returns KiB, or 0 after the process has exited. */
function privateMemory() {
  try {
    return Number(/^RssAnon:\s+(\d+)/m.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1] ?? 0);
  } catch {
    return 0;
  }
}

const timer = setInterval(() => {
  const now = privateMemory();
  if (now > (peaks.get(phase)?.peak ?? -1)) peaks.set(phase, { peak: now, at: performance.now() - start });
}, 10);

child.on('close', (code) => {
  clearInterval(timer);
  const rows = [...peaks].map(([name, { peak, at }]) => ({
    phase: name,
    MB: (peak / 1000) * 1.024,
    seconds: at / 1000,
  }));
  for (const row of rows)
    console.log(`${row.phase.padEnd(10)} ${row.MB.toFixed(1).padStart(8)} MB at ${row.seconds.toFixed(1)} s`);
  console.log(
    `peak       ${Math.max(...rows.map((r) => r.MB))
      .toFixed(1)
      .padStart(8)} MB, ${((performance.now() - start) / 1000).toFixed(1)} s, exit code ${code}`,
  );
  process.exitCode = code ?? 1;
});
