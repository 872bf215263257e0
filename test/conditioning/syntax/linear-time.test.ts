/** Dynamic prompts are parsed, and prompts split into spans, in time proportional to their length. */
import { expect, it } from 'vitest';
import { parseDynamicPrompt } from '../../../lib/conditioning/dynamic-syntax.js';
import { promptSpans } from '../../../lib/conditioning/prompt-spans.js';
import { growth } from '../../support/text/growth.js';

const repeated = (piece: string, length: number) => piece.repeat(Math.ceil(length / piece.length));

const DYNAMIC = [
  '{a|b}',
  '{',
  '}',
  '__',
  '__a',
  '{a|',
  '{2$$x$$',
  '{a{b}',
  '([{|',
  '{<a:',
  '{ ',
  '{0.5::',
  '\\',
];
it.each(DYNAMIC)('parses repetitions of %j as a dynamic prompt in linear time', (piece) => {
  const make = (length: number) => repeated(piece, length);
  expect(growth(make, (text) => void parseDynamicPrompt(text))).toBeLessThan(6);
});

const SYNTAX = [
  ...[
    '(',
    '[',
    ')',
    '(a:1.2)',
    '[a|b]',
    '[a:b:5]',
    '[a|',
    '[a:',
    '([',
    ':',
    '\\',
    ' ',
    'AND ',
    '<a:',
    '<a:b>',
  ],
  ...['BREAK', '|', 'a b', '{a|b}', '{', '__a__', '(a:{'],
];
it.each(SYNTAX)('splits repetitions of %j into spans in linear time', (piece) => {
  const make = (length: number) => repeated(piece, length / 2);
  const work = (text: string) => void promptSpans(text, { embeddings: ['a b'], dynamic: true });
  expect(growth(make, work)).toBeLessThan(6);
});

it('splits nested constructs into spans in linear time', () => {
  const make = (length: number) => '[a|'.repeat(length / 8) + ']'.repeat(length / 8);
  expect(growth(make, (text) => void promptSpans(text))).toBeLessThan(6);
  expect(promptSpans(make(8000)).filter(({ kind }) => kind === 'alternation')).toHaveLength(3000);
});
