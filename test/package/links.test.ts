/** Checks that links and images of the packed documentation lead to packed files and existing headings. */
import { readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { npmMissing, root } from './npm.js';
import { packedFiles } from './packed-project.js';

/** Returns the targets of links and images in a Markdown text, without those in code. */
function linksOf(markdown: string): string[] {
  const text = markdown.replace(/^(```|~~~)[\s\S]*?^\1/gm, '').replace(/`[^`\n]*`/g, '`');
  const inline = [...text.matchAll(/\]\(\s*<?([^)\s>]+)>?(?:\s+"[^"]*")?\s*\)/g)];
  const references = [...text.matchAll(/^\[[^\]]+\]:\s*(\S+)/gm)];
  const html = [...text.matchAll(/<(?:img|a|source)\b[^>]*?\b(?:src|href|srcset)="([^"]+)"/g)];
  return [...inline, ...references, ...html].map(([, target = '']) => target);
}

/** Returns the anchors that GitHub and npm give to the headings of a Markdown text. */
function anchorsOf(markdown: string): Set<string> {
  const counts = new Map<string, number>();
  const anchors = new Set<string>();
  for (const [, heading = ''] of markdown
    .replace(/^(```|~~~)[\s\S]*?^\1/gm, '')
    .matchAll(/^#{1,6}\s+(.+)$/gm)) {
    const words = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase();
    const slug = words
      .trim()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replace(/\s/g, '-');
    const before = counts.get(slug) ?? 0;
    counts.set(slug, before + 1);
    anchors.add(before === 0 ? slug : `${slug}-${before}`);
  }
  return anchors;
}

/** Returns what is wrong with a link, or undefined. */
function fault(from: string, link: string, files: ReadonlySet<string>): string | undefined {
  if (/^[a-z][a-z\d+.-]*:/i.test(link)) return undefined;
  const [path = '', anchor] = link.split('#');
  const target = path === '' ? from : posix.join(posix.dirname(from), decodeURI(path));
  const folder = `${target.replace(/\/$/, '')}/`;
  const isFolder = [...files].some((file) => file.startsWith(folder));
  if (!files.has(target) && !isFolder) return `${from}: ${link} is not packed`;
  if (anchor === undefined) return undefined;
  const known = files.has(target) && anchorsOf(readFileSync(join(root, target), 'utf8')).has(anchor);
  return known ? undefined : `${from}: ${link} is not a heading`;
}

it('finds links, images, references and HTML attributes, but not in code', () => {
  const text =
    'a [b](c.md#d) ![e](f.png "g") <img alt="" src="h.png">\n[i]: j.md\n`[k](l)`\n```\n[m](n)\n```\n[o](<p.md>)';
  expect(linksOf(text)).toEqual(['c.md#d', 'f.png', 'p.md', 'j.md', 'h.png']);
});

it('derives anchors of headings as GitHub does', () => {
  const text = '# A `b`, [c](d) & E\n```\n# no heading\n```\n## Again\n## Again';
  expect([...anchorsOf(text)]).toEqual(['a-b-c--e', 'again', 'again-1']);
});

it.each([
  ['README.md', 'docs/none.md', 'README.md: docs/none.md is not packed'],
  ['docs/lora.md', 'test/x.md', 'docs/lora.md: test/x.md is not packed'],
  ['README.md', 'docs/lora.md#none', 'README.md: docs/lora.md#none is not a heading'],
  ['README.md', '#none', 'README.md: #none is not a heading'],
])('reports the broken link from %s to %s', (from, link, message) => {
  expect(fault(from, link, new Set(['README.md', 'docs/lora.md']))).toBe(message);
});

describe.skipIf(npmMissing)('the packed documentation', () => {
  let files = new Set<string>();
  beforeAll(() => {
    files = new Set(packedFiles());
  });

  it('has no broken link', () => {
    const documents = [...files].filter((file) => /^(?!native\/ggml\/).*\.md$/.test(file));
    expect(documents).toEqual(expect.arrayContaining(['README.md', 'docs/server.md', 'examples/README.md']));
    const faults = documents.flatMap((file) =>
      linksOf(readFileSync(join(root, file), 'utf8')).map((link) => fault(file, link, files)),
    );
    expect(faults.filter(Boolean)).toEqual([]);
  });

  it('can be reached from the README completely', () => {
    const reached = new Set(['README.md']);
    for (const file of reached) {
      if (!file.endsWith('.md') || !files.has(file)) continue;
      for (const link of linksOf(readFileSync(join(root, file), 'utf8')))
        reached.add(posix.join(posix.dirname(file), link.split('#')[0] || posix.basename(file)));
    }
    const guides = [...files].filter((file) => /^(docs|examples)\/[^/]+\.md$/.test(file));
    expect(guides.filter((file) => !reached.has(file))).toEqual([]);
  });
});
