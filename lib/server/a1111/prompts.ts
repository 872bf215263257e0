/** Prepares prompts as A1111 does before it parses them. */

/** Removes comments, from `#` to the end of a line. */
export function withoutComments(prompt: string): string {
  const text = prompt.replace(/(^|\n)#[^\n]*(\n|$)/g, '\n').replace(/#[^\n]*(\n|$)/g, '\n');
  return text === prompt ? prompt : text.trim();
}
