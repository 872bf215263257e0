/** Sentences that explain parts of a prompt. */
import { isLoraKind } from '../network-tags.js';

/** Maximum number of characters of a quotation, and of options that are listed. */
const MAX_QUOTED = 60;
const MAX_LISTED = 6;

/** Quotes a text on one line; an empty one is "nothing". */
export function quoted(text: string): string {
  // White space at the ends can be long, so only a bounded piece is examined.
  const piece = text
    .slice(0, 4 * MAX_QUOTED)
    .replace(/\s+/g, ' ')
    .trim();
  if (piece === '') return 'nothing';
  const characters = [...piece];
  const isLonger = characters.length > MAX_QUOTED || text.length > 4 * MAX_QUOTED;
  return isLonger ? `“${characters.slice(0, MAX_QUOTED - 1).join('')}…”` : `“${piece}”`;
}

/** Formats a weight with three significant digits. */
export function factor(weight: number): string {
  return String(Number(weight.toPrecision(3)));
}

export function attentionSentence(text: string, weight: number): string {
  return `Attention to ${quoted(text)} is multiplied by ${factor(weight)}.`;
}

/** Explains an editing. A number with a point is a fraction of the steps, others are steps. */
export function editingSentence(from: string, to: string, when: string): string {
  const value = Number(when);
  const [before, after] = [quoted(from), quoted(to)];
  const isFraction = when.includes('.');
  if (isFraction ? value <= 0 : Math.trunc(value) < 1)
    return `${capital(after)} at every step: the switch is before step 1.`;
  if (isFraction && value >= 2) return `${capital(before)} at every step: the switch is after the last step.`;
  if (isFraction && value === 1)
    return `${capital(before)} in the first pass, ${after} in the second pass of hires fix.`;
  const moment = !isFraction
    ? `step ${Math.trunc(value)}`
    : value < 1
      ? `${percent(value)} of the steps`
      : `${percent(value - 1)} of the second pass of hires fix`;
  if (before === 'nothing' && after === 'nothing') return 'An editing without text has no effect.';
  if (before === 'nothing') return `Adds ${after} after ${moment}.`;
  if (after === 'nothing') return `Removes ${before} after ${moment}.`;
  return `${before} until ${moment}, then ${after}.`;
}

export function alternationSentence(options: readonly string[]): string {
  if (options.length === 2 && options[0] === options[1])
    return `${capital(quoted(options[0]!))} at every step.`;
  const shown = options.slice(0, MAX_LISTED).map((option) => quoted(option));
  const rest = options.length - shown.length;
  return `${capital(listed(rest > 0 ? [...shown, `${rest} more`] : shown, 'and'))} alternate at every step.`;
}

/** Explains a variant of dynamic prompts. @param most Infinity for all options */
export function variantSentence(
  options: readonly string[],
  amount: { readonly least: number; readonly most: number; readonly joiner: string } | undefined,
): string {
  const count = options.length;
  const shown = options.slice(0, MAX_LISTED).map((option) => quoted(option));
  const list = listed(
    count > shown.length ? [...shown, `${count - shown.length} more`] : shown,
    amount ? 'and' : 'or',
  );
  if (!amount)
    return count === 1 ? `Inserts ${list}.` : `Inserts one of ${count} options at random: ${list}.`;
  const { least, most, joiner } = amount;
  const number =
    least === most
      ? `${least}`
      : most === Number.POSITIVE_INFINITY
        ? `${least} or more`
        : `${least} to ${most}`;
  return `Inserts ${number} of these at random, joined by “${joiner.slice(0, MAX_QUOTED)}”: ${list}.`;
}

/** Explains the tag of a network. @param parts what follows the kind, which were separated by colons */
export function networkSentence(kind: string, parts: readonly string[]): string {
  if (kind.toLowerCase() === 'hypernet') return 'Hypernetworks are not supported; the tag is ignored.';
  if (!isLoraKind(kind))
    return `Networks of the kind “${kind.slice(0, MAX_QUOTED)}” are unknown; the tag is ignored.`;
  const positional = parts.filter((part) => !part.includes('='));
  const named = new Map(
    parts.filter((part) => part.includes('=')).map((part) => part.split('=', 2) as [string, string]),
  );
  const [name = '', te, unet] = positional;
  const weights = [named.get('te') ?? te ?? '1', named.get('unet') ?? unet ?? named.get('te') ?? te ?? '1'];
  const wrong = weights.find((text) => text.trim() === '' || !Number.isFinite(Number(text)));
  if (wrong !== undefined) return `The weight ${quoted(wrong)} of the LoRA ${quoted(name)} is not a number.`;
  const [encoder, network] = weights.map((text) => factor(Number(text)));
  const weight =
    encoder === network
      ? `weight ${network}`
      : `weight ${network} to the U-Net and ${encoder} to the text encoder`;
  const ranks = named.get('dyn') ?? positional[3];
  return `Applies the LoRA ${quoted(name)} with ${weight}${ranks === undefined ? '' : `, limited to ${quoted(ranks)} ranks`}.`;
}

function percent(fraction: number): string {
  return `${Number((fraction * 100).toPrecision(3))}%`;
}

function capital(text: string): string {
  return text === 'nothing' || text.startsWith('nothing') ? `N${text.slice(1)}` : text;
}

function listed(items: readonly string[], conjunction: string): string {
  if (items.length < 2) return items.join('');
  return `${items.slice(0, -1).join(', ')} ${conjunction} ${items.at(-1)}`;
}
