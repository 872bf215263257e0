/** Route of the upscaler models that jobs can name. */
import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import type { ListedUpscaler, Upscalers } from '../../jobs/models/upscalers.js';
import { upscalerLabel } from '../../options/upscaler-names.js';
import { problemOf } from '../adapters/problem.js';

const upscaler = z.object({
  name: z.string().describe('name in jobs: `upscaler`, and `hires.upscaler`'),
  label: z.string().describe("A1111's name of it, such as `R-ESRGAN 4x+`, else `name`; jobs may use it too"),
  file: z.string().describe('path relative to the models folder, with /'),
  architecture: z.string().nullable().describe('null if the file cannot be used'),
  scale: z.number().nullable().describe('ratio of the sides of result and image; 1 restores images'),
  problem: z.string().optional().describe('reason why it cannot be used'),
});

export function upscalerRoutes(instance: FastifyInstance, upscalers: Upscalers): void {
  const app = instance.withTypeProvider<ZodTypeProvider>();
  app.get(
    '/v1/upscalers',
    {
      schema: {
        tags: ['adapters'],
        summary: 'List the upscalers of the models folder',
        response: {
          200: z.object({
            configured: z.boolean().describe('false if the server has no models folder'),
            upscalers: z.array(upscaler).readonly(),
          }),
        },
      },
    },
    async () => ({
      configured: upscalers.isConfigured,
      upscalers: (await upscalers.list()).map(describe),
    }),
  );
}

function describe({ name, path, below, facts, error }: ListedUpscaler): z.output<typeof upscaler> {
  const common = { name, label: upscalerLabel(name), file: below };
  if (facts) return { ...common, architecture: facts.architecture, scale: facts.scale };
  return { ...common, architecture: null, scale: null, problem: problemOf(error, path, below) };
}
