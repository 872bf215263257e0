/**
 * Routes for user interfaces: models with their defaults, samplers, schedules and limits, and token counts of
 * prompts.
 */

import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import type { Catalog } from '../../jobs/models/catalog.js';
import {
  Descriptions,
  type DiffusionDescription,
  type VqganDescription,
} from '../../jobs/models/describe.js';
import { hiresFields } from '../../options/declarations/hires.js';
import { packageVersion } from '../../package.js';
import { samplers } from '../../sampling/samplers/index.js';
import { schedules } from '../../sampling/schedules/index.js';
import { failure } from './schemas.js';

export interface AboutModel {
  readonly name: string;
  /** `unknown` if the model cannot be read; `problem` contains the reason. */
  readonly kind: 'diffusion' | 'codes' | 'unknown';
  readonly loaded: boolean;
  readonly diffusion?: DiffusionDescription;
  readonly codes?: VqganDescription;
  readonly problem?: string;
}

export interface About {
  readonly version: string;
  readonly models: readonly AboutModel[];
  readonly samplers: readonly {
    readonly name: string;
    readonly label: string;
    readonly ownsSchedule: boolean;
  }[];
  readonly schedules: readonly { readonly name: string; readonly label: string }[];
  /** Upscalers of the second pass (hires fix), with A1111's names as labels. */
  readonly hiresUpscalers: readonly { readonly name: string; readonly label: string }[];
  readonly limits: Catalog['limits'];
  /** True if the server requires an API key, so that the page can offer to log out. */
  readonly locked: boolean;
}

const tags = ['models'];
const { upscaler } = hiresFields.hires.fields;

export function about(
  instance: FastifyInstance,
  { catalog, locked, maxPrompt }: { catalog: Catalog; locked: boolean; maxPrompt: number },
): void {
  const app = instance.withTypeProvider<ZodTypeProvider>();
  const descriptions = new Descriptions();

  app.get(
    '/v1/about',
    { schema: { tags, summary: 'Models, samplers, schedules and limits of this server' } },
    async (): Promise<About> => {
      const loaded = new Set(catalog.pool.loaded.map(({ name }) => name));
      const models = catalog.models.map(async ({ name, path }): Promise<AboutModel> => {
        const common = { name, loaded: loaded.has(name) };
        try {
          const description = await descriptions.describe(path);
          return description.kind === 'codes'
            ? { ...common, kind: 'codes', codes: description }
            : { ...common, kind: 'diffusion', diffusion: description };
        } catch (error) {
          return { ...common, kind: 'unknown', problem: error instanceof Error ? error.message : '' };
        }
      });
      return {
        version: packageVersion(),
        models: await Promise.all(models),
        samplers: samplers.map(({ name, label, ownsSchedule }) => ({ name, label, ownsSchedule })),
        schedules: [
          { name: 'automatic', label: 'Automatic' },
          ...schedules.map(({ name, label }) => ({ name, label })),
        ],
        hiresUpscalers: upscaler.values.map((name) => ({ name, label: upscaler.labels[name] })),
        limits: catalog.limits,
        locked,
      };
    },
  );
  app.post(
    '/v1/tokenize',
    {
      schema: {
        tags,
        summary: 'Count the tokens of a prompt',
        body: z.strictObject({
          prompt: z.string().max(maxPrompt),
          model: z.string().min(1).max(200).optional(),
        }),
        response: {
          200: z.object({
            tokens: z.number().describe('tokens of the prompt, without start, end and padding'),
            windows: z.number().describe('text encoder windows that the prompt fills'),
            window: z.number().describe('prompt tokens that fit in one window'),
          }),
          '4xx': failure,
        },
      },
    },
    ({ body }) => {
      const entry = catalog.pool.entry(body.model ?? catalog.defaultModel);
      return descriptions.countTokens(entry, body.prompt);
    },
  );
}
