import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { bytes, duration, table } from '../../lib/cli/output.js';
import { createProgress, type Report } from '../../lib/cli/progress.js';

/** A stream that records what is written, with or without a terminal. */
function stream(isTTY: boolean, columns = 80) {
  const written: string[] = [];
  const fake = { isTTY, columns, write: (text: string) => written.push(text) };
  return { written, stream: fake as unknown as NodeJS.WriteStream };
}

const step = (n: number, steps = 10): Report => ({ phase: 'denoise', step: n, steps });

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance'] });
  vi.stubEnv('TERM', 'xterm-256color');
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllEnvs();
});

describe('progress on a terminal', () => {
  it('repaints one line with an estimate', () => {
    const { written, stream: tty } = stream(true);
    const progress = createProgress({ quiet: false }, tty);
    progress.show(step(0));
    vi.advanceTimersByTime(4000);
    progress.show(step(2));
    expect(written).toHaveLength(2);
    expect(written[1]).toBe(
      `\rDrawing  ${'━'.repeat(6)}${'─'.repeat(24)}  step 2/10, 2.0 s/step, 16 s left\x1b[K`,
    );
    progress.clear();
    expect(written[2]).toBe('\r\x1b[K');
    progress.clear();
    expect(written).toHaveLength(3);
  });

  it('repaints at most a few times per second, and always at the end', () => {
    const { written, stream: tty } = stream(true);
    const progress = createProgress({ quiet: false }, tty);
    for (let i = 0; i <= 10; i++) {
      vi.advanceTimersByTime(1);
      progress.show(step(i));
    }
    expect(written).toHaveLength(2);
    expect(written[1]).toContain('step 10/10');
  });

  it('never wraps', () => {
    const { written, stream: tty } = stream(true, 40);
    createProgress({ quiet: false }, tty).show(step(3));
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the test removes terminal codes
    expect(written[0]!.replace(/\r|\x1b\[K/g, '').length).toBeLessThan(40);
  });
});

describe('progress without a terminal', () => {
  it('prints plain lines for a new phase, every two seconds and at the end', () => {
    const { written, stream: pipe } = stream(false);
    const progress = createProgress({ quiet: false }, pipe);
    progress.show({ phase: 'load', step: 0, steps: 1000 });
    progress.show({ phase: 'load', step: 1000, steps: 1000 });
    progress.show({ phase: 'load', step: 1000, steps: 1000 });
    for (let i = 0; i <= 10; i++) {
      progress.show(step(i));
      vi.advanceTimersByTime(500);
    }
    expect(written).toEqual([
      'Loading 0%\n',
      'Loading 100%, 0.00 s\n',
      'Drawing step 0/10\n',
      'Drawing step 4/10, 0.50 s/step, 3.0 s left\n',
      'Drawing step 8/10, 0.50 s/step, 1.0 s left\n',
      'Drawing step 10/10, 5.0 s\n',
    ]);
  });

  it('prints plain lines on a dumb terminal, and nothing when quiet', () => {
    vi.stubEnv('TERM', 'dumb');
    const { written, stream: tty } = stream(true);
    createProgress({ quiet: false }, tty).show(step(1));
    expect(written[0]).toMatch(/\n$/);
    createProgress({ quiet: true }, tty).show(step(1));
    expect(written).toHaveLength(1);
  });
});

describe('numbers in reports', () => {
  it.each([
    [0.123, '0.12 s'],
    [9.96, '10.0 s'],
    [59.6, '1 min 0 s'],
    [185, '3 min 5 s'],
    [7800, '2 h 10 min'],
  ])('prints %d seconds as %s', (seconds, text) => expect(duration(seconds)).toBe(text));

  it.each([
    [999, '999 bytes'],
    [1500, '1.5 kB'],
    [246_000_000, '246 MB'],
    [6_900_000_000, '6.9 GB'],
  ])('prints %d bytes as %s', (count, text) => expect(bytes(count)).toBe(text));

  it('aligns columns', () => {
    expect(table(['a', 'long'], [['wide cell', '1']])).toBe('a          long\nwide cell  1');
  });
});
