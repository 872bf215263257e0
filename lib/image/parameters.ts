/**
 * How a picture was made, as text: A1111's "generation parameters", which its PNG Info page and most galleries read.
 *
 *     prompt, several lines
 *     Negative prompt: what not
 *     Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 1, Size: 512x512
 */

import { invalidOption } from '../errors.js';

export interface GenerationParameters {
  readonly prompt: string;
  readonly negative: string;
  /** The last line's fields in their order, such as `{ Steps: '20', Sampler: 'Euler a' }`. */
  readonly fields: Readonly<Record<string, string>>;
}

const NEGATIVE = 'Negative prompt:';
/** A field's name and colon, and a value written as a JSON string; anything else reaches to the next comma. */
const NAME = /\s*([\p{L}\p{N}_][\p{L}\p{N}_ \-/]{1,100}):[^\S\n]*/uy;
const QUOTED = /"(?:\\.|[^\\"])*"(?=\s*(?:,|$))/y;
/** Fewer fields than this make the last line part of the prompt (A1111's rule). */
const MIN_FIELDS = 3;

/**
 * The text of a picture. The format cannot hold every prompt (a line that begins with "Negative prompt:", blanks at the ends of
 * lines); such prompts are added once more as quoted fields, which A1111's reader prefers too, so that nothing is lost.
 */
export function formatParameters(parameters: GenerationParameters): string {
  checkParameters(parameters);
  const { prompt, negative } = parameters;
  const text = join(prompt, negative, parameters.fields);
  const read = parseParameters(text);
  const survives = read.prompt === prompt && read.negative === negative && isWellFormed(prompt + negative);
  if (survives) return text;
  return join(prompt, negative, { ...parameters.fields, Prompt: prompt, 'Negative prompt': negative });
}

/**
 * Reads such a text back; what is missing is empty. Lines behind the fields, which extensions add (`Template: ...`), are skipped. Never
 * throws for a string, whatever it says.
 */
export function parseParameters(text: string): GenerationParameters {
  if (typeof text !== 'string') throw invalidOption('text', 'string', text);
  const all = text.trim().split('\n');
  const { at, fields } = findFields(all) ?? { at: all.length, fields: undefined };
  const lines = all.slice(0, at);
  const parts: { prompt: string[]; negative: string[] } = { prompt: [], negative: [] };
  let part = parts.prompt;
  for (const raw of lines) {
    let line = raw.trim();
    if (line.startsWith(NEGATIVE)) {
      part = parts.negative;
      line = line.slice(NEGATIVE.length).trim();
    }
    // A1111 joins with a line break only once there is something to join to.
    if (part.length > 0 || line !== '') part.push(line);
  }
  const { Prompt, 'Negative prompt': Negative, ...rest } = fields ?? {};
  return {
    prompt: Prompt ?? parts.prompt.join('\n'),
    negative: Negative ?? parts.negative.join('\n'),
    fields: rest,
  };
}

function checkParameters(parameters: unknown): void {
  if (typeof parameters !== 'object' || parameters === null)
    throw invalidOption('parameters', '{ prompt, negative, fields }', parameters);
  const { prompt, negative, fields } = parameters as Readonly<Record<string, unknown>>;
  for (const [name, value] of Object.entries({ prompt, negative }))
    if (typeof value !== 'string') throw invalidOption(name, 'string', value);
  if (typeof fields !== 'object' || fields === null)
    throw invalidOption('fields', 'an object of texts', fields);
  for (const [name, value] of Object.entries(fields))
    if (typeof value !== 'string') throw invalidOption(`fields.${name}`, 'string', value);
}

function join(prompt: string, negative: string, fields: Readonly<Record<string, string>>): string {
  const line = Object.entries(fields).map(([name, value]) => `${name}: ${quote(value)}`);
  const negativeLine = negative === '' ? [] : [`${NEGATIVE} ${negative}`];
  return [prompt, ...negativeLine, line.join(', ')].join('\n').trim();
}

/**
 * The last line that holds a program's settings; else, by A1111's rule, the last line of all if it holds enough fields to be no part of
 * the prompt.
 */
function findFields(
  lines: readonly string[],
): { readonly at: number; readonly fields: Record<string, string> } | undefined {
  const end = lines.length - 1;
  for (let at = end; at >= 0; at--) {
    const fields = parseFields(lines[at]!.trimEnd());
    if (fields && isSettings(fields)) return { at, fields };
  }
  const fields = parseFields(lines[end]!);
  return fields && { at: end, fields };
}

const BESIDE_STEPS = ['Sampler', 'Seed', 'Size', 'CFG scale'];

/** Every program writes its steps, first of all, and what else noise and size depend on; a prompt is quoted in these alone. */
function isSettings(fields: Readonly<Record<string, string>>): boolean {
  const has = (name: string): boolean => Object.hasOwn(fields, name);
  return has('Prompt') || (has('Steps') && /^\d+\s*$/.test(fields.Steps!) && BESIDE_STEPS.some(has));
}

/** One pass from comma to comma, so that a hostile text costs no more than its length. */
function parseFields(line: string): Record<string, string> | undefined {
  const fields = new Map<string, string>();
  let at = 0;
  while (at < line.length) {
    NAME.lastIndex = at;
    const name = NAME.exec(line);
    if (name) {
      QUOTED.lastIndex = at = NAME.lastIndex;
      const quoted = QUOTED.exec(line)?.[0];
      if (quoted !== undefined) at += quoted.length;
      const comma = line.indexOf(',', at);
      fields.set(
        name[1]!,
        quoted === undefined ? line.slice(at, comma < 0 ? undefined : comma) : unquote(quoted),
      );
    }
    const comma = line.indexOf(',', at);
    if (comma < 0) break;
    at = comma + 1;
  }
  return fields.size < MIN_FIELDS ? undefined : Object.fromEntries(fields);
}

/** A value that the plain form would lose is written as a JSON string. */
function quote(value: string): string {
  return /[,\n:]|^["\s]|\s$|^$/.test(value) || !isWellFormed(value) ? JSON.stringify(value) : value;
}

function unquote(value: string): string {
  try {
    const parsed: unknown = JSON.parse(value);
    return typeof parsed === 'string' ? parsed : value;
  } catch {
    return value;
  }
}

/** Whether UTF-8 can hold the text: no half of a surrogate pair alone, and no zero byte, which PNG text cannot hold. */
function isWellFormed(text: string): boolean {
  return (
    !text.includes('\0') &&
    !/[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/.test(text)
  );
}
