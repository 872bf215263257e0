/** Routes of LoRAs and embeddings that prompts can name, with their thumbnails. */
import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import type { AdapterKind, AdapterLibrary } from '../adapters/library.js';
import { failure } from './schemas.js';

const tags = ['adapters'];
const file = z.string().describe('path relative to the folder, with /');
const family = z.string().nullable().describe('family of the models that it fits; null if unknown');
const thumbnail = z.boolean().describe('true if an image lies beside the file');
const problem = z.string().optional().describe('reason why it cannot be used');
const lora = z.object({
  name: z.string().describe('name in prompts: <lora:NAME:WEIGHT>'),
  alias: z.string().optional().describe('name under which it was trained; prompts may use it too'),
  ...{ file, family },
  kind: z
    .enum(['lora', 'locon', 'loha', 'lokr', 'dora', 'ia3', 'oft', 'boft', 'full', 'mixed'])
    .nullable()
    .describe('form of the change; null if unknown'),
  triggerWords: z.array(z.string()).readonly(),
  baseModel: z.string().nullable().describe('name of the model that it was trained on'),
  rank: z.union([z.number(), z.array(z.number()).readonly()]).nullable(),
  hash: z
    .string()
    .nullable()
    .describe('12 hexadecimal digits as in "Lora hashes"; null if it is not computed yet'),
  weight: z.number().optional().describe("preferred weight, from A1111's NAME.json"),
  ...{ thumbnail, problem },
});
const embedding = z.object({
  name: z.string().describe('name in prompts'),
  ...{ file, family },
  vectors: z.number().nullable().describe('number of tokens that it takes in a prompt'),
  widths: z.array(z.number()).readonly(),
  hash: z.string().nullable().describe('12 hexadecimal digits as in "TI hashes"'),
  ...{ thumbnail, problem },
});

/** Clients may keep a thumbnail, but have to ask whether it has changed. */
const REVALIDATE = 'private, no-cache';

export function adapters(instance: FastifyInstance, library: AdapterLibrary): void {
  const app = instance.withTypeProvider<ZodTypeProvider>();

  app.get(
    '/v1/adapters',
    {
      schema: {
        tags,
        summary: 'List the LoRAs and embeddings of the models folder',
        querystring: z.strictObject({
          hashes: z
            .enum(['all', 'known'])
            .default('known')
            .describe('`all` responds when every hash is computed, which reads each file once'),
        }),
        response: {
          200: z.object({
            configured: z.boolean().describe('false if the server has no models folder'),
            loras: z.array(lora).readonly(),
            embeddings: z.array(embedding).readonly(),
          }),
          '4xx': failure,
        },
      },
    },
    ({ query }) => library.list(query.hashes === 'all'),
  );
  const thumbnailOf = (kind: AdapterKind, summary: string): void => {
    app.get(
      `/v1/adapters/${kind}/thumbnail`,
      {
        schema: {
          ...{ tags, summary },
          querystring: z.strictObject({ file: z.string().min(1).max(4096).describe('`file` of the list') }),
        },
      },
      async ({ query, headers }, reply) => {
        const { data, tag } = await library.thumbnail(kind, query.file);
        reply.header('cache-control', REVALIDATE).header('etag', tag);
        if (headers['if-none-match']?.split(/\s*,\s*/).includes(tag)) return reply.code(304).send();
        return reply.type('image/webp').send(data);
      },
    );
  };
  thumbnailOf('loras', 'Get the image beside a LoRA, at most 256 pixels wide and high');
  thumbnailOf('embeddings', 'Get the image beside an embedding, at most 256 pixels wide and high');
}
