/** Stubbed responses of a busy server: a long queue, a full gallery, long words everywhere. Nothing runs. */
import type { BrowserContext, Route } from 'playwright-core';
import sharp from 'sharp';
import type { About, ShownJob } from '../../web/src/api/types.js';

export const WORD = 'Donaudampfschifffahrtselektrizitätenhauptbetriebswerk'.repeat(6).slice(0, 300);
export const PROMPT = `${'a lighthouse in a storm, oil on canvas, '.repeat(42)}${WORD}`;

export interface Crowd {
  /** Jobs as `GET /v1/jobs` lists them, newest first. */
  readonly jobs: readonly ShownJob[];
  /** Bodies of the requests that change state. */
  readonly sent: { method: string; path: string; body: unknown }[];
}

let next = 9000;
/** A job created before all earlier ones. */
export function fakeJob(options: Partial<ShownJob> & { count?: number } = {}): ShownJob {
  const { count = options.status === undefined || options.status === 'done' ? 1 : 0, ...rest } = options;
  const id = `fake-${next--}`;
  const seed = 4_000_000_000 + next;
  const prompt = (rest.options?.prompt as string | undefined) ?? PROMPT;
  return {
    ...{ id, type: 'text-to-image', model: 'starter', status: 'done', attempts: 1, client: 'own' },
    ...{ created: '2025-01-01T00:00:00Z', warnings: [], ...rest },
    options: { prompt, negative: WORD, steps: 20, seed, ...rest.options },
    images: Array.from({ length: count }, (_, i) => ({
      ...{ name: `${i}.png`, type: 'image/png', width: 512, height: 512, seed: seed + i },
      url: `/v1/jobs/${id}/files/${i}.png`,
      parameters: `${prompt}\nNegative prompt: ${WORD}\nSteps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: ${seed + i}, Size: 512x512, Model: starter, Hires prompt: "${WORD}, x", Hires upscale: 2, RNG: CPU, Version: Safelight 0`,
    })),
  };
}

const WARNING = { code: 'PROMPT_SYNTAX', message: `The prompt's <lora:${WORD}:1> has no effect.` };

export function busyJobs(): ShownJob[] {
  const waiting = Array.from({ length: 20 }, (_, i) => fakeJob({ status: 'queued', place: 20 - i }));
  const running = fakeJob({
    status: 'running',
    progress: { phase: 'denoise', step: 7, steps: 20, elapsed: 4, left: 3721 },
    warnings: [WARNING],
  });
  const failed = fakeJob({ status: 'failed', error: { code: 'INTERNAL', message: `${WORD} ${PROMPT}` } });
  const first = fakeJob({ count: 9, warnings: [WARNING, { code: 'OTHER', message: 'Another one.' }] });
  const done = Array.from({ length: 25 }, () => fakeJob({ count: 2 }));
  const look = fakeJob({ type: 'inside', options: { job: first.id, picture: 0 } });
  const files = ['inside.json', 'previews.png', 'latents.png', 'words.png', 'tensor-0.png'];
  const seen = { ...look, images: files.map((name) => fileOf(look.id, name)) };
  const score = fakeJob({ type: 'score', model: 'writer', count: 3 });
  return [...waiting, running, failed, seen, score, first, ...done];
}

function fileOf(id: string, name: string): ShownJob['images'][number] {
  const url = `/v1/jobs/${id}/files/${name}`;
  return { name, type: 'image/png', width: 64, height: 64, parameters: '', url };
}

/** Stubs the server's responses; paths not listed here reach the real server. */
export async function crowd(context: BrowserContext, jobs: readonly ShownJob[]): Promise<Crowd> {
  const sent: Crowd['sent'] = [];
  const png = await sharp({ create: { width: 64, height: 64, channels: 3, background: '#a06040' } })
    .png()
    .toBuffer();
  const json = (route: Route, body: unknown, status = 200) =>
    route.fulfill({ status, contentType: 'application/json', body: JSON.stringify(body) });
  await context.route('**/v1/about', async (route) => {
    const answer = await route.fetch();
    await json(route, crowded((await answer.json()) as About));
  });
  await context.route('**/v1/styles', (route) =>
    json(route, {
      styles: Array.from({ length: 30 }, (_, i) => ({
        name: i === 0 ? WORD.slice(0, 100) : `style ${i}`,
        prompt: `{prompt}, ${WORD}`,
        negative: WORD,
      })),
    }),
  );
  await context.route('**/v1/jobs**', async (route) => {
    const request = route.request();
    const { pathname: path } = new URL(request.url());
    const [, , , id, part, name] = path.split('/');
    const job = jobs.find((one) => one.id === id);
    if (request.method() !== 'GET') {
      sent.push({ method: request.method(), path, body: request.postDataJSON() as unknown });
      if (request.method() === 'POST' && id === undefined) return json(route, fakeJob(), 201);
      return part === 'results' ? route.fulfill({ status: 204 }) : json(route, job);
    }
    if (id === undefined) return json(route, { jobs });
    if (!job) return json(route, { error: { code: 'FILE_NOT_FOUND', message: 'no such job' } }, 404);
    if (part === undefined) return json(route, { ...job, result: scored });
    if (part === 'events')
      return route.fulfill({ contentType: 'text/event-stream', body: 'retry: 600000\n\n' });
    if (name === 'inside.json') return json(route, insideOf());
    return route.fulfill({ contentType: 'image/png', body: png });
  });
  return { jobs, sent };
}

function crowded(about: About): About {
  return {
    ...about,
    models: [
      ...about.models,
      { name: `models\\${WORD}`, kind: 'diffusion', loaded: true },
      { name: `broken-${WORD}`, kind: 'unknown', loaded: false, problem: `${WORD} is no model` },
      {
        ...{ name: 'writer', kind: 'codes', loaded: false },
        codes: { condition: 'image', codebook: true, discriminator: true },
      },
    ],
  };
}

const scored = {
  codes: Array.from({ length: 32 }, (_, y) => Array.from({ length: 32 }, (_, x) => (y * 997 + x) % 16_384)),
  usage: { used: 900, vocabulary: 16_384, perplexity: 412.5 },
  patches: Array.from({ length: 30 }, () => Array.from({ length: 30 }, () => 0.5)),
  psnr: 31.25,
  losses: { [`loss_${WORD}`]: 0.25 },
};

function insideOf() {
  const stats = { min: -1, max: 1, mean: 0, std: 1, nan: 0, inf: 0 };
  const place = { top: 0, width: 64, height: 16 };
  const steps = Array.from({ length: 20 }, (_, step) => ({
    ...{ step, steps: 20, pass: 1, sigma: 14.6 - step * 0.7, channels: 4, latent: place, preview: place },
    stats: { latent: [stats, stats, stats, stats], x0: stats },
  }));
  const tensors = [
    {
      ...{
        name: `mid_block.${WORD}`,
        shape: [2, 1280, 8, 8],
        steps: steps.map(({ step }) => ({ ...stats, step })),
      },
      histogram: { counts: [1, 5, 9, 2], edges: [-1, 1] },
      picture: 'tensor-0.png',
    },
  ];
  const words = [WORD, ...Array.from({ length: 40 }, (_, i) => `word${i}`)].map((word) => ({
    ...place,
    word,
  }));
  const nodes = Array.from({ length: 300 }, (_, i) => ({ name: `${WORD}.${i}`, shape: [2, 320, 64, 64] }));
  return { prompt: PROMPT, steps, words, tensors, nodes: { unet: nodes } };
}
