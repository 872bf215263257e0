/**
 * Removes comments of a prompt, from `#` to the end of the line. Reference: A1111
 * `modules/processing_scripts/comments.py`, which does so by default.
 */
export function withoutComments(prompt: string): string {
  if (!prompt.includes('#')) return prompt;
  return prompt
    .replace(/(^|\n)#[^\n]*(\n|$)/g, '\n')
    .replace(/#[^\n]*(\n|$)/g, '\n')
    .trim();
}
