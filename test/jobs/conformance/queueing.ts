import { expect, it, vi } from 'vitest';
import type { Stage } from './stage.js';
import { idsOf, request, until, Work } from './work.js';

export function queueing(stage: () => Stage): void {
  const submit = () => stage().service.submit(request);
  const statusOf = async (id: string) => (await stage().service.get(id))?.status;
  const several = async (count: number) => {
    const jobs = [];
    for (let i = 0; i < count; i++) jobs.push(await submit());
    return jobs;
  };

  it('answers a request with the queued job, its position and its options', async () => {
    const [first, second] = await several(2);
    expect(first).toEqual({
      ...{ id: first!.id, type: 'text-to-image', model: 'a', status: 'queued', created: first!.created },
      ...{ options: request.options, previews: {}, client: 'own', extra: null },
      ...{ attempts: 0, place: 0, images: [], warnings: [] },
    });
    expect(second!.place).toBe(1);
    expect(await stage().service.get(second!.id)).toEqual(second);
    expect(await stage().service.get('0'.repeat(30))).toBeUndefined();
  });

  it('keeps the metadata that a client sent with its request', async () => {
    const { service } = stage();
    const sent = { ...request, client: 'a1111', extra: { body: [1] }, previews: { every: 3 } } as const;
    const { id } = await service.submit(sent);
    const kept = { client: 'a1111', extra: { body: [1] }, previews: { every: 3 } };
    expect(await service.get(id)).toMatchObject(kept);
    expect(await (await stage().restart()).get(id)).toMatchObject(kept);
  });

  it('runs jobs one after the other in the order of submission', async () => {
    const work = new Work();
    const jobs = await several(3);
    await stage().startRunner(work.run);
    expect((await stage().service.get(jobs[2]!.id))?.place).toBe(2);
    for (const { id } of jobs) {
      expect(await statusOf(id)).not.toBe('done');
      await work.end(id);
    }
    await until(async () => (await statusOf(jobs[2]!.id)) === 'done');
    expect(work.begun).toEqual(idsOf(jobs));
  });

  it('lists jobs newest first, filtered by status, from a given job on and up to a limit', async () => {
    const { service } = stage();
    const jobs = idsOf(await several(5)).reverse();
    await service.cancel(jobs[1]!);
    expect(idsOf(await service.list())).toEqual(jobs);
    expect(idsOf(await service.list({ limit: 2 }))).toEqual(jobs.slice(0, 2));
    expect(idsOf(await service.list({ before: jobs[1]!, limit: 2 }))).toEqual(jobs.slice(2, 4));
    expect(idsOf(await service.list({ status: 'cancelled' }))).toEqual([jobs[1]]);
    expect(idsOf(await service.list({ status: 'queued', before: jobs[0]! }))).toEqual(jobs.slice(2));
  });

  it('accepts at most the maximum number of waiting jobs, even from concurrent requests', async () => {
    const service = await stage().restart({ maxQueued: 3 });
    const answers = await Promise.allSettled(Array.from({ length: 8 }, () => service.submit(request)));
    expect(answers.filter(({ status }) => status === 'fulfilled')).toHaveLength(3);
    for (const answer of answers)
      if (answer.status === 'rejected')
        expect(answer.reason).toMatchObject({ code: 'QUEUE_FULL', retryAfter: 30 });
    expect(await service.list()).toHaveLength(3);
    const [first] = await service.list({ limit: 1 });
    await service.cancel(first!.id);
    expect((await service.submit(request)).place).toBe(2);
  });

  it('estimates the Retry-After delay from finished jobs', async () => {
    const service = await stage().restart({ maxQueued: 1 });
    const work = new Work();
    const quick = 12;
    let begun = 0;
    await stage().startRunner((job, context) =>
      begun++ < quick ? Promise.resolve({ images: [] }) : work.run(job, context),
    );
    for (let i = 0; i < quick; i++) {
      const { id } = await service.submit(request);
      await until(async () => (await statusOf(id)) === 'done');
    }
    const { id } = await service.submit(request);
    await work.context(id);
    await service.submit(request);
    const refused = await service.submit(request).catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: 'QUEUE_FULL', retryAfter: 1 });
    await work.end(id);
  });

  it('queues one job per idempotency key, even for concurrent requests', async () => {
    const { service } = stage();
    const key = { idempotencyKey: 'k' };
    const jobs = await Promise.all([1, 2, 3].map(() => service.submit(request, key)));
    expect(new Set(idsOf(jobs)).size).toBe(1);
    const other = service.submit({ ...request, options: { prompt: 'a pear' } }, key);
    await expect(other).rejects.toMatchObject({ code: 'INVALID_OPTION' });
    const id = jobs[0]!.id;
    const again = await stage().restart();
    expect((await again.submit(request, key)).id).toBe(id);
    await again.cancel(id);
    await again.remove(id);
    expect((await again.submit(request, key)).id).not.toBe(id);
    expect(await again.list()).toHaveLength(1);
  });

  it('moves queued jobs to any position, any number of times, and appends later jobs', async () => {
    const { service } = stage();
    const ids = idsOf(await several(4));
    const places = async () => Promise.all([...ids].map(async (id) => (await service.get(id))?.place));
    await service.move(ids[3]!, 0);
    expect(await places()).toEqual([1, 2, 3, 0]);
    await service.move(ids[3]!, 99);
    expect(await places()).toEqual([0, 1, 2, 3]);
    // Each move halves the gap between the same two orders, until no number is left between them.
    for (let i = 0; i < 80; i++) await service.move(ids[1 + (i % 2)]!, 1);
    expect(await places()).toEqual([0, 2, 1, 3]);
    ids.push((await submit()).id);
    expect((await places())[4]).toBe(4);
    await stage().restart();
    const orders = (await stage().service.list()).map(({ id, place }) => [id, place]);
    expect(Object.fromEntries(orders)).toMatchObject({
      [ids[0]!]: 0,
      [ids[2]!]: 1,
      [ids[1]!]: 2,
      [ids[4]!]: 4,
    });
    const work = new Work();
    await stage().startRunner(work.run);
    const moved = [ids[0]!, ids[2]!, ids[1]!, ids[3]!, ids[4]!];
    for (const id of moved) await work.end(id);
    expect(work.begun).toEqual(moved);
  });

  it('appends a new job after one that is moved to the end at the same time', async () => {
    const { service } = stage();
    const frozen = vi.spyOn(Date, 'now').mockReturnValue(Date.now());
    const ids = idsOf(await several(3));
    for (const i of [0, 1, 0, 1]) await service.move(ids[i]!, 2);
    ids.push((await submit()).id);
    frozen.mockRestore();
    expect(idsOf(await service.list())).toEqual([...ids].reverse());
    const places = await Promise.all(ids.map(async (id) => (await service.get(id))?.place));
    expect(places).toEqual([1, 2, 0, 3]);
  });

  it('rejects moving a running, an ended or an unknown job', async () => {
    const { service } = stage();
    const work = new Work();
    const [first, second] = await several(2);
    await stage().startRunner(work.run);
    await work.context(first!.id);
    await service.cancel(second!.id);
    expect(await service.move(first!.id, 0)).toMatchObject({ status: 'running' });
    expect(await service.move(second!.id, 0)).toMatchObject({ status: 'cancelled' });
    expect(await service.move('0'.repeat(30), 0)).toBeUndefined();
    expect(await service.list({ status: 'queued' })).toEqual([]);
  });

  it('rejects requests once it closes', async () => {
    const { service } = stage();
    await stage().restart();
    await expect(service.submit(request)).rejects.toMatchObject({ code: 'DISPOSED' });
  });
}
