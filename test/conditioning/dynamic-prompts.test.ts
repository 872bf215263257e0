/** Dynamic prompts: variants and wildcards, drawn by a seed. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type DynamicPromptOptions,
  MAX_RESOLVED,
  resolveDynamicPrompt,
  type WildcardSource,
} from '../../lib/conditioning/dynamic-prompts.js';
import { SafelightError } from '../../lib/errors.js';

/** Wildcards in memory. An entry may have a weight, as in `[text, weight]`. */
function wildcards(lists: Readonly<Record<string, readonly (string | [string, number])[]>>): WildcardSource {
  const entries = async (name: string) => {
    const list = lists[name];
    if (!list) throw new SafelightError('FILE_NOT_FOUND', `No wildcard is named ${name}`);
    return list.map((entry) =>
      typeof entry === 'string' ? { text: entry, weight: 1 } : { text: entry[0], weight: entry[1] },
    );
  };
  return { open: async () => ({ entries }) };
}

const draw = (text: string, seed: DynamicPromptOptions['seed'] = 1, source?: WildcardSource) =>
  resolveDynamicPrompt(text, { seed, ...(source ? { wildcards: source } : {}) });

/** Returns the number of occurrences of each result for the seeds 0, 1, 2 ... */
async function counts(text: string, draws: number, source?: WildcardSource): Promise<Record<string, number>> {
  const found: Record<string, number> = {};
  for (let seed = 0; seed < draws; seed++) {
    const result = await draw(text, seed, source);
    found[result] = (found[result] ?? 0) + 1;
  }
  return found;
}

/** Returns the results that occur among 200 seeds, sorted. */
const results = async (text: string, source?: WildcardSource) =>
  Object.keys(await counts(text, 200, source)).sort();

/** Checks counts against shares: at most five standard deviations apart. */
function expectShares(
  found: Readonly<Record<string, number>>,
  shares: Readonly<Record<string, number>>,
): void {
  const total = Object.values(found).reduce((sum, count) => sum + count, 0);
  expect(Object.keys(found).sort()).toEqual(Object.keys(shares).sort());
  for (const [result, share] of Object.entries(shares)) {
    const deviation = Math.sqrt(total * share * (1 - share));
    expect(Math.abs(found[result]! - total * share), result).toBeLessThan(5 * deviation);
  }
}

describe('variants', () => {
  it('draw one option, all equally likely', async () => {
    expectShares(await counts('a {red|green|blue} car', 3000), {
      'a red car': 1 / 3,
      'a green car': 1 / 3,
      'a blue car': 1 / 3,
    });
  });

  it('draw options by their weights, which are 1 by default', async () => {
    expectShares(await counts('{0.5::a|2::b|c|0::d}', 4000), { a: 1 / 7, b: 4 / 7, c: 2 / 7 });
  });

  it('insert the option as written, which may be empty', async () => {
    expect(await results('a {very |}red car')).toEqual(['a red car', 'a very red car']);
    expect(await results('{}|{ x }')).toEqual(['| x ']);
  });

  it('may be nested', async () => {
    expect(await results('{a|b{1|2{x|y}}}')).toEqual(['a', 'b1', 'b2x', 'b2y']);
  });

  it('draw several distinct options in random order', async () => {
    const sixth = 1 / 6;
    expectShares(await counts('{2$$a|b|c}', 3000), {
      ...{ 'a, b': sixth, 'a, c': sixth, 'b, a': sixth, 'b, c': sixth, 'c, a': sixth, 'c, b': sixth },
    });
  });

  it('draw several options without replacement by their weights', async () => {
    // The first is "a" with 2/4; then the others share what is left.
    expectShares(await counts('{2$$ $$2::a|b|c}', 6000), {
      ...{ 'a b': 1 / 4, 'a c': 1 / 4, 'b a': 1 / 6, 'b c': 1 / 12, 'c a': 1 / 6, 'c b': 1 / 12 },
    });
  });

  it('draw a number of options within a range', async () => {
    const number = async (text: string) => {
      const found = await results(text);
      const lengths = found.map((result) => (result === '' ? 0 : result.split(', ').length));
      return [Math.min(...lengths), Math.max(...lengths)];
    };
    expect(await number('{1-3$$a|b|c|d}')).toEqual([1, 3]);
    expect(await number('{3-1$$a|b|c|d}')).toEqual([1, 3]);
    expect(await number('{-2$$a|b|c|d}')).toEqual([1, 2]);
    expect(await number('{2-$$a|b|c|d}')).toEqual([2, 4]);
    expect(await number('{0-1$$a|b|c|d}')).toEqual([0, 1]);
    expect(await number('{9$$a|b|c|d}')).toEqual([4, 4]);
    expect(await number('{9-12$$a|b|c|d}')).toEqual([4, 4]);
  });

  it('join several options by the given text, trimmed and without empty ones', async () => {
    expect(await results('{2$$ and $$ a | b }')).toEqual(['a and b', 'b and a']);
    expect(await results('[{2$$|$$a|b}]')).toEqual(['[a|b]', '[b|a]']);
    expect(await results('{3$$a||b}')).toEqual(['a, b', 'b, a']);
    expect(await results('{2$$$$a|b}')).toEqual(['ab', 'ba']);
  });

  it('leave separators to brackets and tags inside of an option', async () => {
    expect(await results('{[a|b]|c}')).toEqual(['[a|b]', 'c']);
    expect(await results('{(a|b:1.2)|c}')).toEqual(['(a|b:1.2)', 'c']);
    expect(await results('{<lora:x|y:1>|c}')).toEqual(['<lora:x|y:1>', 'c']);
    expect(await results('([{a|b}|c])')).toEqual(['([a|c])', '([b|c])']);
    expect(await results('{a (b|c] d}')).toEqual(['a (b', 'c] d']);
    expect(await results('{<3|>_<}')).toEqual(['<3', '>_<']);
    expect(await results('{[a|({x|y}|b)]|c}')).toEqual(['[a|(x|b)]', '[a|(y|b)]', 'c']);
  });

  it('are text if a brace has no partner', async () => {
    for (const text of ['{a|b', 'a|b}', '}{', '{{{', '{2$$a|b', '{ {2$$ and $$x'])
      expect(await draw(text)).toBe(text);
    expect(await results('{a|{b|c}')).toEqual(['{a|b', '{a|c']);
    expect(await results('{a|b}}')).toEqual(['a}', 'b}']);
  });

  it('treat words that are names of object members as text', async () => {
    expect(await results('{constructor|toString}')).toEqual(['constructor', 'toString']);
  });
});

describe('escapes', () => {
  it('make braces and underscores literal', async () => {
    expect(await draw('\\{a|b\\}')).toBe('{a|b}');
    expect(await draw('\\__name__')).toBe('__name__');
    expect(await results('{a\\}|b}')).toEqual(['a}', 'b']);
  });

  it('keep separators and the backslashes of the attention syntax', async () => {
    expect(await results('{a\\|b|\\(c\\)}')).toEqual(['\\(c\\)', 'a\\|b']);
    expect(await results('\\\\{a|b}\\')).toEqual(['\\\\a\\', '\\\\b\\']);
  });
});

describe('wildcards', () => {
  const source = wildcards({
    color: ['red', 'green', 'blue'],
    weighted: [
      ['a', 1],
      ['b', 3],
    ],
    animal: ['{big|small} __kind__'],
    kind: ['cat', 'dog'],
    one: ['x'],
  });

  it('insert an entry, all equally likely', async () => {
    expectShares(await counts('__color__', 3000, source), { red: 1 / 3, green: 1 / 3, blue: 1 / 3 });
  });

  it('insert entries by their weights', async () => {
    expectShares(await counts('__weighted__', 3000, source), { a: 1 / 4, b: 3 / 4 });
  });

  it('may be options, and their entries may contain variants and wildcards', async () => {
    expect(await results('{__kind__|bird}', source)).toEqual(['bird', 'cat', 'dog']);
    expect(await results('__animal__', source)).toEqual(['big cat', 'big dog', 'small cat', 'small dog']);
  });

  it('provide distinct entries as the only option', async () => {
    expect(await results('{2$$ + $$ __color__ }', source)).toEqual([
      'blue + green',
      'blue + red',
      'green + blue',
      'green + red',
      'red + blue',
      'red + green',
    ]);
    expect(await results('{5$$__kind__}', source)).toEqual(['cat, dog', 'dog, cat']);
    // As two options they are drawn independently.
    expect(await results('{2$$__one__|__one__}', source)).toEqual(['x, x']);
  });

  it('are drawn again at every place', async () => {
    expect(await results('__kind__ __kind__', source)).toEqual(['cat cat', 'cat dog', 'dog cat', 'dog dog']);
  });

  it('are text without a name, in lines of underscores, and across punctuation', async () => {
    for (const text of ['____', '________', '__ a __', '__a', 'snake__a, b__c', '__a\n__', 'a_b_c'])
      expect(await draw(text, 1, source)).toBe(text);
  });

  it('are rejected without a source, and if unknown', async () => {
    await expect(draw('__color__')).rejects.toMatchObject({
      code: 'INVALID_OPTION',
      message: expect.stringContaining('__color__'),
    });
    await expect(draw('{__colour__}', 1, source)).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
  });

  it('are rejected if they contain themselves, directly or through others', async () => {
    const cyclic = wildcards({ a: ['__A__'], b: ['x __c__'], c: ['{__d__}'], d: ['{2$$__b__}'], A: [] });
    for (const name of ['a', 'b', 'c', 'd'])
      await expect(draw(`__${name}__`, 1, cyclic)).rejects.toMatchObject({
        code: 'INVALID_OPTION',
        message: expect.stringContaining('contains itself'),
      });
  });
});

describe('choices', () => {
  const text = '{a|b|c|d} {3$$1|2|3|4|5} {x|y}';

  it('are equal for equal seeds, on every machine', async () => {
    // Computed once; a change breaks the prompts of saved seeds.
    const drawn = await Promise.all([0, 1, 2, 42, 2n ** 63n].map((seed) => draw(text, seed)));
    expect(drawn).toMatchInlineSnapshot(`
      [
        "c 4, 5, 1 y",
        "b 1, 5, 2 x",
        "a 3, 2, 4 y",
        "a 4, 1, 3 y",
        "c 2, 4, 5 x",
      ]
    `);
    expect(await Promise.all([0, 1, 2, 42, 2n ** 63n].map((seed) => draw(text, seed)))).toEqual(drawn);
  });

  it('differ between seeds, also beyond 32 bits, and between streams', async () => {
    const seeds = [...Array(40).keys()].flatMap((seed) => [BigInt(seed), BigInt(seed) + 2n ** 32n]);
    const drawn = new Set(await Promise.all(seeds.map((seed) => draw(text, seed))));
    expect(drawn.size).toBeGreaterThan(60);
    const streams = [...Array(40).keys()].map((stream) => resolveDynamicPrompt(text, { seed: 1, stream }));
    expect(new Set(await Promise.all(streams)).size).toBeGreaterThan(30);
  });

  it('reject a seed that is not an integer', async () => {
    await expect(draw('{a|b}', 0.5)).rejects.toMatchObject({ code: 'INVALID_OPTION' });
  });
});

describe('limits', () => {
  const nested = (depth: number) => `${'{'.repeat(depth)}x${'}'.repeat(depth)}`;
  const rejects = (text: string, source?: WildcardSource) =>
    expect(draw(text, 1, source)).rejects.toMatchObject({ name: 'SafelightError', code: 'INVALID_OPTION' });

  it('bound the result', async () => {
    expect(await draw(`{${'x'.repeat(MAX_RESOLVED)}}`)).toHaveLength(MAX_RESOLVED);
    await rejects(`{${'x'.repeat(MAX_RESOLVED)}}y`);
    await rejects('__a__'.repeat(2), wildcards({ a: ['x'.repeat(70_000)] }));
    await rejects(
      '{9$$----------$$__a__}'.replace('9', '20000'),
      wildcards({ a: [...Array(20_000).keys()].map(String) }),
    );
  });

  it('bound the depth of braces and of wildcards', async () => {
    expect(await draw(nested(100))).toBe('x');
    await rejects(nested(101));
    await rejects(nested(50_000));
    const chain = Object.fromEntries([...Array(40).keys()].map((i) => [`w${i}`, [`__w${i + 1}__`]]));
    await rejects('__w0__', wildcards({ ...chain, w40: ['x'] }));
    expect(await draw('__w10__', 1, wildcards({ ...chain, w40: ['x'] }))).toBe('x');
  });

  it('bound the work of expansions that leave no text', async () => {
    const levels = [...Array(30).keys()].map((i) => [`w${i}`, [`__w${i + 1}____w${i + 1}____w${i + 1}__`]]);
    await rejects('__w0__', wildcards({ ...Object.fromEntries(levels), w30: ['{|}'] }));
  });

  it('reject malformed weights and variables', async () => {
    await rejects('{-1::a|b}');
    await rejects(`{${'9'.repeat(400)}::a|b}`);
    await rejects('{0::a|0::b}');
    await rejects(`$\{color=red} $\{color}`);
    await rejects(`in $\{season}`);
    expect(await draw('$${5} for $\\{x\\}')).toBe(`$$5 for $\{x}`);
    await rejects(5 as unknown as string);
  });

  it('resolve a prompt of 20,000 variants', async () => {
    expect(await draw('{a|b},'.repeat(20_000))).toMatch(/^([ab],){20000}$/);
  });
});

it('returns text without braces and double underscores unchanged', async () => {
  const plain = fc.string({ unit: 'binary' }).filter((text) => !/[{}]|__/.test(text));
  const prompts = fc.array(
    fc.constantFrom('|', '\\', '(', '[', ']', ')', '<a:', '>', '_', '$$', '::', '#', 'x'),
  );
  const all = fc.oneof(
    plain,
    prompts.map((parts) => parts.join('')).filter((text) => !text.includes('__')),
  );
  await fc.assert(
    fc.asyncProperty(all, fc.integer({ min: 0 }), async (text, seed) => {
      expect(await draw(text, seed)).toBe(text);
    }),
    { numRuns: 500 },
  );
});

it('resolves or rejects arbitrary input with a typed error', async () => {
  const parts = fc.array(
    fc.constantFrom(
      '{',
      '}',
      '|',
      '__',
      'a',
      '*',
      '2$$',
      '1-',
      '::',
      '0.5',
      '\\',
      '[',
      ']',
      '(',
      ')',
      '<a:',
      '>',
      '$',
      ' ',
    ),
    { maxLength: 40 },
  );
  await fc.assert(
    fc.asyncProperty(parts, fc.integer({ min: 0 }), async (tokens, seed) => {
      const outcome = await draw(tokens.join(''), seed, wildcards({ a: ['x', '{y|z}'] })).catch(
        (error) => error,
      );
      if (typeof outcome !== 'string') expect(outcome).toBeInstanceOf(SafelightError);
    }),
    { numRuns: 2000 },
  );
});
