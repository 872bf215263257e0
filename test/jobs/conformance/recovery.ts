import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import type { Stage } from './stage.js';
import { idsOf, image, request, until, Work } from './work.js';

const DAY = 86_400;

export function recovery(stage: () => Stage): void {
  const submit = () => stage().service.submit(request);
  const get = (id: string) => stage().service.get(id);
  const ended = (id: string) => until(async () => (await get(id))?.finished !== undefined);
  /** Returns completed jobs, oldest first. */
  const doneJobs = async (count: number) => {
    const runner = await stage().startRunner(async () => ({ images: [] }));
    const ids: string[] = [];
    for (let i = 0; i < count; i++) {
      ids.push((await submit()).id);
      await ended(ids.at(-1)!);
    }
    await runner.close({ drain: true });
    return ids;
  };

  it('retries the job of a killed runner and ignores the first attempt', async () => {
    const dead = new Work();
    const runner = await stage().startRunner(dead.run);
    const first = await submit();
    const late = await dead.context(first.id);
    late.emit({ type: 'image', data: { ...image, name: '1.png', index: 1 } });
    await until(async () => (await get(first.id))?.images.length === 1);
    await runner.kill();
    const work = new Work();
    await stage().startRunner(work.run);
    await work.context(first.id);
    // The second attempt starts without the images of the first.
    expect(await get(first.id)).toMatchObject({ status: 'running', attempts: 2, images: [] });
    await expect(late.data.writeResult(first.id, '0.png', Buffer.from('late'))).rejects.toThrow();
    await work.end(first.id);
    await ended(first.id);
    await dead.end(first.id);
    expect(work.begun).toEqual([first.id]);
    expect(await get(first.id)).toMatchObject({ status: 'done', attempts: 2, images: [image] });
    const { path } = (await stage().service.file(first.id, '0.png'))!;
    expect(await readFile(path, 'utf8')).toBe(`made of ${first.id}`);
  });

  it('rejects reports, files and outcomes of an attempt that was given back', async () => {
    const turns = await stage().openTurns();
    const { id } = await submit();
    const old = (await turns.take())!;
    expect(old.job).toMatchObject({ id, status: 'running', attempts: 1 });
    await old.giveBack();
    await old.release();
    const current = (await turns.take())!;
    expect(current.job).toMatchObject({ id, attempts: 1 });
    const event = { type: 'warning', data: { code: 'PROMPT_SYNTAX', message: 'late' } } as const;
    expect([await old.isCurrent(), await current.isCurrent()]).toEqual([false, true]);
    expect(await old.report(event, { warnings: [event.data] })).toBe(false);
    expect(await old.finish('done', { images: [] })).toBe(false);
    await old.giveBack();
    const written = old.files.writeResult(id, '0.png', Buffer.from('late'));
    await expect(written).rejects.toMatchObject({ code: 'ABORTED' });
    expect(await get(id)).toMatchObject({ status: 'running', warnings: [] });
    expect(await current.finish('done', { images: [] })).toBe(true);
    expect(await current.finish('failed', {})).toBe(false);
    await current.release();
    expect(await turns.take()).toBeUndefined();
    expect(await get(id)).toMatchObject({ status: 'done', attempts: 1 });
  });

  it('keeps all jobs after a restart: queued jobs in order, ended jobs unchanged', async () => {
    const [done] = await doneJobs(1);
    const [first, second, third] = [await submit(), await submit(), await submit()];
    await stage().service.move(third.id, 0);
    await stage().service.cancel(second.id);
    const before = await stage().service.list();
    const service = await stage().restart();
    expect(await service.list()).toEqual(before);
    expect([(await get(third.id))?.place, (await get(first.id))?.place]).toEqual([0, 1]);
    expect((await submit()).place).toBe(2);
    expect(await get(done!)).toMatchObject({ status: 'done' });
  });

  it('removes the oldest ended jobs beyond the maximum number, and no others', async () => {
    const ids = await doneJobs(3);
    const waiting = await submit();
    const service = await stage().restart({ keepJobs: 2 });
    await until(async () => (await service.get(ids[0]!)) === undefined);
    expect(idsOf(await service.list())).toEqual([waiting.id, ids[2], ids[1]]);
    await service.cancel(waiting.id);
    await until(async () => (await service.get(ids[1]!)) === undefined);
    expect(idsOf(await service.list())).toEqual([waiting.id, ids[2]]);
  });

  it('removes ended jobs after the retention time, with their files', async () => {
    const service = await stage().restart({ keepDays: 0.5 / DAY });
    const work = new Work();
    await stage().startRunner(work.run);
    const { id } = await submit();
    await work.end(id);
    await ended(id);
    const path = (await service.file(id, '0.png'))?.path;
    const waiting = await submit();
    await work.context(waiting.id);
    await until(async () => (await service.get(id)) === undefined);
    await expect(readFile(path!)).rejects.toMatchObject({ code: 'ENOENT' });
    expect(await get(waiting.id)).toMatchObject({ status: 'running' });
  });

  it('keeps an outcome that the store rejects until the store accepts writes, and runs the waiting jobs', async () => {
    const work = new Work();
    await stage().startRunner(work.run);
    const [first, second] = [await submit(), await submit()];
    await work.context(first.id);
    await stage().setFailing(true);
    await work.end(first.id, new Error('no such thing'));
    await new Promise((resolve) => setTimeout(resolve, 50));
    await stage().setFailing(false);
    await work.end(second.id);
    await ended(second.id);
    expect(await get(first.id)).toMatchObject({ status: 'failed', error: { message: 'no such thing' } });
    expect(await (await stage().restart()).get(first.id)).toMatchObject({ status: 'failed', attempts: 1 });
    expect(work.begun).toEqual([first.id, second.id]);
  });

  it('rejects requests while the store accepts no writes, still answers, and continues afterwards', async () => {
    const { service } = stage();
    const work = new Work();
    await stage().startRunner(work.run);
    const { id } = await submit();
    await work.context(id);
    await stage().setFailing(true);
    const rejected = await submit().catch((error: unknown) => error);
    expect(['FILE_NOT_WRITTEN', 'QUEUE_UNAVAILABLE']).toContain(Reflect.get(Object(rejected), 'code'));
    expect(await get(id)).toMatchObject({ status: 'running' });
    expect(await service.list()).toHaveLength(1);
    await stage().setFailing(false);
    let next: string | undefined;
    await until(async () => {
      next ??= await submit().then(
        (job) => job.id,
        () => undefined,
      );
      return next !== undefined;
    });
    await work.end(id);
    await work.end(next!);
    await ended(next!);
    expect(work.begun).toEqual([id, next]);
  });
}
