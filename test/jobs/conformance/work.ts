/** Runs of jobs that end when the test ends them. */
import { expect } from 'vitest';
import type { RunContext, RunOutcome } from '../../../lib/jobs/run/context.js';
import type { Job, JobEvent, JobImage, JobRequest } from '../../../lib/jobs/types.js';

export const request: JobRequest = { type: 'text-to-image', options: { prompt: 'an apple', seed: 1 } };
export const image: JobImage = { name: '0.png', type: 'image/png', width: 8, height: 8, parameters: '' };

export class Work {
  readonly begun: string[] = [];
  readonly contexts = new Map<string, RunContext>();
  private readonly ends = new Map<string, (error?: Error) => void>();

  readonly run = (job: Job, context: RunContext): Promise<RunOutcome> =>
    new Promise((resolve, reject) => {
      this.begun.push(job.id);
      this.contexts.set(job.id, context);
      context.signal.addEventListener('abort', () => reject(new Error('stopped')));
      this.ends.set(job.id, (error) => {
        if (error) reject(error);
        else this.write(job, context).then(resolve, reject);
      });
    });

  /** Waits for the run of a job to begin. */
  async context(id: string): Promise<RunContext> {
    await until(() => this.contexts.has(id));
    return this.contexts.get(id)!;
  }

  async end(id: string, error?: Error): Promise<void> {
    await this.context(id);
    this.ends.get(id)!(error);
  }

  private async write(job: Job, { data, emit }: RunContext): Promise<RunOutcome> {
    await data.writeResult(job.id, image.name, Buffer.from(`made of ${job.id}`));
    emit({ type: 'image', data: { ...image, index: 0 } });
    return { images: [image], result: { psnr: 30 } };
  }
}

export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let i = 0; i < 1000 && !(await condition()); i++)
    await new Promise((resolve) => setTimeout(resolve, 10));
  expect(await condition()).toBe(true);
}

/** Returns all events of a job up to its end. */
export async function eventsOf(events: AsyncIterable<JobEvent>): Promise<JobEvent[]> {
  const seen: JobEvent[] = [];
  for await (const event of events) seen.push(event);
  return seen;
}

export const idsOf = (jobs: readonly { readonly id: string }[]): string[] => jobs.map(({ id }) => id);
export const typesOf = (events: readonly JobEvent[]): string[] => events.map(({ type }) => type);
