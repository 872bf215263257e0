/** Traces and scores of the current image: requesting the jobs and loading their results. */
import { computed, effect, signal } from '@preact/signals';
import { get, post } from '../api/http.js';
import type { ApiJob } from '../api/types.js';
import { jobs, updateJobs } from './jobs.js';
import { showError } from './notifications.js';
import { addOwnJob } from './own-jobs.js';
import { persistentSignal } from './persistent.js';
import { about } from './session.js';
import { current } from './stage.js';

export const views = ['steps', 'words', 'tensors', 'codes', 'patches'] as const;
export type View = (typeof views)[number];

export const traceView = persistentSignal<View>(
  'inside',
  (stored) => views.find((view) => view === stored) ?? 'steps',
);

export interface Place {
  readonly top: number;
  readonly width: number;
  readonly height: number;
}
export interface Stats {
  readonly min: number | null;
  readonly max: number | null;
  readonly mean: number | null;
  readonly std: number | null;
  readonly nan: number;
  readonly inf: number;
}
export interface TraceStep {
  readonly step: number;
  readonly steps: number;
  readonly pass: number;
  readonly sigma: number;
  readonly channels: number;
  readonly latent?: Place;
  readonly preview?: Place;
  readonly stats: { readonly latent: readonly Stats[]; readonly x0: Stats };
}
export interface TraceTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly steps: readonly (Stats & { readonly step: number })[];
  readonly histogram: { readonly counts: readonly number[]; readonly edges: readonly number[] };
  readonly picture?: string;
}
/** `inside.json` of a trace job. */
export interface Trace {
  readonly prompt: string;
  readonly steps: readonly TraceStep[];
  readonly words: readonly (Place & { readonly word: string })[];
  readonly tensors: readonly TraceTensor[];
  readonly nodes: Readonly<Record<string, readonly { name: string; shape: readonly number[] }[]>>;
}
/** `result` of a score job. */
export interface ScoreResult {
  readonly codes: readonly (readonly number[])[] | null;
  readonly usage: { readonly used: number; readonly vocabulary: number; readonly perplexity: number } | null;
  readonly patches: readonly (readonly number[])[] | null;
  readonly psnr: number | null;
  readonly losses: Readonly<Record<string, number | null>>;
}

/** The newest trace job of the current image. */
export const traceJob = computed<ApiJob | undefined>(() => {
  const shown = current.value;
  if (!shown) return undefined;
  return [...jobs.value.values()]
    .filter(
      ({ type, options, status }) =>
        type === 'inside' &&
        options.job === shown.job.id &&
        options.picture === shown.index &&
        status !== 'cancelled',
    )
    .sort((a, b) => (a.id < b.id ? 1 : -1))[0];
});

/** Ids of score jobs by image and model, because a score job does not refer to the original image's job. */
const scores = persistentSignal<Readonly<Record<string, string>>>('scores', (stored) =>
  typeof stored === 'object' && stored !== null ? (stored as Record<string, string>) : {},
);

/** The VQGAN model used for scoring, preferably one with a discriminator. */
export const scoringModel = computed(() => {
  const all = about.value?.models.filter(({ codes }) => codes) ?? [];
  return all.find(({ codes }) => codes?.discriminator) ?? all[0];
});

const scoreKey = computed(() =>
  current.value && scoringModel.value
    ? `${current.value.job.id}/${current.value.index}/${scoringModel.value.name}`
    : undefined,
);
export const scoreJob = computed<ApiJob | undefined>(() =>
  jobs.value.get(scores.value[scoreKey.value ?? ''] ?? ''),
);

export const trace = signal<{ readonly id: string; readonly data: Trace } | null>(null);
export const scoreResult = signal<{ readonly id: string; readonly data: ScoreResult } | null>(null);

export async function requestTrace(tensors: readonly string[] = []): Promise<void> {
  const shown = current.peek();
  if (!shown) return;
  try {
    const request = { type: 'inside', job: shown.job.id, picture: shown.index };
    const job = await post<ApiJob>('v1/jobs', {
      ...request,
      ...(tensors.length > 0 ? { tensors } : {}),
    });
    addOwnJob(job.id);
    updateJobs(job);
  } catch (error) {
    showError(error);
  }
}

export async function requestScore(): Promise<void> {
  const [shown, key, model] = [current.peek(), scoreKey.peek(), scoringModel.peek()];
  if (!shown || !key || !model) return;
  try {
    const image = { job: shown.job.id, image: shown.image.name };
    const job = await post<ApiJob>('v1/jobs', { type: 'score', model: model.name, image });
    addOwnJob(job.id);
    updateJobs(job);
    scores.value = { ...scores.peek(), [key]: job.id };
  } catch (error) {
    showError(error);
  }
}

export function fileOf(job: ApiJob | undefined, name: string): string | undefined {
  return job?.images.find((file) => file.name === name)?.url;
}

/** Loads the result of the trace job when it is done. */
effect(() => {
  const job = traceJob.value;
  const url = job?.status === 'done' ? fileOf(job, 'inside.json') : undefined;
  if (!job || !url) trace.value = null;
  else if (trace.peek()?.id !== job.id)
    get<Trace>(url).then((data) => {
      if (traceJob.peek()?.id === job.id) trace.value = { id: job.id, data };
    }, showError);
});

effect(() => {
  const job = scoreJob.value;
  if (job?.status !== 'done') scoreResult.value = null;
  else if (scoreResult.peek()?.id !== job.id)
    get<ApiJob>(`v1/jobs/${job.id}`).then(({ result }) => {
      if (scoreJob.peek()?.id === job.id)
        scoreResult.value = { id: job.id, data: result as unknown as ScoreResult };
    }, showError);
});
