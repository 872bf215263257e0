/** Options, checkpoints, and loading them. */
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { nothing } from './generation.js';
import type { RouteContext } from './route-context.js';
import { changed, shown } from './settings.js';

const tags = ['A1111'];

export function modelRoutes(app: FastifyInstance, context: RouteContext): void {
  const { checkpoints } = context;
  app.get('/options', { schema: { tags, summary: 'Settings' } }, async () => {
    const settings = await context.settings();
    return shown(settings, checkpoints.title(checkpoints.current(settings.sd_model_checkpoint)));
  });
  app.post(
    '/options',
    { schema: { tags, summary: 'Change settings', body: z.record(z.string(), z.unknown()) } },
    async (request, reply) => {
      const before = await context.settings();
      const next = changed(before, request.body as Record<string, unknown>, checkpoints.find);
      const model = checkpoints.current(next.sd_model_checkpoint);
      // As in A1111 the answer comes when the new model is there, and a model that does not load changes nothing.
      if (model !== checkpoints.current(before.sd_model_checkpoint)) await load(context, model);
      await context.keep(next);
      return nothing(reply);
    },
  );
  app.get('/sd-models', { schema: { tags, summary: 'Checkpoints' } }, async () => checkpoints.list());
  for (const what of ['checkpoints', 'vae', 'loras', 'embeddings'])
    app.post(`/refresh-${what}`, { schema: { tags, summary: `Look for ${what} again` } }, async (_, reply) =>
      nothing(reply),
    );
  app.post(
    '/unload-checkpoint',
    { schema: { tags, summary: "Give the model's memory back, unless a job uses it" } },
    async () => {
      await context.pool.unload(checkpoints.current((await context.settings()).sd_model_checkpoint));
      return {};
    },
  );
  app.post('/reload-checkpoint', { schema: { tags, summary: 'Load the model again' } }, async () => {
    await load(context, checkpoints.current((await context.settings()).sd_model_checkpoint));
    return {};
  });
}

/** Where workers elsewhere do the jobs, there is nothing to load here. */
async function load({ pool, activity, isRemote }: RouteContext, model: string): Promise<void> {
  if (isRemote) return;
  const work = activity.begin(undefined, 1);
  try {
    (await pool.use(model)).release();
  } finally {
    activity.end(work);
  }
}
