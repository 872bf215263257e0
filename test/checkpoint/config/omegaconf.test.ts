import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import * as yaml from 'yaml';
import type { ConfigValue } from '../../../lib/binding/types.js';
import { ModelConfig } from '../../../lib/checkpoint/config/omegaconf/model-config.js';
import {
  type ConfigTree,
  mergeTrees,
  parseYaml,
} from '../../../lib/checkpoint/config/omegaconf/yaml-tree.js';

interface Fixture {
  scalars: [text: string, value: unknown][];
  cases: { texts: string[]; tree: unknown }[];
}
const fixture = JSON.parse(
  readFileSync(new URL('../../fixtures/configs/omegaconf.json', import.meta.url), 'utf8'),
) as Fixture;

/** Returns a value in the form in which the fixture represents values that JSON cannot. */
function shown(value: ConfigValue | undefined): unknown {
  if (typeof value === 'number' && !Number.isFinite(value))
    return { float: String(value).toLowerCase().replace('infinity', 'inf') };
  if (Array.isArray(value)) return value.map(shown);
  if (typeof value === 'object' && value !== null)
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, shown(item)]));
  return value;
}

function merged(texts: readonly string[]): ModelConfig {
  let tree: ConfigTree = {};
  for (const text of texts) tree = mergeTrees(tree, parseYaml(text, 'a.yaml', yaml));
  return new ModelConfig('a.yaml', tree);
}

describe('YAML configs against OmegaConf', () => {
  test.each(fixture.scalars)('reads the scalar %s as OmegaConf does', (text, value) => {
    expect(shown(merged([`a: ${text}`]).get('a') ?? null)).toEqual(value);
  });

  test.each(fixture.cases)('merges $texts.0 as OmegaConf does', ({ texts, tree }) => {
    expect(shown(merged(texts).get(''))).toEqual(tree);
  });
});
