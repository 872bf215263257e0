/**
 * Dynamic prompts: text with variants `{a|b}` and wildcards `__name__`, from which a seed draws one prompt. The syntax
 * is that of the extension sd-dynamic-prompts (`dynamic-syntax.ts`); the draws differ from those of its Python
 * generator.
 */
import { invalidOption, SafelightError } from '../errors.js';
import type { Seed } from '../sampling/generators/generator.js';
import { type DynamicNode, parseDynamicPrompt, type Variant } from './dynamic-syntax.js';
import { RandomChoices } from './random-choices.js';

/** An entry of a wildcard, a dynamic prompt itself. */
export interface WildcardEntry {
  readonly text: string;
  /** Relative frequency, at least 0. */
  readonly weight: number;
}

/** The wildcards that prompts may name. */
export interface WildcardSource {
  /** Returns the wildcards as they are now. */
  open(): Promise<Wildcards>;
}

export interface Wildcards {
  /**
   * Returns the entries of a wildcard, or of all whose names match a pattern with `*`, each text once; at least one.
   * @throws FILE_NOT_FOUND for an unknown name, INVALID_FILE for a file that cannot be used, INVALID_OPTION for a name
   *   that leaves the folder
   */
  entries(name: string): Promise<readonly WildcardEntry[]>;
}

export interface DynamicPromptOptions {
  /** Determines all choices. */
  readonly seed: Seed;
  /** Distinguishes texts that share a seed: 0 (default) for the prompt, 1 for the negative prompt, and so on. */
  readonly stream?: number;
  /** Required for prompts that contain wildcards. */
  readonly wildcards?: WildcardSource;
}

/** Maximum length of the result in characters. */
export const MAX_RESOLVED = 120_000;
/** Maximum depth of wildcards within entries of wildcards. */
const MAX_DEPTH = 32;
/** Maximum number of characters parsed and options weighed for one prompt. */
const MAX_WORK = 2_000_000;

/**
 * Draws a prompt. A text without braces and `__` is returned unchanged. Of a variant without a number, the option is
 * inserted as written; several options are drawn without replacement, trimmed and joined, leaving out empty ones. A
 * number above that of the options means all of them. If a wildcard is the only option, its entries are the options.
 * @throws INVALID_OPTION for malformed syntax, a wildcard without a source or within itself, a result of more than
 *   120,000 characters, or too much work; the errors of `Wildcards.entries`
 */
export async function resolveDynamicPrompt(text: string, options: DynamicPromptOptions): Promise<string> {
  if (typeof text !== 'string') throw invalidOption('prompt', 'a string', text);
  const { seed, stream = 0, wildcards } = options;
  return new Resolver(new RandomChoices(seed, stream), wildcards).resolve(text, []);
}

class Resolver {
  #length = 0;
  #work = 0;
  #opened: Promise<Wildcards> | undefined;
  readonly #entries = new Map<string, Promise<Entries>>();

  constructor(
    private readonly choices: RandomChoices,
    private readonly source: WildcardSource | undefined,
  ) {}

  /** @param within names of the wildcards whose entries contain the text, outermost first */
  resolve(text: string, within: readonly string[]): Promise<string> {
    this.#charge(text.length);
    return this.#join(parseDynamicPrompt(text), within);
  }

  async #join(nodes: readonly DynamicNode[], within: readonly string[]): Promise<string> {
    let joined = '';
    for (const node of nodes) {
      if (node.kind === 'text') joined += this.#counted(node.text);
      else if (node.kind === 'variant') joined += await this.#variant(node, within);
      else joined += await this.#wildcard(node.name, within);
    }
    return joined;
  }

  async #variant({ amount, options, start }: Variant, within: readonly string[]): Promise<string> {
    const weights = options.map(({ weight }) => weight);
    this.#charge(options.length);
    if (!weights.some((weight) => weight > 0))
      throw new SafelightError(
        'INVALID_OPTION',
        `All options of the variant at character ${start + 1} of the dynamic prompt have weight 0; give one a weight above 0`,
      );
    if (!amount) return this.#join(options[this.choices.index(weights)]!.nodes, within);

    const [only, ...others] = options.length === 1 ? options[0]!.nodes.filter(isNotBlank) : [];
    const count = (available: number) =>
      this.choices.integer(Math.min(amount.least, available), Math.min(amount.most, available));
    const parts: string[] = [];
    if (only?.kind === 'wildcard' && others.length === 0) {
      const inner = this.#enter(only.name, within);
      const { texts, weights: each } = await this.#entriesOf(only.name);
      this.#charge(texts.length);
      for (const index of this.choices.indices(each, count(texts.length)))
        parts.push(await this.resolve(texts[index]!, inner));
    } else {
      for (const index of this.choices.indices(weights, count(options.length)))
        parts.push(await this.#join(options[index]!.nodes, within));
    }
    const filled = parts.map((part) => part.trim()).filter(Boolean);
    this.#count(amount.joiner.length * Math.max(0, filled.length - 1));
    return filled.join(amount.joiner);
  }

  async #wildcard(name: string, within: readonly string[]): Promise<string> {
    const inner = this.#enter(name, within);
    const { texts, weights, isUniform } = await this.#entriesOf(name);
    // Equal weights, the usual case, take no time that depends on their number.
    if (isUniform) return this.resolve(texts[this.choices.integer(0, texts.length - 1)]!, inner);
    this.#charge(texts.length);
    return this.resolve(texts[this.choices.index(weights)]!, inner);
  }

  /** Returns `within` with the wildcard. @throws INVALID_OPTION if it is there already, or too deep */
  #enter(name: string, within: readonly string[]): readonly string[] {
    const inner = [...within, name.toLowerCase()];
    if (new Set(inner).size === inner.length && inner.length <= MAX_DEPTH) return inner;
    const chain = inner.map((each) => `__${each}__`).join(' > ');
    throw new SafelightError(
      'INVALID_OPTION',
      inner.length > MAX_DEPTH
        ? `Wildcards are nested more than ${MAX_DEPTH} deep: ${chain.slice(0, 300)}; shorten the chain`
        : `The wildcard __${name}__ contains itself: ${chain}; remove it from its own entries`,
    );
  }

  #entriesOf(name: string): Promise<Entries> {
    if (!this.source)
      throw new SafelightError(
        'INVALID_OPTION',
        `The prompt contains the wildcard __${name}__, but no folder of wildcards is set; set one with wildcards, or write \\__${name}__ for the text itself`,
      );
    const key = name.toLowerCase();
    const known = this.#entries.get(key);
    if (known) return known;
    this.#opened ??= this.source.open();
    const entries = this.#opened.then(async (wildcards) => columnsOf(await wildcards.entries(name)));
    this.#entries.set(key, entries);
    return entries;
  }

  #counted(text: string): string {
    this.#count(text.length);
    return text;
  }

  #count(characters: number): void {
    this.#length += characters;
    if (this.#length > MAX_RESOLVED)
      throw new SafelightError(
        'INVALID_OPTION',
        `The dynamic prompt expands to more than ${MAX_RESOLVED} characters; shorten it or its wildcards`,
      );
  }

  #charge(work: number): void {
    this.#work += work + 1;
    if (this.#work > MAX_WORK)
      throw new SafelightError(
        'INVALID_OPTION',
        'The dynamic prompt expands too often; draw fewer options or nest fewer wildcards',
      );
  }
}

/** Entries of a wildcard in columns. */
interface Entries {
  readonly texts: readonly string[];
  readonly weights: readonly number[];
  readonly isUniform: boolean;
}

function columnsOf(entries: readonly WildcardEntry[]): Entries {
  const weights = entries.map(({ weight }) => weight);
  return {
    texts: entries.map(({ text }) => text),
    weights,
    isUniform: weights.every((weight) => weight === 1),
  };
}

function isNotBlank(node: DynamicNode): boolean {
  return node.kind !== 'text' || node.text.trim() !== '';
}
