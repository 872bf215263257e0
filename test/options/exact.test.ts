/**
 * The PNG text `safelight`: its contents, and how a reader handles one that is damaged, newer or from another
 * program.
 */
import { describe, expect, it } from 'vitest';
import type { ModelFacts } from '../../lib/families/shared/loaded-model.js';
import { formatExact, parseExact } from '../../lib/options/exact.js';
import { restoreOptions } from '../../lib/options/infotext/restore.js';
import { exactOptionsOf } from '../../lib/pipelines/metadata.js';
import { resolveOptions } from '../../lib/pipelines/options.js';

const parameters = 'a dog\nSteps: 3, Sampler: Euler, Seed: 4, Size: 8x8, Version: Safelight 0.1.0';
const text = (value: unknown): string => JSON.stringify(value);
const written = { version: 1, model: 'm', options: { prompt: 'a cat', seed: 1 } };

describe('exact options', () => {
  it('omit defaults, which keeps them short', () => {
    const settings = resolveOptions(
      { prompt: 'a cat', seed: 1 },
      { steps: 20, cfg: 4, sampler: 'dpmpp_2m' },
      8,
    );
    const exact = exactOptionsOf(
      { name: 'starter' } as ModelFacts,
      settings,
      { width: 64, height: 64 },
      { seed: 1, subseed: 2 },
    );
    expect(JSON.parse(exact)).toEqual({
      version: 1,
      model: 'starter',
      options: {
        ...{ prompt: 'a cat', width: 64, height: 64, seed: 1 },
        ...{ steps: 20, cfg: 4, sampler: 'dpmpp_2m', schedule: 'karras' },
      },
    });
    expect(exact.length).toBeLessThan(200);
  });

  it('write infinity as a word', () => {
    const exact = formatExact('m', {
      guidanceInterval: [1, Number.POSITIVE_INFINITY],
      sTmax: Number.POSITIVE_INFINITY,
    });
    expect(JSON.parse(exact).options).toEqual({ guidanceInterval: [1, 'Infinity'], sTmax: 'Infinity' });
    expect(parseExact(exact)?.options).toEqual({
      guidanceInterval: [1, Number.POSITIVE_INFINITY],
      sTmax: Number.POSITIVE_INFINITY,
    });
  });

  it('have precedence over generation parameters', () => {
    expect(restoreOptions({ parameters, safelight: text(written) })).toEqual({
      options: { prompt: 'a cat', seed: 1 },
      ...{ model: 'm', unrestored: [], warnings: [] },
    });
    expect(restoreOptions({ parameters }).options.prompt).toBe('a dog');
  });

  it.each([
    ['of a newer version', text({ ...written, version: 2 })],
    ['without a version', text({ options: written.options })],
    ['that are truncated', text(written).slice(0, -1)],
    ['of another type', text([1])],
    ['without options', text({ version: 1, options: 7 })],
    ['with a value of a wrong type', text({ ...written, options: { steps: '20' } })],
    ['with a value out of range', text({ ...written, options: { steps: 1e9 } })],
    ['with an unknown name within an object', text({ ...written, options: { hires: { tiles: 4 } } })],
    ['of excessive length', text({ ...written, options: { prompt: 'a'.repeat(3e6) } })],
  ])('%s are ignored, and generation parameters are read instead', (_, safelight) => {
    expect(parseExact(safelight)).toBeUndefined();
    expect(restoreOptions({ parameters, safelight }).options).toMatchObject({ prompt: 'a dog', seed: 4 });
  });

  it('with unknown names are read, and the unknown names are listed', () => {
    const safelight = text({
      ...written,
      options: { prompt: 'a cat', loras: [{ path: 'x' }], constructor: 1 },
    });
    const restored = restoreOptions({ parameters, safelight });
    expect(restored.options).toEqual({ prompt: 'a cat' });
    expect(restored.unrestored).toEqual([
      { name: 'loras', value: '[{"path":"x"}]' },
      { name: 'constructor', value: '1' },
    ]);
    expect(restored.warnings).toMatchObject([{ code: 'NOT_RESTORED' }]);
  });
});
