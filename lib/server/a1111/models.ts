/** Routes for A1111's options and checkpoints, including loading and unloading. */
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { sendNull } from './generation.js';
import type { RouteContext } from './route-context.js';
import { applyChanges, toOptions } from './settings.js';

const tags = ['A1111'];

export function modelRoutes(app: FastifyInstance, context: RouteContext): void {
  const { checkpoints } = context;
  app.get('/options', { schema: { tags, summary: 'Settings' } }, async () => {
    const settings = await context.settings();
    return toOptions(settings, checkpoints.title(checkpoints.current(settings.sd_model_checkpoint)));
  });
  app.post(
    '/options',
    { schema: { tags, summary: 'Change settings', body: z.record(z.string(), z.unknown()) } },
    async (request, reply) => {
      const before = await context.settings();
      const next = applyChanges(before, request.body as Record<string, unknown>, checkpoints.find);
      const model = checkpoints.current(next.sd_model_checkpoint);
      // As in A1111, the response is sent once the new model is loaded, and a load failure changes nothing.
      if (model !== checkpoints.current(before.sd_model_checkpoint)) await load(context, model);
      await context.saveSettings(next);
      return sendNull(reply);
    },
  );
  app.get('/sd-models', { schema: { tags, summary: 'Checkpoints' } }, async () => checkpoints.list());
  for (const kind of ['checkpoints', 'vae', 'loras', 'embeddings'])
    app.post(
      `/refresh-${kind}`,
      { schema: { tags, summary: `Refresh the list of ${kind}` } },
      async (_, reply) => sendNull(reply),
    );
  app.post(
    '/unload-checkpoint',
    { schema: { tags, summary: 'Unload the model unless a job uses it' } },
    async () => {
      await context.pool.unload(checkpoints.current((await context.settings()).sd_model_checkpoint));
      return {};
    },
  );
  app.post('/reload-checkpoint', { schema: { tags, summary: 'Load the model' } }, async () => {
    await load(context, checkpoints.current((await context.settings()).sd_model_checkpoint));
    return {};
  });
}

/** Loads a model, unless workers on other machines run the jobs. */
async function load({ pool, activity, isRemote }: RouteContext, model: string): Promise<void> {
  if (isRemote) return;
  const request = activity.begin(undefined, 1);
  try {
    (await pool.use(model)).release();
  } finally {
    activity.end(request);
  }
}
