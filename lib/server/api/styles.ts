/** Prompt style routes of Safelight's own API: list, save and delete. */
import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import type { Style } from '../../conditioning/styles.js';
import { SafelightError } from '../../errors.js';
import type { StylesFile } from '../styles.js';
import { failure } from './schemas.js';

const tags = ['styles'];
const style = z.object({
  name: z.string(),
  prompt: z
    .string()
    .describe(
      'text in which {prompt} is replaced by the prompt; without {prompt} it is appended to the prompt',
    ),
  negative: z.string(),
});
const params = z.object({
  name: z
    .string()
    .trim()
    .min(1)
    .max(100)
    // Line breaks and tabs would be lost in the file, and A1111's clients use None for no style.
    .regex(/^\P{Cc}+$/u, 'Expected a single-line name without control characters')
    .refine((name) => name !== 'None', 'Expected a name other than None, which is reserved for no style'),
});

export function styles(
  instance: FastifyInstance,
  { file, maxPrompt }: { file: StylesFile; maxPrompt: number },
): void {
  const app = instance.withTypeProvider<ZodTypeProvider>();
  const text = z.string().max(maxPrompt).default('');

  app.get(
    '/v1/styles',
    {
      schema: {
        tags,
        summary: 'List prompt styles',
        response: { 200: z.object({ styles: z.array(style) }) },
      },
    },
    async () => ({ styles: (await file.read()).map(toClient) }),
  );
  app.put(
    '/v1/styles/:name',
    {
      schema: {
        tags,
        summary: 'Save a style, replacing one with the same name',
        params,
        body: z.strictObject({ prompt: text, negative: text }),
        response: { 200: style, '4xx': failure },
      },
    },
    async ({ params: { name }, body: { prompt, negative } }) => {
      if (prompt === '' && negative === '')
        throw new SafelightError(
          'INVALID_OPTION',
          'Expected a style with a prompt, a negative prompt or both, received neither',
        );
      await file.save({ name, prompt, negative_prompt: negative });
      return { name, prompt, negative };
    },
  );
  app.delete(
    '/v1/styles/:name',
    { schema: { tags, summary: 'Delete a style', params } },
    async ({ params: { name } }, reply) => {
      if (await file.remove(name)) return reply.code(204).send();
      throw new SafelightError('FILE_NOT_FOUND', `No style is named ${JSON.stringify(name)}`);
    },
  );
}

function toClient({ name, prompt, negative_prompt: negative }: Style): z.output<typeof style> {
  return { name, prompt, negative };
}
