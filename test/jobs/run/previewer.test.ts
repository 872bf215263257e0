import { describe, expect, it } from 'vitest';
import { Previewer } from '../../../lib/jobs/run/previewer.js';
import { EventLog } from '../../../lib/jobs/service/event-log.js';
import type { JobEvent, JobPreview } from '../../../lib/jobs/types.js';

const frame = async () => {
  await new Promise((resolve) => setTimeout(resolve, 5)); // slower than a step
  return { data: new Uint8Array(12), width: 2, height: 2 };
};

/** Offers every step at once, as a fast model does. */
async function previews(
  count: number,
  steps: number,
  announced: (step: number) => number = () => steps,
): Promise<JobPreview[]> {
  const told: JobPreview[] = [];
  const previewer = new Previewer({ count }, (preview) => told.push(preview));
  for (let step = 1; step <= steps; step++) previewer.offer(step, announced(step), frame);
  await previewer.end(false);
  return told;
}

describe('previews by count', () => {
  it('are exactly as many as requested, in order, each of a different step, however fast the steps are', async () => {
    for (const count of [1, 2, 3])
      for (const steps of [1, 2, 3, 4, 5, 7, 10, 13, 30, 150]) {
        const told = await previews(count, steps);
        const wanted = Math.min(count, steps);
        expect(told.map(({ index }) => index)).toEqual([...Array(wanted).keys()]);
        expect(new Set(told.map(({ step }) => step)).size).toBe(wanted);
        expect(told.map(({ step }) => step)).toEqual(told.map(({ step }) => step).sort((a, b) => a - b));
      }
  });

  it('are distributed evenly over the steps', async () => {
    expect((await previews(3, 11)).map(({ step }) => step)).toEqual([3, 6, 9]);
  });

  it('are complete if a sampler ends sooner than it announced', async () => {
    expect(await previews(3, 6, () => 50)).toHaveLength(3);
    // Like an adaptive sampler: the number of steps is an estimate until the last step.
    for (let steps = 3; steps < 20; steps++)
      for (const far of [2, 5, 30]) {
        const estimate = (step: number) => (step === steps ? steps : steps + far * (steps - step));
        const told = await previews(3, steps, estimate);
        expect(new Set(told.map(({ step }) => step)).size).toBe(3);
      }
  });

  it('end with a job that is stopped', async () => {
    const told: JobPreview[] = [];
    const previewer = new Previewer({ count: 3 }, (preview) => told.push(preview));
    for (let step = 1; step <= 4; step++) previewer.offer(step, 4, frame);
    await previewer.end(true);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(told).toEqual([]);
  });

  it('all reach a slow reader, while previews by stride are replaced by newer ones', async () => {
    const log = new EventLog(1);
    for (let i = 0; i < 3; i++) {
      const preview = { step: i, steps: 3, image: 'data:,' };
      log.add({ type: 'preview', data: { ...preview, index: i } });
      log.add({ type: 'preview', data: preview });
    }
    const seen: JobEvent[] = [];
    const stop = new AbortController();
    for await (const event of log.follow(0, stop.signal)) if (seen.push(event) === 4) stop.abort();
    expect(seen.map(({ data }) => (data as JobPreview).index)).toEqual([0, 1, 2, undefined]);
  });
});
