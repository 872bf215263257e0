/** An option of a custom kind, declared only here, which everything derived from declarations supports. */
import { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { addOptionFlags } from '../../lib/cli/option-flags.js';
import { invalidOption } from '../../lib/errors.js';
import { custom, type OptionsOf } from '../../lib/options/field.js';
import { optionsOfFlags } from '../../lib/options/flags.js';
import { fromJson, toJson } from '../../lib/options/json.js';
import { shapeOf } from '../../lib/options/json-schema.js';
import { apiLimits } from '../../lib/options/limits.js';
import { validate } from '../../lib/options/validate.js';

interface Weighted {
  readonly path: string;
  readonly weight: number;
}

function check(name: string, value: unknown): readonly Weighted[] {
  if (!Array.isArray(value)) throw invalidOption(name, 'an array', value);
  return value;
}

const parse = (text: string): Weighted => {
  const [path = '', weight = '1'] = text.split(':');
  return { path, weight: Number(weight) };
};

const fields = {
  files: custom({ description: 'file with its weight', flag: { argument: 'file[:n]' }, check, parse }),
  tags: custom({ description: 'tags', check, schema: () => z.array(z.string()) }),
};

describe('an option of a custom kind', () => {
  it('has the type of its check and is checked by it', () => {
    const options: OptionsOf<typeof fields> = { files: [{ path: 'a', weight: 1 }] };
    expect(validate(fields, options)).toEqual({ ...options, tags: undefined });
    expect(() => validate(fields, { files: 7 })).toThrow('Expected an array for files but received 7');
  });

  it('has a repeatable flag if it can be parsed from one', () => {
    const command = addOptionFlags(new Command().exitOverride(), 'Files:', fields);
    expect(command.helpInformation()).toContain('--files <file[:n]>  file with its weight');
    expect(command.helpInformation()).not.toContain('--tags');
    command.parse(['--files', 'a:0.5', '--files', 'b'], { from: 'user' });
    const options = {
      files: [
        { path: 'a', weight: 0.5 },
        { path: 'b', weight: 1 },
      ],
    };
    expect(optionsOfFlags(fields, command.opts())).toEqual(options);
  });

  it('is accepted in jobs only if it declares a schema', () => {
    const schema = z.strictObject(shapeOf(fields, apiLimits));
    expect(schema.safeParse({ tags: ['x'] }).success).toBe(true);
    expect(schema.safeParse({ tags: [1] }).success).toBe(false);
    expect(schema.safeParse({ files: [] }).success).toBe(false);
    expect(fromJson(fields, toJson({ tags: ['x'] }))).toEqual({ tags: ['x'] });
  });
});
