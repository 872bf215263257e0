/**
 * Reads the fenced code blocks of a Markdown text and joins them to samples that can be compiled and run.
 *
 * A block tagged ts or js is a module; with the word `continued` in its info string it continues the previous module of its page. A js block
 * with the word `commonjs` is a CommonJS module. A block tagged sh is a script. `no-run="REASON"` marks a sample that a test cannot run; a
 * ts or js sample is type-checked all the same.
 */

export type SampleLanguage = 'ts' | 'js' | 'cjs' | 'sh';

export interface Sample {
  /** `typescript.md:12`: the page and the line of the sample's first fence. */
  readonly name: string;
  readonly page: string;
  readonly line: number;
  readonly language: SampleLanguage;
  readonly code: string;
  /** Lines of the page that the lines of the code are. */
  readonly lines: readonly number[];
  /** Reason for which the test does not run the sample; undefined if it runs. */
  readonly noRun: string | undefined;
}

export interface Block {
  readonly page: string;
  readonly line: number;
  readonly language: string;
  readonly info: string;
  readonly text: string;
}

const INFO = /^(?<words>(?:\s*(?:continued|commonjs)\b)*)(?:\s*no-run="(?<reason>[^"]*)")?\s*$/;

/** Returns the fenced blocks of a page, in order. @throws Error for a block without an end */
export function blocksOf(page: string, markdown: string): Block[] {
  const blocks: Block[] = [];
  const lines = markdown.split('\n');
  for (let i = 0; i < lines.length; i++) {
    const open = /^(\s*)(```+|~~~+)\s*([\w-]*)(.*)$/.exec(lines[i]!);
    if (!open) continue;
    const [, indent = '', fence = '', language = '', info = ''] = open;
    const end = lines.findIndex((line, k) => k > i && line.trim() === fence);
    if (end < 0) throw new Error(`${page}:${i + 1}: the block has no end`);
    const body = lines
      .slice(i + 1, end)
      .map((line) => line.replace(new RegExp(`^\\s{0,${indent.length}}`), ''));
    blocks.push({ page, line: i + 1, language, info: info.trim(), text: `${body.join('\n')}\n` });
    i = end;
  }
  return blocks;
}

/** Returns the samples of a page. @throws Error for an info string that is not understood, or a block that continues nothing */
export function samplesOf(blocks: readonly Block[]): Sample[] {
  const samples: Sample[] = [];
  let last: number | undefined;
  for (const block of blocks) {
    if (block.language !== 'ts' && block.language !== 'js' && block.language !== 'sh') continue;
    const { words, reason, name } = readInfo(block);
    const { page, line, text } = block;
    const lines = text.split('\n').map((_, i) => line + 1 + i);
    const own = { name, page, line, code: text, lines, noRun: reason };
    if (block.language === 'sh') {
      samples.push({ ...own, language: 'sh' });
    } else if (words.includes('continued')) {
      const before = last === undefined ? undefined : samples[last];
      if (before === undefined) throw new Error(`${name}: the block continues nothing`);
      const joined = { code: before.code + text, lines: [...before.lines.slice(0, -1), ...lines] };
      // A part that cannot run is checked with all that it continues, and left out of what runs.
      if (reason !== undefined && before.noRun === undefined)
        samples.push({ ...before, ...joined, name, line, noRun: reason });
      else samples[last!] = { ...before, ...joined };
    } else {
      const language = words.includes('commonjs') ? 'cjs' : block.language;
      last = samples.push({ ...own, language }) - 1;
    }
  }
  return samples;
}

function readInfo(block: Block): { words: string[]; reason: string | undefined; name: string } {
  const name = `${block.page}:${block.line}`;
  const groups = INFO.exec(block.info)?.groups;
  if (!groups)
    throw new Error(`${name}: expected continued, commonjs or no-run="REASON" but found ${block.info}`);
  const { words = '', reason } = groups;
  if (reason !== undefined && reason.trim().length < 8)
    throw new Error(`${name}: no-run needs a reason, such as no-run="downloads from the hub"`);
  return { words: words.split(/\s+/).filter(Boolean), reason, name };
}
