import { expect, it } from 'vitest';
import type { JobChange } from '../../../lib/jobs/types.js';
import type { Stage } from './stage.js';
import { eventsOf, idsOf, image, request, typesOf, until, Work } from './work.js';

const progress = (step: number) =>
  ({ type: 'progress', data: { phase: 'denoise', step, steps: 9, elapsed: 0 } }) as const;
const preview = (step: number, index?: number) =>
  ({
    type: 'preview',
    data: { step, steps: 9, image: 'data:,', ...(index === undefined ? {} : { index }) },
  }) as const;
const warning = { code: 'PROMPT_SYNTAX', message: 'AND is drawn as a word.' } as const;

export function reading(stage: () => Stage): void {
  const submit = () => stage().service.submit(request);
  const started = async () => {
    const work = new Work();
    await stage().startRunner(work.run);
    const { id } = await submit();
    return { work, id, context: await work.context(id) };
  };
  const get = (id: string) => stage().service.get(id);

  it('returns the events of a job in order, with ascending numbers, and ends with the job', async () => {
    const { service } = stage();
    const { id } = await submit();
    const reader = eventsOf(service.events(id));
    const work = new Work();
    await stage().startRunner(work.run);
    const context = await work.context(id);
    context.emit(progress(1));
    context.emit({ type: 'warning', data: warning });
    await work.end(id);
    const events = await reader;
    expect(typesOf(events)).toEqual(['queued', 'progress', 'warning', 'image', 'done']);
    expect(events.map(({ data }) => data)).toEqual([
      ...[{ place: 0 }, progress(1).data, warning, { ...image, index: 0 }],
      expect.objectContaining({ id, status: 'done', images: [image], warnings: [warning] }),
    ]);
    const numbers = events.map((event) => event.id);
    expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => a - b));
    // From the last event that a reader received; for an ended job, only its end.
    for (const after of [0, numbers[2]!, numbers.at(-1)!])
      expect(typesOf(await eventsOf(service.events(id, { after })))).toEqual(['done']);
  });

  it('resumes while the job runs, with only the newest progress and preview', async () => {
    const { service } = stage();
    const { work, id, context } = await started();
    for (const step of [1, 2, 3]) context.emit(progress(step));
    for (const index of [0, 1]) context.emit(preview(index + 1, index));
    for (const step of [4, 5]) context.emit(preview(step));
    context.emit({ type: 'warning', data: warning });
    await until(async () => (await get(id))?.warnings.length === 1);
    const stop = new AbortController();
    const first = [];
    for await (const event of service.events(id, { signal: stop.signal })) {
      first.push(event);
      if (event.type === 'warning') stop.abort();
    }
    expect(typesOf(first)).toEqual(['queued', 'progress', 'preview', 'preview', 'preview', 'warning']);
    expect(first[1]!.data).toMatchObject({ step: 3 });
    expect(first.flatMap(({ type, data }) => (type === 'preview' ? [data.step] : []))).toEqual([1, 2, 5]);
    await work.end(id);
    const rest = await eventsOf(service.events(id, { after: first.at(-2)!.id }));
    expect(typesOf(rest).at(-1)).toBe('done');
    expect(typesOf(rest)).not.toContain('progress');
  });

  it('returns no events for an unknown job', async () => {
    expect(await eventsOf(stage().service.events('0'.repeat(30)))).toEqual([]);
  });

  it('ends a reader whose signal is aborted, and other readers continue', async () => {
    const { service } = stage();
    const { work, id } = await started();
    const stop = new AbortController();
    const [left, stays] = [
      eventsOf(service.events(id, { signal: stop.signal })),
      eventsOf(service.events(id)),
    ];
    stop.abort();
    expect(typesOf(await left)).not.toContain('done');
    await work.end(id);
    expect(typesOf(await stays)).toContain('done');
  });

  it('numbers the events of a later attempt, and after a restart, above earlier ones', async () => {
    const { work, id, context } = await started();
    context.emit(progress(1));
    await until(async () => (await get(id))?.progress !== undefined);
    const stop = new AbortController();
    let last = 0;
    for await (const event of stage().service.events(id, { signal: stop.signal })) {
      last = event.id;
      if (event.type === 'progress') stop.abort();
    }
    const service = await stage().restart();
    const reader = eventsOf(service.events(id, { after: last }));
    const next = new Work();
    // If the service runs its jobs itself, another attempt begins.
    await stage().startRunner(next.run);
    await until(() => next.begun.length > 0 || !context.signal.aborted);
    await (next.begun.length > 0 ? next : work).end(id);
    expect(typesOf(await reader).at(-1)).toBe('done');
  });

  it('reports the positions of queued jobs when earlier jobs begin, end or are moved', async () => {
    const { service } = stage();
    const [first, second, third] = [await submit(), await submit(), await submit()];
    const places: number[] = [];
    const reader = (async () => {
      for await (const event of service.events(third.id))
        if (event.type === 'queued') places.push(event.data.place);
    })();
    const reaches = (place: number) => until(() => places.at(-1) === place);
    await reaches(2);
    await service.move(third.id, 0);
    await reaches(0);
    await service.move(third.id, 2);
    await reaches(2);
    await service.cancel(second.id);
    await reaches(1);
    const work = new Work();
    await stage().startRunner(work.run);
    await work.end(first.id);
    await work.end(third.id);
    await reader;
    // An unchanged position is not reported again.
    expect(places.every((place, i) => place !== places[i - 1])).toBe(true);
  });

  it('sends watchers the newest state of each job, its end once, and its removal', async () => {
    const { service } = stage();
    const stop = new AbortController();
    const changes: JobChange[] = [];
    const watching = (async () => {
      for await (const change of service.watch(stop.signal)) changes.push(change);
    })();
    const { work, id } = await started();
    const waiting = await submit();
    const statuses = (of: string) =>
      changes.flatMap((change) => ('job' in change && change.job.id === of ? [change.job.status] : []));
    await until(() => statuses(waiting.id).includes('queued') && statuses(id).includes('running'));
    await service.cancel(waiting.id);
    await work.end(id);
    await until(() => statuses(id).includes('done') && statuses(waiting.id).includes('cancelled'));
    await service.remove(id);
    await until(() => changes.some((change) => 'removed' in change && change.removed === id));
    expect([...new Set(statuses(id))].at(-1)).toBe('done');
    expect(statuses(id).filter((status) => status === 'done')).toHaveLength(1);
    expect(statuses(waiting.id).filter((status) => status === 'cancelled')).toHaveLength(1);
    stop.abort();
    await watching;
  });

  it('sends watchers the end of each of many quick jobs once', async () => {
    const { service } = stage();
    const stop = new AbortController();
    const ends: string[] = [];
    const watching = (async () => {
      for await (const change of service.watch(stop.signal))
        if ('job' in change && change.job.finished !== undefined) ends.push(change.job.id);
    })();
    await stage().startRunner(async (_, { emit }) => {
      emit(progress(1));
      emit({ type: 'image', data: { ...image, index: 0 } });
      return { images: [image] };
    });
    const ids = idsOf(await Promise.all(Array.from({ length: 20 }, submit)));
    await until(() => ids.every((id) => ends.includes(id)));
    await until(async () => (await service.list({ status: 'done' })).length === 20);
    expect([...ends].sort()).toEqual([...ids].sort());
    stop.abort();
    await watching;
  });

  it('ends a job once if it is cancelled and completes at the same time', async () => {
    const { service } = stage();
    for (let i = 0; i < 8; i++) {
      const work = new Work();
      const runner = await stage().startRunner(work.run);
      const { id } = await submit();
      const events = eventsOf(service.events(id));
      await work.context(id);
      const ends = [work.end(id), service.cancel(id), service.cancel(id)];
      await Promise.all(i % 2 === 0 ? ends : ends.reverse());
      await until(async () => (await get(id))?.finished !== undefined);
      const { status, finished } = (await get(id))!;
      expect(typesOf(await events).filter((type) => type === 'done' || type === 'cancelled')).toEqual([
        status,
      ]);
      await runner.close({ drain: true });
      expect(await get(id)).toMatchObject({ status, finished });
    }
  });

  it('never runs a job after it was cancelled, even if both happen at the same time', async () => {
    const { service } = stage();
    const jobs = await Promise.all(Array.from({ length: 12 }, submit));
    const runs = new Map<string, string | undefined>();
    await stage().startRunner(async ({ id }) => {
      runs.set(id, (await service.get(id))?.status);
      return { images: [] };
    });
    await Promise.all(jobs.map(({ id }) => service.cancel(id)));
    await until(async () => (await service.list()).every(({ finished }) => finished !== undefined));
    for (const { id, status, started } of await service.list()) {
      expect(['done', 'cancelled']).toContain(status);
      if (started === undefined) expect(runs.has(id)).toBe(false);
      if (status === 'done') expect(runs.has(id)).toBe(true);
    }
  });
}
