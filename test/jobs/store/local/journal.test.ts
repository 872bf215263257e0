import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Journal } from '../../../../lib/jobs/store/local/journal.js';
import { withoutMount } from '../../../support/small-disk.js';

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'safelight-journal-'));
  path = join(folder, 'journal');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const linesIn = (journal: Journal): string[] => [...journal.lines()].map(String);

describe('a journal', () => {
  it('returns its lines in the order in which they were appended, also when it is opened again', () => {
    const journal = Journal.open(path);
    expect([linesIn(journal), journal.size]).toEqual([[], 0]);
    journal.append(['one']);
    journal.append(['two', 'düsk'], { sync: false });
    journal.append(['']);
    const expected = ['one', 'two', 'düsk', ''];
    expect(linesIn(journal)).toEqual(expected);
    journal.close();
    const again = Journal.open(path);
    expect(linesIn(again)).toEqual(expected);
    expect(again.size).toBe(Buffer.byteLength(`${expected.join('\n')}\n`));
    again.append(['five']);
    expect(linesIn(again).at(-1)).toBe('five');
    again.close();
  });

  it('returns lines that are longer than what is read at once', () => {
    const journal = Journal.open(path);
    const lines = [1000, 3 << 20, 1 << 20, (1 << 20) - 1, 5].map((length, i) => String(i).repeat(length));
    for (const line of lines) journal.append([line]);
    expect(linesIn(journal)).toEqual(lines);
    journal.rewrite(lines);
    expect(linesIn(journal)).toEqual(lines);
    journal.close();
  });

  it('appends after a torn line, without joining the two', () => {
    writeFileSync(path, 'one\ntw');
    const journal = Journal.open(path);
    expect(linesIn(journal)).toEqual(['one', 'tw']);
    journal.append(['three']);
    journal.append(['four']);
    expect(linesIn(journal)).toEqual(['one', 'tw', 'three', 'four']);
    journal.close();
  });

  it('is replaced as a whole, and appended to afterwards', () => {
    writeFileSync(path, 'one\ntwo\nthr');
    const journal = Journal.open(path);
    journal.rewrite(['two']);
    expect([readFileSync(path, 'utf8'), journal.size]).toEqual(['two\n', 4]);
    journal.append(['four']);
    expect(readFileSync(path, 'utf8')).toBe('two\nfour\n');
    expect(readdirSync(folder)).toEqual(['journal']);
    journal.close();
  });

  it('is unchanged if rewriting it fails, and leaves no temporary file', () => {
    const journal = Journal.open(path);
    journal.append(['one']);
    const broken = function* () {
      yield 'x'.repeat(3 << 20);
      throw new Error('broken');
    };
    expect(() => journal.rewrite(broken())).toThrow('broken');
    journal.append(['two']);
    expect(readFileSync(path, 'utf8')).toBe('one\ntwo\n');
    expect(readdirSync(folder)).toEqual(['journal']);
    journal.close();
  });

  it('removes the temporary file of a process that was killed while it rewrote the journal', () => {
    writeFileSync(path, 'one\n');
    writeFileSync(`${path}.tmp`, 'on');
    const journal = Journal.open(path);
    expect(linesIn(journal)).toEqual(['one']);
    expect(readdirSync(folder)).toEqual(['journal']);
    journal.close();
  });
});

describe.skipIf(withoutMount)(`a journal on a small disk${withoutMount ? `: ${withoutMount}` : ''}`, () => {
  beforeEach(() => execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', folder]));
  afterEach(() => execFileSync('umount', ['-l', folder]));

  it('contains nothing of lines that did not fit, and accepts others once there is space', () => {
    const fill = join(folder, 'fill');
    const journal = Journal.open(path);
    journal.append(['one']);
    const { bavail, bsize } = statfsSync(folder);
    writeFileSync(fill, Buffer.alloc((bavail - 1) * bsize));
    // Two blocks fit, the third does not.
    const long = 'x'.repeat(3 * bsize);
    for (let i = 0; i < 2; i++)
      expect(() => journal.append([long])).toThrow(expect.objectContaining({ code: 'ENOSPC' }));
    expect(() => journal.rewrite([long])).toThrow(expect.objectContaining({ code: 'ENOSPC' }));
    expect([readFileSync(path, 'utf8'), journal.size]).toEqual(['one\n', 4]);
    expect(readdirSync(folder).sort()).toEqual(['fill', 'journal']);
    rmSync(fill);
    journal.append([long]);
    journal.append(['three']);
    expect(linesIn(journal)).toEqual(['one', long, 'three']);
    journal.close();
  });
});
