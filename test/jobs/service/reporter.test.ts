import { describe, expect, it } from 'vitest';
import { Reporter } from '../../../lib/jobs/service/reporter.js';
import type { JobProgress, NewEvent } from '../../../lib/jobs/types.js';

const progress = (step: number): NewEvent => {
  const data: JobProgress = { phase: 'denoise', step, steps: 9, elapsed: step };
  return { type: 'progress', data };
};
const preview = (step: number, index?: number): NewEvent => ({
  type: 'preview',
  data: { step, steps: 9, image: 'data:,', ...(index === undefined ? {} : { index }) },
});
const image = (index: number): NewEvent => ({
  type: 'image',
  data: { index, name: `${index}.png`, type: 'image/png', width: 8, height: 8, parameters: '' },
});

/** A store that stores an event only after `release`. */
function slowStore() {
  const stored: [NewEvent, unknown][] = [];
  let release = () => {};
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  const report = async (event: NewEvent, kept?: unknown) => {
    await gate;
    stored.push([event, kept]);
    return true;
  };
  return { stored, release: () => release(), report };
}

describe('the reporter of a run', () => {
  it('sends only the newest progress and preview if the store is slow, but every image and requested preview', async () => {
    const store = slowStore();
    const reporter = new Reporter(store);
    const events = [progress(1), progress(2), preview(2), image(0), progress(3), preview(3)];
    for (const event of [...events, preview(4, 0), preview(5, 1), image(1)]) reporter.add(event);
    store.release();
    await reporter.end();
    expect(store.stored.map(([event]) => event)).toEqual([
      ...[progress(1), image(0), progress(3), preview(3)],
      ...[preview(4, 0), preview(5, 1), image(1)],
    ]);
  });

  it('sends an event that is added at any moment after the previous one was sent', async () => {
    for (let moments = 0; moments < 12; moments++) {
      const stored: NewEvent[] = [];
      const reporter = new Reporter({ report: async (event) => stored.push(event) > 0 });
      reporter.add(image(0));
      for (let i = 0; i < moments; i++) await undefined;
      reporter.add(progress(1));
      await reporter.end();
      expect(stored, `after ${moments} microtasks`).toEqual([image(0), progress(1)]);
    }
  });

  it('stores all images and all different warnings so far with each of them', async () => {
    const store = slowStore();
    store.release();
    const reporter = new Reporter(store);
    const warning: NewEvent = { type: 'warning', data: { code: 'PROMPT_SYNTAX', message: 'unused' } };
    for (const event of [image(0), image(1), warning, warning]) reporter.add(event as NewEvent);
    await reporter.end();
    expect(store.stored.map(([, kept]) => kept)).toMatchObject([
      { images: [{ name: '0.png' }] },
      { images: [{ name: '0.png' }, { name: '1.png' }] },
      { warnings: [{ message: 'unused' }] },
      { warnings: [{ message: 'unused' }] },
    ]);
  });

  it('continues after an event that the store could not store', async () => {
    const stored: string[] = [];
    const reporter = new Reporter({
      report: async (event) => {
        if (event.type === 'progress') throw new Error('no connection');
        stored.push(event.type);
        return true;
      },
    });
    reporter.add(progress(1));
    reporter.add(image(0));
    await expect(reporter.end()).resolves.toBeUndefined();
    expect(stored).toEqual(['image']);
  });
});
