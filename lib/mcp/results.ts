/** Converts a finished job to the result of a call: images, links to their files, and the same as structured content. */
import { readFile } from 'node:fs/promises';
import type { CallToolResult } from '@modelcontextprotocol/server';
import { z } from 'zod';
import type { Job, JobImage, JobQueue } from '../jobs/types.js';
import { imageUri } from './image-uri.js';
import { inlineImage, MAX_INLINE } from './inline-image.js';
import type { McpParts } from './tool.js';

type Content = CallToolResult['content'][number];

/** Structured content of the tools that generate images. */
export const jobResult = z.object({
  job: z.string().describe('id of the job'),
  model: z.string().describe('model, or upscaler, that was used'),
  images: z.array(
    z.object({
      uri: z.string().describe('URI of the image, for resources/read and for image arguments'),
      type: z.string().describe('media type'),
      width: z.int().describe('pixels'),
      height: z.int().describe('pixels'),
      seed: z.int().optional(),
      parameters: z.string().describe("generation parameters as A1111's text; empty if there are none"),
      file: z.string().optional().describe('path of the file, only for clients on the same machine'),
      shown: z
        .string()
        .optional()
        .describe('form in which the image is part of this result, if it was reduced'),
    }),
  ),
  warnings: z
    .array(z.object({ code: z.string(), message: z.string() }))
    .describe('conditions that may make the result differ from what was expected'),
});
type ImageResult = z.output<typeof jobResult>['images'][number];

/**
 * Returns the images in order, then links to them, then the structured content as text for clients without support for it.
 * Files that were removed in the meantime are left out.
 * @param files those of the images by name, as far as they are known
 */
export async function resultOf(
  job: Job,
  { queue, local }: Pick<McpParts, 'queue' | 'local'>,
  files: ReadonlyMap<string, ReturnType<JobQueue['file']>>,
): Promise<CallToolResult> {
  const limit = Math.floor(MAX_INLINE / Math.max(1, job.images.length));
  const images: ImageResult[] = [];
  const shown: Content[] = [];
  const links: Content[] = [];
  for (const image of job.images) {
    const path = (await (files.get(image.name) ?? queue.file(job.id, image.name)))?.path;
    const bytes = path === undefined ? undefined : await readFile(path).catch(() => undefined);
    if (path === undefined || bytes === undefined) continue;
    const inline = await inlineImage({ ...image, bytes }, limit);
    if (inline) shown.push({ type: 'image', data: inline.data, mimeType: inline.type });
    const form = inline ? reducedForm(image, inline) : 'left out because of its size; read its URI';
    images.push({
      ...{ uri: imageUri(job.id, image.name), type: image.type, width: image.width, height: image.height },
      ...(image.seed === undefined ? {} : { seed: image.seed }),
      parameters: image.parameters,
      ...(local ? { file: path } : {}),
      ...(form === undefined ? {} : { shown: form }),
    });
    links.push(linkTo(job, image, bytes.length));
  }
  const structuredContent = {
    job: job.id,
    model: job.model,
    images,
    warnings: job.warnings.map((w) => ({ ...w })),
  };
  const text: Content = { type: 'text', text: JSON.stringify(structuredContent) };
  return { content: [...shown, ...links, text], structuredContent };
}

function reducedForm(
  { type, width, height }: JobImage,
  inline: { readonly type: string; readonly width: number; readonly height: number },
): string | undefined {
  if (inline.type === type && inline.width === width && inline.height === height) return undefined;
  return `${inline.type} of ${inline.width} x ${inline.height} pixels; its URI has the whole image`;
}

function linkTo(job: Job, image: JobImage, size: number): Content {
  return {
    ...{
      type: 'resource_link',
      uri: imageUri(job.id, image.name),
      name: image.name,
      mimeType: image.type,
      size,
    },
    description: `${image.width} x ${image.height} pixels${image.seed === undefined ? '' : `, seed ${image.seed}`}`,
  };
}
