/** Configuration of `serve` and `mcp` from the command line, the environment and a configuration file. */
import { readFile } from 'node:fs/promises';
import { SafelightError } from '../errors.js';
import type { ServeInput } from '../server/config.js';

/** Merges the configuration: the command line overrides the environment, which overrides the configuration file. */
export async function mergeConfig({
  config,
  verbose: _,
  ...flags
}: Record<string, unknown>): Promise<ServeInput> {
  const file = typeof config === 'string' ? await readConfig(config) : {};
  const key = process.env.SAFELIGHT_API_KEY;
  // `starter: true` is commander's default for --no-starter and must not override the file.
  const explicit = Object.entries(flags).filter(([name, value]) => !(name === 'starter' && value === true));
  const options = Object.fromEntries(
    explicit.map(([name, value]) => [name.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`), value]),
  );
  return { ...file, ...(key ? { 'api-key': key } : {}), ...options } as ServeInput;
}

async function readConfig(path: string): Promise<object> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    throw new SafelightError('FILE_NOT_FOUND', `The configuration file '${path}' cannot be read`, {
      cause: error,
    });
  }
  const { parse } = await import('yaml');
  try {
    const config: unknown = parse(text, { maxAliasCount: 100 });
    if (typeof config === 'object' && config !== null && !Array.isArray(config)) return config;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new SafelightError(
      'INVALID_FILE',
      `The configuration file '${path}' is not valid YAML: ${reason}`,
      {
        cause: error,
      },
    );
  }
  throw new SafelightError(
    'INVALID_FILE',
    `Expected the configuration file '${path}' to contain a mapping of options to values`,
  );
}
