/** Looks inside the picture on the stage: asked for, waited for, read. */
import { computed, effect, signal } from '@preact/signals';
import { get, post } from '../api/http.js';
import type { ShownJob } from '../api/types.js';
import { jobs, learn } from './jobs.js';
import { complain } from './notes.js';
import { claim } from './own.js';
import { persistentSignal } from './persistent.js';
import { about } from './session.js';
import { current } from './stage.js';

export const views = ['steps', 'words', 'tensors', 'codes', 'patches'] as const;
export type View = (typeof views)[number];

export const traceView = persistentSignal<View>(
  'inside',
  (kept) => views.find((view) => view === kept) ?? 'steps',
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
export interface SeenStep {
  readonly step: number;
  readonly steps: number;
  readonly pass: number;
  readonly sigma: number;
  readonly channels: number;
  readonly latent?: Place;
  readonly preview?: Place;
  readonly stats: { readonly latent: readonly Stats[]; readonly x0: Stats };
}
export interface SeenTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly steps: readonly (Stats & { readonly step: number })[];
  readonly histogram: { readonly counts: readonly number[]; readonly edges: readonly number[] };
  readonly picture?: string;
}
/** `inside.json` of a look. */
export interface Seen {
  readonly prompt: string;
  readonly steps: readonly SeenStep[];
  readonly words: readonly (Place & { readonly word: string })[];
  readonly tensors: readonly SeenTensor[];
  readonly nodes: Readonly<Record<string, readonly { name: string; shape: readonly number[] }[]>>;
}
/** `result` of a score. */
export interface Scored {
  readonly codes: readonly (readonly number[])[] | null;
  readonly usage: { readonly used: number; readonly vocabulary: number; readonly perplexity: number } | null;
  readonly patches: readonly (readonly number[])[] | null;
  readonly psnr: number | null;
  readonly losses: Readonly<Record<string, number | null>>;
}

/** The newest look at the picture, with tensors if any look had some. */
export const look = computed<ShownJob | undefined>(() => {
  const now = current.value;
  if (!now) return undefined;
  return [...jobs.value.values()]
    .filter(
      ({ type, options, status }) =>
        type === 'inside' &&
        options.job === now.job.id &&
        options.picture === now.index &&
        status !== 'cancelled',
    )
    .sort((a, b) => (a.id < b.id ? 1 : -1))[0];
});

/** Which score belongs to which picture: a score's own job does not say. */
const scores = persistentSignal<Readonly<Record<string, string>>>('scores', (kept) =>
  typeof kept === 'object' && kept !== null ? (kept as Record<string, string>) : {},
);

/** The model of codes that is asked. */
export const judge = computed(() => {
  const all = about.value?.models.filter(({ codes }) => codes) ?? [];
  return all.find(({ codes }) => codes?.discriminator) ?? all[0];
});

const scoreKey = computed(() =>
  current.value && judge.value
    ? `${current.value.job.id}/${current.value.index}/${judge.value.name}`
    : undefined,
);
export const score = computed<ShownJob | undefined>(() =>
  jobs.value.get(scores.value[scoreKey.value ?? ''] ?? ''),
);

export const seen = signal<{ readonly id: string; readonly data: Seen } | null>(null);
export const scored = signal<{ readonly id: string; readonly data: Scored } | null>(null);

export async function askLook(tensors: readonly string[] = []): Promise<void> {
  const now = current.peek();
  if (!now) return;
  try {
    const question = { type: 'inside', job: now.job.id, picture: now.index };
    const job = await post<ShownJob>('/v1/jobs', {
      ...question,
      ...(tensors.length > 0 ? { tensors } : {}),
    });
    claim(job.id);
    learn(job);
  } catch (error) {
    complain(error);
  }
}

export async function askScore(): Promise<void> {
  const [now, key, model] = [current.peek(), scoreKey.peek(), judge.peek()];
  if (!now || !key || !model) return;
  try {
    const image = { job: now.job.id, image: now.picture.name };
    const job = await post<ShownJob>('/v1/jobs', { type: 'score', model: model.name, image });
    claim(job.id);
    learn(job);
    scores.value = { ...scores.peek(), [key]: job.id };
  } catch (error) {
    complain(error);
  }
}

export function fileOf(job: ShownJob | undefined, name: string): string | undefined {
  return job?.images.find((file) => file.name === name)?.url;
}

/** Reads what a job found, once it has ended. */
effect(() => {
  const job = look.value;
  const url = job?.status === 'done' ? fileOf(job, 'inside.json') : undefined;
  if (!job || !url) seen.value = null;
  else if (seen.peek()?.id !== job.id)
    get<Seen>(url).then((data) => {
      if (look.peek()?.id === job.id) seen.value = { id: job.id, data };
    }, complain);
});

effect(() => {
  const job = score.value;
  if (job?.status !== 'done') scored.value = null;
  else if (scored.peek()?.id !== job.id)
    get<ShownJob>(`/v1/jobs/${job.id}`).then(({ result }) => {
      if (score.peek()?.id === job.id) scored.value = { id: job.id, data: result as unknown as Scored };
    }, complain);
});
