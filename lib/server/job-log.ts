/** Logs one structured line when a job is queued, started and ended. Prompts are never logged. */
import type { FastifyBaseLogger } from 'fastify';
import type { Job, JobQueue } from '../jobs/types.js';

type Stage = 'queued' | 'started' | 'ended';

/** Logs the jobs of the queue until the signal is aborted. */
export function logJobs(log: FastifyBaseLogger, queue: Pick<JobQueue, 'watch'>, signal: AbortSignal): void {
  const logged = new Map<string, Set<string>>();
  void (async () => {
    for await (const change of queue.watch(signal)) {
      if (!('job' in change)) continue;
      const { job } = change;
      const stages = logged.get(job.id) ?? new Set();
      logged.set(job.id, stages);
      // Changes contain only the newest state, so a short job may first be seen when it has ended.
      for (const stage of reached(job)) {
        const key = stage === 'started' ? `${stage} ${job.attempts}` : stage;
        if (stages.has(key)) continue;
        stages.add(key);
        write(log, job, stage);
      }
      if (job.finished !== undefined) logged.delete(job.id);
    }
  })().catch((error: unknown) => log.error(error, 'job log stopped'));
}

function reached({ status, started, finished }: Job): Stage[] {
  const hasStarted = status === 'running' || (finished !== undefined && started !== undefined);
  return [
    'queued',
    ...(hasStarted ? (['started'] as const) : []),
    ...(finished === undefined ? [] : (['ended'] as const)),
  ];
}

function write(log: FastifyBaseLogger, job: Job, stage: Stage): void {
  const { id, type, model, client, attempts, created, started, finished, error, images, status } = job;
  const common = { job: id, type, model, client };
  const ended = { ...common, outcome: status, duration: seconds(started ?? created, finished) };
  if (stage === 'queued') log.info(common, 'job queued');
  else if (stage === 'started')
    log.info({ ...common, attempt: attempts, wait: seconds(created, started) }, 'job started');
  else if (status === 'failed')
    log.warn({ ...ended, code: error?.code, reason: withoutPrompts(job) }, 'job failed');
  else if (status === 'done') log.info({ ...ended, images: images.length }, 'job finished');
  else log.info(ended, 'job cancelled');
}

/** Returns the seconds between two ISO 8601 times; undefined if one is missing. */
function seconds(from: string | undefined, to: string | undefined): number | undefined {
  const duration = (Date.parse(to ?? '') - Date.parse(from ?? '')) / 1000;
  return Number.isFinite(duration) ? duration : undefined;
}

/** Removes prompts from the error message, which may quote the beginning of an invalid value. */
function withoutPrompts({ error, options }: Job): string | undefined {
  let message = error?.message;
  for (const name of ['prompt', 'negative']) {
    const text = options[name];
    if (typeof text !== 'string' || text === '') continue;
    for (const part of [text, text.slice(0, 60)])
      message = message?.replaceAll(JSON.stringify(part), `(the ${name})`);
  }
  return message;
}
