/** Runners over turns whose timing no store can reproduce, and change messages that arrive late. */
import { describe, expect, it } from 'vitest';
import { JobRunner } from '../../../lib/jobs/service/runner.js';
import { asOf } from '../../../lib/jobs/store/redis/messages.js';
import type { Control, JobTurn, JobTurns } from '../../../lib/jobs/store/store.js';
import type { Job } from '../../../lib/jobs/types.js';
import { until } from '../conformance/work.js';

const job: Job = {
  ...({ id: '0'.repeat(30), type: 'text-to-image', model: 'a', status: 'running', attempts: 1 } as const),
  ...{ options: {}, previews: {}, client: 'own', extra: null, created: '2026-01-01T00:00:00.000Z' },
  ...{ started: '2026-01-01T00:00:01.000Z', images: [], warnings: [] },
};

/** A store with one job, which is queued only after a search has found nothing. */
class LateTurns implements JobTurns {
  readonly poll = undefined;
  readonly calls: string[] = [];
  finish: JobTurn['finish'] = async () => true;
  private onControl: (control: Control) => void = () => undefined;
  private looks = 0;

  async follow(onControl: (control: Control) => void): Promise<void> {
    this.onControl = onControl;
  }

  async take(): Promise<JobTurn | undefined> {
    if (++this.looks === 1) this.onControl({ kind: 'work' });
    if (this.looks !== 2) return undefined;
    return {
      job,
      files: {
        readInput: async () => new Uint8Array(),
        readResult: async () => new Uint8Array(),
        writeResult: async () => undefined,
      },
      isCurrent: async () => true,
      report: async () => true,
      finish: (status, outcome) => this.finish(status, outcome),
      giveBack: async () => void this.calls.push('giveBack'),
      release: async () => void this.calls.push('release'),
      abandon: () => void this.calls.push('abandon'),
    };
  }

  async close(): Promise<void> {
    this.calls.push('close');
  }
}

describe('JobRunner', () => {
  it('misses no job that is queued while it searches for one', async () => {
    const turns = new LateTurns();
    const runner = new JobRunner({ turns, run: async () => ({ images: [] }) });
    await runner.start();
    await until(() => turns.calls.includes('release'));
    await runner.close({ drain: true });
    expect(turns.calls).toEqual(['release', 'close']);
  });

  it('abandons a job whose outcome the store does not accept before the runner closes', async () => {
    const turns = new LateTurns();
    let isRefused = false;
    turns.finish = async () => {
      isRefused = true;
      throw new Error('out of memory');
    };
    const logged: unknown[] = [];
    const log = (message: string, about: object): void => void logged.push([message, about]);
    const runner = new JobRunner({ turns, run: async () => ({ images: [] }), log });
    await runner.start();
    await until(() => isRefused);
    await runner.close({ drain: true });
    expect(turns.calls).toEqual(['abandon', 'close']);
    expect(logged).toContainEqual(['job queue does not answer', { error: 'out of memory' }]);
  });
});

describe('a change message', () => {
  const outcome = { finished: '2026-01-01T00:00:02.000Z', result: { psnr: 30 } };
  const done: Job = { ...job, ...outcome, status: 'done' };

  it('that arrives after the job has ended shows the job at the time of the message', () => {
    const { started: _, ...queued } = job;
    expect(asOf(done, 'running')).toEqual(job);
    expect(asOf(done, 'queued')).toEqual({ ...queued, status: 'queued' });
    expect(asOf(done, 'done')).toEqual(done);
    expect(asOf(job, 'queued')).toEqual(job);
  });
});
