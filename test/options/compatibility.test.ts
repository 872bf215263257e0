/**
 * The public interface that other programs rely on, as text files next to this test: the help of every
 * command, the shape of JSON output and the OpenAPI document. `npx vitest run test/options/compatibility.test.ts -u`
 * writes an intended change, which is reviewed in the diff of those files. test/package/api.test.ts covers the
 * TypeScript API.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { startSession } from '../support/cli.js';
import { call, startServer } from '../support/server/test-server.js';

const COMMANDS = [
  ...[
    'generate',
    'grid',
    'tokenize',
    'encode',
    'decode',
    'reconstruct',
    'codes',
    'sample',
    'sketch',
    'score',
    'upscale',
  ],
  ...[
    'inspect',
    'convert',
    'merge',
    'pack',
    'pull',
    'models',
    'rm',
    'serve',
    'mcp',
    'worker',
    'backends',
    'build',
  ],
];

const snapshot = (name: string): string => fileURLToPath(new URL(`./compatibility/${name}`, import.meta.url));
const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;

/** Returns the keys with the types of their values; elements of an array are merged into one shape. */
function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.length === 0 ? [] : [value.map(shapeOf).reduce(mergeShapes)];
  if (value === null || typeof value !== 'object') return value === null ? 'null' : typeof value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, shapeOf(inner)]));
}

function mergeShapes(a: unknown, b: unknown): unknown {
  if (Array.isArray(a) && Array.isArray(b)) {
    const all = [...a, ...b];
    return all.length === 0 ? [] : [all.reduce(mergeShapes)];
  }
  if (isRecord(a) && isRecord(b)) {
    const keys = [...new Set([...Object.keys(a), ...Object.keys(b)])];
    return Object.fromEntries(
      keys.map((key) => [key, key in a && key in b ? mergeShapes(a[key], b[key]) : (a[key] ?? b[key])]),
    );
  }
  const kinds = [a, b].map((one) => (typeof one === 'string' ? one : JSON.stringify(one)));
  return [...new Set(kinds.flatMap((kind) => kind.split(' or ')))].sort().join(' or ');
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const { run, end } = startSession();
afterAll(end);

describe('public interface', () => {
  const folders: string[] = [];
  afterAll(() => Promise.all(folders.map((path) => rm(path, { recursive: true, force: true }))));

  it('keeps the help of the program and of every command', async () => {
    const { stdout } = await run(['--help']);
    await expect(stdout).toMatchFileSnapshot(snapshot('help.txt'));
    const helps = await Promise.all(COMMANDS.map((command) => run([command, '--help'])));
    for (const [i, command] of COMMANDS.entries()) {
      expect(stdout).toContain(`  ${command} `);
      await expect(helps[i]!.stdout).toMatchFileSnapshot(snapshot(`help-${command}.txt`));
    }
  });

  it('keeps the JSON of generate and inspect', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'safelight-compatibility-'));
    folders.push(folder);
    const size = ['-W', '64', '-H', '64', '--steps', '1'];
    const generated = await run(['generate', 'apple', '--json', '-s', '1', ...size, '-o', 'a.png'], folder);
    await expect(json(shapeOf(JSON.parse(generated.stdout)))).toMatchFileSnapshot(snapshot('generate.json'));
    const starter = fileURLToPath(new URL('../../models/starter', import.meta.url));
    const inspected = await run(['inspect', starter, '--json']);
    await expect(json(shapeOf(JSON.parse(inspected.stdout)))).toMatchFileSnapshot(snapshot('inspect.json'));
  });

  it('keeps the OpenAPI document', async () => {
    const server = await startServer({});
    try {
      const { body } = await call<{ info: { version: string } }>(`${server.url}/openapi.json`);
      body.info.version = '0.0.0';
      await expect(json(body)).toMatchFileSnapshot(snapshot('openapi.json'));
    } finally {
      await server.end();
    }
  });
});
