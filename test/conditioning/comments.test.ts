import { expect, it } from 'vitest';
import { withoutComments } from '../../lib/conditioning/comments.js';

it.each([
  ['otter # violet', 'otter'],
  ['# note\notter\n# another\nfox', 'otter\nfox'],
  ['otter # a # b\nfox', 'otter \nfox'],
  ['a prompt without one ', 'a prompt without one '],
])('removes the comments of %j', (prompt, expected) => {
  expect(withoutComments(prompt).replace(/\n+/g, '\n')).toBe(expected);
});
