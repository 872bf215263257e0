/** Spans of prompts for highlighting: kinds, explanations, and agreement with the parsers that generation uses. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { extractTags } from '../../lib/conditioning/network-tags.js';
import { parsePrompt } from '../../lib/conditioning/prompt.js';
import { schedulePrompt, splitAtAnd, textAtEvaluation } from '../../lib/conditioning/prompt-schedule.js';
import { type PromptSpan, type PromptSpanOptions, promptSpans } from '../../lib/conditioning/prompt-spans.js';

/** Returns pairs of kind and text; ordinary text is without a kind. */
const kinds = (text: string, options?: PromptSpanOptions) =>
  promptSpans(text, options).map(({ kind, start, end }) =>
    kind === 'text' ? text.slice(start, end) : [kind, text.slice(start, end)],
  );

/** Returns the explanation of the span that contains the only occurrence of `part`. */
function explained(text: string, part: string, options?: PromptSpanOptions): string | undefined {
  const at = text.indexOf(part);
  return promptSpans(text, options).find(({ start, end }) => start <= at && at < end)?.explanation;
}

describe('attention', () => {
  it('has brackets, weights and text in between', () => {
    expect(kinds('a (red:1.3) [b]')).toEqual([
      ...['a ', ['emphasis', '('], ['emphasized', 'red'], ['weight', ':1.3'], ['emphasis', ')'], ' '],
      ...[
        ['emphasis', '['],
        ['emphasized', 'b'],
        ['emphasis', ']'],
      ],
    ]);
  });

  it.each([
    ['((red))', 'red', 'Attention to “red” is multiplied by 1.21.'],
    ['(a (red:1.5):2)', 'red', 'Attention to “red” is multiplied by 3.'],
    ['(a red:1.5)', '(', 'Attention to “a red” is multiplied by 1.5.'],
    ['(a red:1.5)', ':1.5', 'Attention to “a red” is multiplied by 1.5.'],
    ['[red]', '[', 'Attention to “red” is divided by 1.1.'],
    ['[red]', 'red', 'Attention to “red” is multiplied by 0.909.'],
    ['(a:b)', 'b', 'Attention to “a:b” is multiplied by 1.1.'],
    ['(a, red', '(', 'This bracket is not closed: attention to all text after it is multiplied by 1.1.'],
    ['a) red', ')', 'No bracket is open before it, so it is text.'],
    ['(a:[1.1:1.5:5])', '(', 'Attention to “a” is multiplied by a number that changes while sampling.'],
    ['a \\(red', '\\', 'A literal “(”.'],
    ['a \\red', '\\', 'This backslash is left out.'],
  ])('%j: explains %j', (text, part, expected) => {
    expect(explained(text, part)).toBe(expected);
  });

  it('is text if attention is off', () => {
    const text = 'a (b:1.2) BREAK \\(';
    expect(kinds(text, { attention: false })).toEqual([text]);
    expect(kinds('[a|(b)]', { attention: false })).toEqual([
      ...[
        ['alternation', '['],
        ['scheduled', 'a'],
        ['alternation', '|'],
        ['scheduled', '(b)'],
      ],
      ['alternation', ']'],
    ]);
  });

  it('marks brackets without a partner', () => {
    expect(kinds('a) (b')).toEqual(['a', ['literal', ')'], ' ', ['unclosed', '('], ['emphasized', 'b']]);
  });

  it('marks BREAK outside of brackets only', () => {
    expect(kinds('a BREAK b (BREAK)')).toEqual([
      ...['a ', ['break', 'BREAK'], ' b ', ['emphasis', '('], ['emphasized', 'BREAK'], ['emphasis', ')']],
    ]);
    expect(kinds('BREAKING')).toEqual(['BREAKING']);
  });

  it('quotes at most 60 characters, and no half of one', () => {
    const sentence = explained(`(${'😀'.repeat(100)})`, '(')!;
    expect(sentence).toBe(`Attention to “${'😀'.repeat(59)}…” is multiplied by 1.1.`);
  });
});

describe('editing and alternation', () => {
  it('have brackets, separators, a step and text', () => {
    expect(kinds('a [cat:dog:10] b')).toEqual([
      ...['a ', ['editing', '['], ['scheduled', 'cat'], ['editing', ':'], ['scheduled', 'dog']],
      ...[['editing', ':'], ['step', '10'], ['editing', ']'], ' b'],
    ]);
    expect(kinds('[a|]')).toEqual([
      ['alternation', '['],
      ['scheduled', 'a'],
      ['alternation', '|'],
      ['alternation', ']'],
    ]);
  });

  it.each([
    ['[cat:dog:10]', 'cat', '“cat” until step 10, then “dog”.'],
    ['[cat:dog:0.25]', 'dog', '“cat” until 25% of the steps, then “dog”.'],
    ['[cat:dog:1.5]', 'dog', '“cat” until 50% of the second pass of hires fix, then “dog”.'],
    ['[cat:dog:1.0]', 'dog', '“cat” in the first pass, “dog” in the second pass of hires fix.'],
    ['[cat:dog:0]', 'dog', '“dog” at every step: the switch is before step 1.'],
    ['[cat:dog:-3]', 'dog', '“dog” at every step: the switch is before step 1.'],
    ['[cat:dog:2.0]', 'dog', '“cat” at every step: the switch is after the last step.'],
    ['[dog:10]', 'dog', 'Adds “dog” after step 10.'],
    ['[cat::10]', '10', 'Removes “cat” after step 10.'],
    ['[::10]', '[', 'An editing without text has no effect.'],
    ['[a|b]', '|', '“a” and “b” alternate at every step.'],
    ['[a|b|]', 'b', '“a”, “b” and nothing alternate at every step.'],
    ['[|a]', 'a', 'Nothing and “a” alternate at every step.'],
    [`[${'x|'.repeat(9)}y]`, 'y', '“x”, “x”, “x”, “x”, “x”, “x” and 4 more alternate at every step.'],
    ['([a|b]:1.5)', 'b', '“a” and “b” alternate at every step. Attention to “b” is multiplied by 1.5.'],
    ['[(a)|b]', 'a', '“(a)” and “b” alternate at every step. Attention to “a” is multiplied by 1.1.'],
    ['[a:[b|c]:5]', 'c', '“b” and “c” alternate at every step.'],
  ])('%j: explains %j', (text, part, expected) => {
    expect(explained(text, part)).toBe(expected);
  });

  it('have a depth', () => {
    const depths = promptSpans('a ([b|(c)])').map(({ depth }) => depth);
    expect(depths).toEqual([0, 0, 1, 2, 1, 2, 3, 2, 1, 0]);
  });

  it('do not apply to a prompt that does not parse, and the reason is marked', () => {
    expect(kinds('[a:b:5] | c')).toEqual([
      ...[['emphasis', '['], ['emphasized', 'a:b:5'], ['emphasis', ']'], ' ', ['literal', '|'], ' c'],
    ]);
    expect(explained('[a:b:5] | c', '|')).toMatch(/^Because of this “\|”/);
    expect(kinds('(a|b) [c|d]').filter(([kind]) => kind === 'alternation')).toEqual([]);
    expect(kinds('a | b')).toEqual(['a | b']);
  });
});

describe('AND and tags', () => {
  it('separate prompts with weights', () => {
    expect(kinds('a cat :1.2 AND (b AND c)')).toEqual([
      ...[
        'a cat',
        ['and-weight', ' :1.2'],
        ' ',
        ['and', 'AND'],
        ' ',
        ['unclosed', '('],
        ['emphasized', 'b '],
      ],
      ...[['and', 'AND'], ' c', ['literal', ')']],
    ]);
    expect(explained('a cat :1.2 AND b', ':1.2')).toBe('The guidance of “a cat” is multiplied by 1.2.');
  });

  it('are text in a negative prompt', () => {
    const text = 'a AND <lora:x:1> b:2';
    expect(kinds(text, { negative: true })).toEqual([text]);
    expect(kinds('(a) AND b', { negative: true })[1]).toEqual(['emphasized', 'a']);
  });

  it.each([
    ['<lora:name>', 'Applies the LoRA “name” with weight 1.'],
    ['<lora:name:0.8>', 'Applies the LoRA “name” with weight 0.8.'],
    [
      '<lora:name:0.5:0.8>',
      'Applies the LoRA “name” with weight 0.8 to the U-Net and 0.5 to the text encoder.',
    ],
    ['<lora:name:te=0.5>', 'Applies the LoRA “name” with weight 0.5.'],
    [
      '<lora:name:unet=0.2>',
      'Applies the LoRA “name” with weight 0.2 to the U-Net and 1 to the text encoder.',
    ],
    ['<lora:name:1:dyn=8>', 'Applies the LoRA “name” with weight 1, limited to “8” ranks.'],
    ['<lora:name:x>', 'The weight “x” of the LoRA “name” is not a number.'],
    ['<hypernet:a:1>', 'Hypernetworks are not supported; the tag is ignored.'],
    ['<other:a:1>', 'Networks of the kind “other” are unknown; the tag is ignored.'],
  ])('%j is explained', (tag, expected) => {
    expect(kinds(`a${tag}`)).toEqual(['a', ['network', tag]]);
    expect(explained(`a${tag}`, tag)).toBe(expected);
  });

  it('are removed before brackets are read', () => {
    expect(kinds('(a<lora:(:1>b:1.2)')).toEqual([
      ...[
        ['emphasis', '('],
        ['emphasized', 'a'],
        ['network', '<lora:(:1>'],
        ['emphasized', 'b'],
      ],
      ...[
        ['weight', ':1.2'],
        ['emphasis', ')'],
      ],
    ]);
  });
});

describe('embeddings', () => {
  it('are found as whole words in any case, the longest first', () => {
    const options = { embeddings: ['bad-hands', 'bad-hands-5', 'Neg'] };
    expect(kinds('Bad-Hands-5, bad-hands, negative neg (NEG)', options)).toEqual([
      ...[['embedding', 'Bad-Hands-5'], ', ', ['embedding', 'bad-hands'], ', negative '],
      ...[['embedding', 'neg'], ' ', ['emphasis', '('], ['embedding', 'NEG'], ['emphasis', ')']],
    ]);
    expect(explained('(NEG)', 'NEG', options)).toBe(
      'Inserts the embedding “NEG”. Attention to “NEG” is multiplied by 1.1.',
    );
  });
});

describe('dynamic prompts', () => {
  const dynamic = { dynamic: true };

  it('have braces, numbers, weights and separators', () => {
    expect(kinds('a {2$$b|0.5::c} __d__', dynamic)).toEqual([
      ...[
        'a ',
        ['variant', '{2$$'],
        ['choice', 'b'],
        ['variant', '|'],
        ['variant', '0.5::'],
        ['choice', 'c'],
      ],
      ...[['variant', '}'], ' ', ['wildcard', '__d__']],
    ]);
    expect(kinds('a {b|c} __d__')).toEqual(['a {b|c} __d__']);
  });

  it('do not hide syntax within options, nor make pipes stray', () => {
    expect(kinds('{(a)|[b|c]} [d:e:5]', dynamic)).toEqual([
      ...[
        ['variant', '{'],
        ['emphasis', '('],
        ['emphasized', 'a'],
        ['emphasis', ')'],
        ['variant', '|'],
      ],
      ...[
        ['alternation', '['],
        ['scheduled', 'b'],
        ['alternation', '|'],
        ['scheduled', 'c'],
      ],
      ...[
        ['alternation', ']'],
        ['variant', '}'],
        ' ',
        ['editing', '['],
        ['scheduled', 'd'],
        ['editing', ':'],
      ],
      ...[
        ['scheduled', 'e'],
        ['editing', ':'],
        ['step', '5'],
        ['editing', ']'],
      ],
    ]);
  });

  it.each([
    ['{a|b}', '|', 'Inserts one of 2 options at random: “a” or “b”.'],
    ['{a|b}', 'a', 'Inserts one of 2 options at random: “a” or “b”.'],
    ['{a|3::b}', '3', 'The weight of “b” is 3: it is inserted with a chance of 75%.'],
    ['{2$$a|b|c}', '2', 'Inserts 2 of these at random, joined by “, ”: “a”, “b” and “c”.'],
    ['{1-2$$ and $$a|b}', '$', 'Inserts 1 to 2 of these at random, joined by “ and ”: “a” and “b”.'],
    ['{2-$$a|3::b}', '3', 'The weight of “b” is 3.'],
    ['{a}', '{', 'Inserts “a”.'],
    ['__x/y__', 'x', 'Inserts a random entry of the wildcard “x/y”.'],
    ['__x*__', 'x', 'Inserts a random entry of a wildcard that matches “x*”.'],
    ['\\{', '{', 'A literal “{”.'],
  ])('%j: explains %j', (text, part, expected) => {
    expect(explained(text, part, dynamic)).toBe(expected);
  });

  it('are not marked if they are malformed', () => {
    expect(kinds('{-1::a|b}', dynamic)).toEqual(['{-1::a|b}']);
  });
});

/** Tokens of which prompts with much syntax are made. */
const TOKENS = [
  ...['(', ')', '[', ']', ':', '|', '\\', ' ', 'a', 'b', '5', '0.5', ':1.2)', ':2]', 'BREAK', 'AND', '\n'],
  ...[
    '<lora:x:',
    '>',
    '<',
    '{',
    '}',
    '__',
    '2$$',
    '::',
    '#',
    'ä',
    '😀',
    '\uE000',
    '\uE001',
    ',',
    '[a|b]',
    '[c:d:3]',
  ],
];
const anyPrompt = fc.oneof(
  fc.array(fc.constantFrom(...TOKENS), { maxLength: 40 }).map((tokens) => tokens.join('')),
  fc.string({ unit: 'binary', maxLength: 60 }),
);
const anyOptions = fc.record({
  negative: fc.boolean(),
  dynamic: fc.boolean(),
  attention: fc.boolean(),
  embeddings: fc.constantFrom<string[]>([], ['a', 'b a', 'ä', '5']),
});

describe('all prompts', () => {
  it('are covered by contiguous spans', () => {
    fc.assert(
      fc.property(anyPrompt, anyOptions, (text, options) => {
        const spans = promptSpans(text, options);
        let end = 0;
        for (const span of spans) {
          expect(span.start).toBe(end);
          expect(span.end).toBeGreaterThan(span.start);
          end = span.end;
        }
        expect(end).toBe(text.length);
      }),
      { numRuns: 3000 },
    );
  });

  it('are split at AND and into tags as for generation', () => {
    fc.assert(
      fc.property(anyPrompt, (text) => {
        const spans = promptSpans(text);
        const { tags, text: rest } = extractTags(text);
        expect(textsOf(text, spans, 'network').join('')).toBe(tags.map((tag) => tag.text).join(''));
        const parts = splitAtAnd(rest);
        expect(textsOf(text, spans, 'and')).toHaveLength(parts.length - 1);
        expect(textsOf(text, spans, 'and-weight').length).toBe(
          parts.filter((part) => part.weight !== 1).length +
            textsOf(text, spans, 'and-weight').filter(isOne).length,
        );
      }),
      { numRuns: 2000 },
    );
  });

  it('have the texts of every step and the weights of generation', () => {
    const tokens = fc.constantFrom(
      ...['(', ')', '[', ']', ':', '|', 'a', 'b', ' c', ':1.5)', ':4]', '[d|e]', '[f:g:2]', '\\('],
      ...['(a:0.5)', '[a|', '[b:', '[[c|]', '(([d:e:3]'],
    );
    let constructs = 0;
    fc.assert(
      fc.property(fc.array(tokens, { maxLength: 25 }), (words) => {
        const text = words.join('');
        const spans = promptSpans(text, { negative: true });
        for (let step = 1; step <= 4; step++) {
          const chosen = spansAt(text, spans, step);
          if (chosen.length < spans.length) constructs++;
          const resolved = chosen.map(({ start, end }) => text.slice(start, end)).join('');
          expect(resolved).toBe(textAtEvaluation(schedulePrompt(text, { steps: 4 }), step));
          expect(weightsOf(text, chosen)).toEqual(
            parsePrompt(resolved).flatMap((part) =>
              part.kind === 'text' ? letters(part.text).map((letter) => [letter, rounded(part.weight)]) : [],
            ),
          );
        }
      }),
      { numRuns: 4000 },
    );
    expect(constructs).toBeGreaterThan(500);
  });
});

const isOne = (text: string) => Number(/[-+.\d]+$/.exec(text)?.[0]) === 1;
const letters = (text: string) => [...text].filter((character) => /[a-g]/.test(character));
const rounded = (weight: number) => String(Number(weight.toPrecision(3)));

function textsOf(text: string, spans: readonly PromptSpan[], kind: PromptSpan['kind']): string[] {
  return spans.filter((span) => span.kind === kind).map(({ start, end }) => text.slice(start, end));
}

/** Returns the spans of the text that applies at a step from 1, without the syntax of editing and alternation. */
function spansAt(text: string, spans: readonly PromptSpan[], step: number): PromptSpan[] {
  let next = 0;
  const read = (until: (span: PromptSpan) => boolean): PromptSpan[] => {
    const chosen: PromptSpan[] = [];
    for (; next < spans.length && !until(spans[next]!); next++) {
      const span = spans[next]!;
      const { kind, depth, start } = span;
      if ((kind !== 'editing' && kind !== 'alternation') || text[start] !== '[') {
        chosen.push(span);
        continue;
      }
      const options: PromptSpan[][] = [];
      do {
        next++;
        options.push(
          read((other) => other.kind === kind && other.depth === depth && text[other.start] !== '['),
        );
      } while (text[spans[next]!.start] !== ']');
      if (kind === 'alternation') chosen.push(...options[(step - 1) % options.length]!);
      else {
        const [when] = options.pop()!;
        const until = Math.trunc(Number(text.slice(when!.start, when!.end)));
        const [from, to] = options.length === 2 ? options : [[], options[0]];
        chosen.push(...(step <= until ? from! : to!));
      }
    }
    return chosen;
  };
  return read(() => false);
}

/** Returns the letters of spans with the weights in their explanations. */
function weightsOf(text: string, spans: readonly PromptSpan[]): [string, string][] {
  return spans.flatMap(({ start, end, explanation = '' }) => {
    const weight = /Attention to .* is multiplied by (\S+)\.$/s.exec(explanation)?.[1] ?? '1';
    return letters(text.slice(start, end)).map((letter): [string, string] => [letter, weight]);
  });
}
