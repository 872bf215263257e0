/** Prometheus metrics of the queue and the models. */
import type { FastifyInstance } from 'fastify';
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Catalog } from '../jobs/models/catalog.js';
import type { Job, JobQueue } from '../jobs/types.js';

const SECONDS = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800];

/** Collects metrics until the signal is aborted and serves them at /metrics. */
export function metrics(app: FastifyInstance, queue: JobQueue, { pool }: Catalog, signal: AbortSignal): void {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, prefix: 'safelight_' });
  const registers = [registry];
  const labelNames = ['model'] as const;
  const jobs = new Counter({
    ...{ name: 'safelight_jobs_total', help: 'Jobs that ended', registers },
    labelNames: ['model', 'type', 'status'] as const,
  });
  const wait = new Histogram({
    ...{
      name: 'safelight_job_wait_seconds',
      help: 'Seconds from queued to started',
      registers,
      labelNames,
      buckets: SECONDS,
    },
  });
  const phases = new Histogram({
    ...{
      name: 'safelight_phase_seconds',
      help: 'Duration of the phases of a job in seconds',
      registers,
      buckets: SECONDS,
    },
    labelNames: ['model', 'phase'] as const,
  });
  const rate = new Gauge({
    ...{
      name: 'safelight_steps_per_second',
      help: 'Sampler steps per second of the running job',
      registers,
      labelNames,
    },
  });
  new Gauge({
    ...{
      name: 'safelight_queue_length',
      help: 'Queued and running jobs',
      registers,
      labelNames: ['status'] as const,
    },
    async collect() {
      for (const status of ['queued', 'running'] as const)
        this.set({ status }, (await queue.list({ status, limit: 1000 })).length);
    },
  });
  new Gauge({
    ...{
      name: 'safelight_model_memory_bytes',
      help: 'Memory of a loaded model in bytes',
      registers,
      labelNames,
    },
    collect() {
      this.reset();
      for (const { name, bytes } of pool.loaded) this.set({ model: name }, bytes);
    },
  });
  const runs = new Map<string, Run>();
  void (async () => {
    for await (const change of queue.watch(signal)) {
      if (!('job' in change)) continue;
      const { job } = change;
      const { model, type, status } = job;
      if (status === 'running') {
        const run =
          runs.get(job.id) ?? new Run(job, (phase, seconds) => phases.observe({ model, phase }, seconds));
        if (!runs.has(job.id))
          wait.observe({ model }, (Date.parse(job.started ?? '') - Date.parse(job.created)) / 1000);
        runs.set(job.id, run);
        const steps = run.at(job);
        if (steps !== undefined) rate.set({ model }, steps);
      } else if (job.finished !== undefined) {
        runs.get(job.id)?.end();
        if (runs.delete(job.id) || status === 'cancelled') jobs.inc({ model, type, status });
        rate.set({ model }, 0);
      }
    }
  })().catch((error: unknown) => app.log.error(error, 'metrics stopped'));
  app.get(
    '/metrics',
    { schema: { tags: ['monitoring'], summary: 'Prometheus metrics' }, logLevel: 'warn' },
    async (_, reply) => reply.type(registry.contentType).send(await registry.metrics()),
  );
}

/** Measures the phases of a running job. */
class Run {
  private phase: string | undefined;
  private since = performance.now();
  private first: number | undefined;

  constructor(
    job: Job,
    private readonly observe: (phase: string, seconds: number) => void,
  ) {
    this.phase = job.progress?.phase;
  }

  /** @returns steps per second; undefined until a step has been measured */
  at({ progress }: Job): number | undefined {
    if (!progress) return undefined;
    if (progress.phase !== this.phase) {
      this.end();
      this.phase = progress.phase;
      this.since = performance.now();
      this.first = progress.step;
    }
    const seconds = (performance.now() - this.since) / 1000;
    const done = progress.step - (this.first ?? progress.step);
    return progress.phase === 'denoise' && done > 0 && seconds > 0 ? done / seconds : undefined;
  }

  end(): void {
    if (this.phase !== undefined) this.observe(this.phase, (performance.now() - this.since) / 1000);
  }
}
