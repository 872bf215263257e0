import { readFile } from 'node:fs/promises';
import sharp from 'sharp';
import { expect, it, vi } from 'vitest';
import { MAX_ATTEMPTS } from '../../../lib/jobs/service/runner.js';
import type { Stage } from './stage.js';
import { image, request, until, Work } from './work.js';

export function running(stage: () => Stage): void {
  const submit = () => stage().service.submit(request);
  const get = (id: string) => stage().service.get(id);
  const ended = (id: string) => until(async () => (await get(id))?.finished !== undefined);
  const started = async () => {
    const work = new Work();
    const runner = await stage().startRunner(work.run);
    const { id } = await submit();
    return { work, runner, id, context: await work.context(id) };
  };

  it('reports progress, images and warnings of a running job, and finally its outcome', async () => {
    const { work, id, context } = await started();
    const progress = { phase: 'denoise', step: 1, steps: 2, elapsed: 0.5 } as const;
    const warning = { code: 'PROMPT_SYNTAX', message: 'AND is drawn as a word.' } as const;
    context.emit({ type: 'progress', data: progress });
    for (let i = 0; i < 2; i++) context.emit({ type: 'warning', data: warning });
    context.emit({ type: 'image', data: { ...image, index: 0 } });
    await until(async () => (await get(id))?.images.length === 1);
    const shown = { progress, images: [image], warnings: [warning] };
    expect(await get(id)).toMatchObject({ status: 'running', attempts: 1, ...shown });
    await work.end(id);
    await ended(id);
    const job = await get(id);
    expect(job).toMatchObject({ status: 'done', images: [image], result: { psnr: 30 }, warnings: [warning] });
    expect([job?.progress, job?.place, job?.error]).toEqual([undefined, undefined, undefined]);
    expect(Date.parse(job!.finished!)).toBeGreaterThanOrEqual(Date.parse(job!.started!));
    expect(await (await stage().restart()).get(id)).toEqual(job);
  });

  it('gives a job the images of its request, and returns its results', async () => {
    const { service } = stage();
    const work = new Work();
    await stage().startRunner(work.run);
    const png = await sharp({ create: { width: 8, height: 8, channels: 3, background: 'red' } })
      .png()
      .toBuffer();
    const init = `data:image/png;base64,${png.toString('base64')}`;
    const job = await service.submit({ type: 'image-to-image', options: { prompt: '', init } });
    expect(job.options.init).toEqual({ file: 'init' });
    const { data } = await work.context(job.id);
    expect(Buffer.from(await data.readInput(job.id, 'init'))).toEqual(png);
    await expect(data.readInput(job.id, 'mask')).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
    await work.end(job.id);
    await ended(job.id);
    const file = await service.file(job.id, '0.png');
    expect([await readFile(file!.path, 'utf8'), file!.type]).toEqual([`made of ${job.id}`, 'image/png']);
    for (const name of ['1.png', '../queue/jobs.jsonl', 'inputs/init'])
      expect(await service.file(job.id, name)).toBeUndefined();
    const bad = { prompt: '', init: 'bm8gaW1hZ2U=' };
    await expect(service.submit({ type: 'image-to-image', options: bad })).rejects.toMatchObject({
      code: 'INVALID_IMAGE',
    });
    expect(await service.list()).toHaveLength(1);
  });

  it('removes an ended job with its files, and no other job', async () => {
    const { service } = stage();
    const { work, id } = await started();
    const waiting = await submit();
    expect([await service.remove(id), await service.remove(waiting.id)]).toEqual([false, false]);
    await work.end(id);
    await ended(id);
    const { path } = (await service.file(id, '0.png'))!;
    expect(await service.remove(id)).toBe(true);
    expect(await service.get(id)).toBeUndefined();
    await expect(readFile(path)).rejects.toMatchObject({ code: 'ENOENT' });
    expect(await service.remove(id)).toBe(false);
    await work.end(waiting.id);
  });

  it('ends a job with the error of its run', async () => {
    const { work, id } = await started();
    await work.end(id, new Error('no such thing'));
    await ended(id);
    expect(await get(id)).toMatchObject({
      ...{ status: 'failed', images: [] },
      error: { code: 'INTERNAL', message: 'no such thing' },
    });
  });

  it('passes finish, a second finish and skip to the run, and leaves queued jobs unchanged', async () => {
    const { service } = stage();
    const { work, id, context } = await started();
    const waiting = await submit();
    const skip = context.skip();
    expect((await service.skip(id))?.status).toBe('running');
    await until(() => skip.aborted);
    expect(context.skip().aborted).toBe(false);
    await service.finish(id);
    await until(() => context.finish.aborted);
    expect(context.hurry?.aborted).toBe(false);
    await service.finish(id);
    await until(() => context.hurry?.aborted === true);
    expect((await service.finish(waiting.id))?.status).toBe('queued');
    await work.end(id);
    expect((await work.context(waiting.id)).finish.aborted).toBe(false);
    await work.end(waiting.id);
    await ended(waiting.id);
    expect((await service.finish(id))?.status).toBe('done');
    expect(await service.skip('0'.repeat(30))).toBeUndefined();
  });

  it('cancels a queued and a running job within 200 ms and continues with the next', {
    retry: 3,
  }, async () => {
    const { service } = stage();
    const { work, id, context } = await started();
    const [second, third] = [await submit(), await submit()];
    const begun = performance.now();
    expect((await service.cancel(second.id))?.status).toBe('cancelled');
    expect((await service.cancel(id))?.status).toBe('cancelled');
    await until(() => context.signal.aborted);
    expect(performance.now() - begun).toBeLessThan(200);
    await work.end(third.id);
    await ended(third.id);
    expect(work.begun).toEqual([id, third.id]);
    expect((await service.cancel(third.id))?.status).toBe('done');
    expect((await service.cancel(id))?.status).toBe('cancelled');
    expect(await service.cancel('0'.repeat(30))).toBeUndefined();
  });

  it('ignores reports of a cancelled job', async () => {
    const { service } = stage();
    const { id, context } = await started();
    await service.cancel(id);
    context.emit({ type: 'image', data: { ...image, index: 0 } });
    const late = context.data.writeResult(id, '0.png', Buffer.from('late'));
    await expect(late).rejects.toMatchObject({ code: 'ABORTED' });
    expect(await get(id)).toMatchObject({ status: 'cancelled', images: [] });
    const reader = { prompt: '', init: { job: id, image: '0.png' } };
    const read = service.submit({ type: 'image-to-image', options: reader });
    await expect(read).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
    await service.remove(id);
    await expect(context.data.writeResult(id, '0.png', Buffer.from('late'))).rejects.toThrow();
    expect(await service.file(id, '0.png')).toBeUndefined();
  });

  it('keeps the warnings of a cancelled job', async () => {
    const { id, context } = await started();
    const warning = { code: 'PROMPT_SYNTAX', message: 'AND is drawn as a word.' } as const;
    context.emit({ type: 'warning', data: warning });
    await until(async () => (await get(id))?.warnings.length === 1);
    expect(await stage().service.cancel(id)).toMatchObject({ status: 'cancelled', warnings: [warning] });
  });

  it('keeps the images of a cancelled and of a failed job', async () => {
    const { service } = stage();
    const { work, id, context } = await started();
    const failing = await submit();
    const add = async ({ data, emit }: typeof context, job: string): Promise<void> => {
      await data.writeResult(job, image.name, Buffer.from(`made of ${job}`));
      emit({ type: 'image', data: { ...image, index: 0 } });
      await until(async () => (await get(job))?.images.length === 1);
    };
    await add(context, id);
    await service.cancel(id);
    await add(await work.context(failing.id), failing.id);
    await work.end(failing.id, new Error('broken'));
    await ended(failing.id);
    for (const [job, status] of [
      [id, 'cancelled'],
      [failing.id, 'failed'],
    ] as const) {
      expect(await get(job)).toMatchObject({ status, images: [image] });
      await until(async () => (await service.file(job, image.name)) !== undefined);
    }
  });

  it('reads the results of an earlier attempt', async () => {
    const { id, context, runner } = await started();
    await context.data.writeResult(id, image.name, Buffer.from('earlier'));
    await runner.close({ drain: false });
    const work = new Work();
    await stage().startRunner(work.run);
    const { data } = await work.context(id);
    expect(Buffer.from(await data.readResult(id, image.name)).toString()).toBe('earlier');
    await expect(data.readResult(id, '1.png')).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
    await work.end(id);
    await ended(id);
  });

  it('requeues a job before all others when its runner closes, and lets it complete when the runner drains', async () => {
    const frozen = vi.spyOn(Date, 'now').mockReturnValue(Date.now());
    const [{ id }, waiting, moved] = [await submit(), await submit(), await submit()];
    frozen.mockRestore();
    const work = new Work();
    const runner = await stage().startRunner(work.run);
    await work.context(id);
    // Their orders are lower than that of the running job.
    for (const each of [moved, waiting]) await stage().service.move(each.id, 0);
    await runner.close({ drain: false });
    const again = await stage().restart();
    expect(await again.get(id)).toMatchObject({ status: 'queued', attempts: 0, place: 0 });
    expect((await again.get(id))?.started).toBeUndefined();
    const next = new Work();
    const draining = await stage().startRunner(next.run);
    await next.context(id);
    const closed = draining.close({ drain: true });
    await next.end(id);
    await closed;
    expect(await get(id)).toMatchObject({ status: 'done', attempts: 1 });
    expect(await get(waiting.id)).toMatchObject({ status: 'queued', place: 0 });
    expect(await get(moved.id)).toMatchObject({ status: 'queued', place: 1 });
    expect([work.begun, next.begun]).toEqual([[id], [id]]);
  });

  it('fails a job after ten processes have ended while they ran it', async () => {
    const [last, worn] = [await submit(), await submit()];
    await stage().setAttempts(last.id, MAX_ATTEMPTS - 1);
    await stage().setAttempts(worn.id, MAX_ATTEMPTS);
    const work = new Work();
    await stage().startRunner(work.run);
    await work.end(last.id);
    await ended(worn.id);
    expect(await get(last.id)).toMatchObject({ status: 'done', attempts: MAX_ATTEMPTS });
    expect(await get(worn.id)).toMatchObject({ status: 'failed', error: { code: 'INTERNAL' } });
    expect(work.begun).toEqual([last.id]);
  });
}
