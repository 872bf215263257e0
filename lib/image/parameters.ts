/**
 * A1111's "generation parameters": the text that describes how an image was generated, read by its PNG Info page and
 * most galleries.
 *
 *     prompt, several lines
 *     Negative prompt: negative prompt
 *     Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 1, Size: 512x512
 */

import { invalidOption } from '../errors.js';

export interface GenerationParameters {
  readonly prompt: string;
  readonly negative: string;
  /** Fields of the last line in their order, such as `{ Steps: '20', Sampler: 'Euler a' }`. */
  readonly fields: Readonly<Record<string, string>>;
}

const NEGATIVE = 'Negative prompt:';
/** A field's name with its colon. The value is a JSON string or extends to the next comma. */
const NAME = /\s*([\p{L}\p{N}_][\p{L}\p{N}_ \-/]{1,100}):[^\S\n]*/uy;
const QUOTED = /"(?:\\.|[^\\"])*"(?=\s*(?:,|$))/y;
/** A last line with fewer fields is part of the prompt (A1111's rule). */
const MIN_FIELDS = 3;

/**
 * Formats the text of an image. The format cannot represent every prompt (a line that starts with "Negative prompt:",
 * blanks at the ends of lines); such prompts are added as quoted fields too, which A1111's reader prefers.
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
 * Parses such a text; missing parts are empty. Lines after the fields, which extensions add (`Template: ...`), are
 * skipped. Accepts any string.
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
    // As in A1111, leading empty lines are dropped.
    if (part.length > 0 || line !== '') part.push(line);
  }
  const { Prompt, 'Negative prompt': Negative, ...others } = fields ?? {};
  return {
    prompt: Prompt ?? parts.prompt.join('\n'),
    negative: Negative ?? parts.negative.join('\n'),
    fields: others,
  };
}

function checkParameters(parameters: unknown): void {
  if (typeof parameters !== 'object' || parameters === null)
    throw invalidOption('parameters', 'an object { prompt, negative, fields }', parameters);
  const { prompt, negative, fields } = parameters as Readonly<Record<string, unknown>>;
  for (const [name, value] of Object.entries({ prompt, negative }))
    if (typeof value !== 'string') throw invalidOption(name, 'string', value);
  if (typeof fields !== 'object' || fields === null)
    throw invalidOption('fields', 'an object of strings', fields);
  for (const [name, value] of Object.entries(fields))
    if (typeof value !== 'string') throw invalidOption(`fields.${name}`, 'string', value);
}

function join(prompt: string, negative: string, fields: Readonly<Record<string, string>>): string {
  const line = Object.entries(fields).map(([name, value]) => `${name}: ${quote(value)}`);
  const negativeLine = negative === '' ? [] : [`${NEGATIVE} ${negative}`];
  return [prompt, ...negativeLine, line.join(', ')].join('\n').trim();
}

/**
 * Finds the last line with the settings of a program; else, by A1111's rule, the last line if it has enough fields not
 * to be part of the prompt.
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

/** Every program writes the steps and the other fields that determine noise and size, and only then quotes prompts. */
function isSettings(fields: Readonly<Record<string, string>>): boolean {
  const has = (name: string): boolean => Object.hasOwn(fields, name);
  return has('Prompt') || (has('Steps') && /^\d+\s*$/.test(fields.Steps!) && BESIDE_STEPS.some(has));
}

/** Parses the fields in a single pass, in linear time for hostile texts too. */
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

/** Writes a value as a JSON string if the unquoted form would not preserve it. */
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

/** Returns true if PNG text can represent the string: no lone surrogates and no zero bytes. */
function isWellFormed(text: string): boolean {
  return (
    !text.includes('\0') &&
    !/[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/.test(text)
  );
}
