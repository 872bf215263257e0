import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { JobFeed } from '../../../lib/jobs/service/feed.js';
import type { JobStore, StoreMessage } from '../../../lib/jobs/store/store.js';
import type { Job, JobChange, JobEvent } from '../../../lib/jobs/types.js';

const queued: Job = {
  ...{ id: 'job', type: 'text-to-image', model: 'starter', status: 'queued', options: {}, previews: {} },
  ...{
    client: 'own',
    extra: null,
    created: new Date(0).toISOString(),
    attempts: 0,
    images: [],
    warnings: [],
  },
  place: 0,
};
const running: Job = { ...queued, status: 'running', attempts: 1 };
const done: Job = { ...running, status: 'done', finished: new Date(9).toISOString() };

describe('the feed of job events', () => {
  let jobs: Map<string, Job>;
  let send: (message: StoreMessage) => void;
  let feed: JobFeed;
  let ended: string[];
  const flush = () => vi.advanceTimersByTimeAsync(0);
  beforeEach(async () => {
    vi.useFakeTimers();
    jobs = new Map();
    ended = [];
    const store: Pick<JobStore, 'follow' | 'get' | 'orders' | 'counts'> = {
      follow: async (onMessage) => {
        send = onMessage;
      },
      get: async (id) => jobs.get(id),
      orders: async () => new Map([...jobs.values()].filter(isQueued).map(({ id }, i) => [id, i])),
      counts: async () => ({ queued: 0, running: 0 }),
    };
    feed = new JobFeed(store as JobStore, ({ status }) => ended.push(status));
    await feed.start();
  });
  afterEach(async () => {
    await feed.stop();
    vi.useRealTimers();
  });

  const isQueued = ({ status }: Job) => status === 'queued';
  /** Stores a job and sends the message of its change. */
  const change = (job: Job) => {
    jobs.set(job.id, job);
    send({ kind: 'changed', job });
  };
  /** Collects what a reader receives until it ends. */
  function collect<T>(source: AsyncIterable<T>): T[] {
    const received: T[] = [];
    void (async () => {
      for await (const item of source) received.push(item);
    })();
    return received;
  }
  const types = (events: readonly JobEvent[]) => events.map(({ type }) => type);

  it('sends the events of a job from its queueing to its end', async () => {
    change(queued);
    await flush();
    const events = collect(feed.events('job', 0));
    jobs.set('job', running);
    send({
      kind: 'event',
      id: 'job',
      event: { type: 'warning', data: { code: 'PROMPT_SYNTAX', message: '' } },
    });
    await flush();
    change(done);
    await flush();
    expect(types(events)).toEqual(['queued', 'warning', 'done']);
    expect(ended).toEqual(['done']);
  });

  it('sends only the end to a reader of a job that has ended, and nothing for an unknown job', async () => {
    jobs.set('job', done);
    const [events, none] = [collect(feed.events('job', 7)), collect(feed.events('unknown', 0))];
    await flush();
    expect(types(events)).toEqual(['done']);
    expect(events[0]!.id).toBeGreaterThan(7);
    expect(none).toEqual([]);
  });

  it('starts the log of a job that was queued before this process started', async () => {
    jobs.set('job', queued);
    const events = collect(feed.events('job', 0));
    await flush();
    expect(types(events)).toEqual(['queued']);
    change(done);
    await flush();
    expect(types(events)).toEqual(['queued', 'done']);
  });

  it('detects within 3 s the end of a job whose message was lost, and reports it once', async () => {
    change(queued);
    await flush();
    const events = collect(feed.events('job', 0));
    jobs.set('job', done); // without a message
    await vi.advanceTimersByTimeAsync(3100);
    expect(types(events)).toEqual(['queued', 'done']);
    send({ kind: 'changed', job: done }); // the message arrives late
    await flush();
    expect(ended).toEqual(['done']);
  });

  it('drops the log of a job that was removed without a message', async () => {
    change(queued);
    await flush();
    jobs.delete('job');
    await vi.advanceTimersByTimeAsync(3100);
    const events = collect(feed.events('job', 0));
    await flush();
    expect(events).toEqual([]);
  });

  it('notifies watchers of changes, progress and removals, but not of previews', async () => {
    const changes: JobChange[] = collect(feed.watch());
    await flush();
    change(queued);
    await flush();
    jobs.set('job', running);
    send({ kind: 'event', id: 'job', event: { type: 'preview', data: { step: 1, steps: 2, image: '' } } });
    await flush();
    send({
      ...{ kind: 'event', id: 'job' },
      event: { type: 'progress', data: { phase: 'denoise', step: 1, steps: 2, elapsed: 1 } },
    });
    await flush();
    send({ kind: 'removed', id: 'job' });
    await flush();
    expect(changes.map((item) => ('removed' in item ? 'removed' : item.job.status))).toEqual([
      ...['queued', 'running', 'removed'],
    ]);
  });

  it('updates the places of queued jobs when one before them ends', async () => {
    const second: Job = { ...queued, id: 'second', place: 1 };
    change(queued);
    change(second);
    await flush();
    const events = collect(feed.events('second', 0));
    change(done);
    await flush();
    expect(events.map(({ type, data }) => [type, (data as { place?: number }).place])).toContainEqual([
      'queued',
      0,
    ]);
  });
});
