/** Resources: the result images of all jobs, newest first. */
import { readFile } from 'node:fs/promises';
import type {
  ListResourcesResult,
  McpServer,
  ReadResourceResult,
  Resource,
} from '@modelcontextprotocol/server';
import { isId } from '../jobs/id.js';
import type { Job, JobQueue } from '../jobs/types.js';
import { IMAGE_TEMPLATE, imageUri, parseImageUri } from './image-uri.js';
import type { McpSdk } from './sdk.js';

/** Jobs read for a page of the list. */
const PAGE = 50;
/** Characters of a prompt in the title of an image. */
const MAX_TITLE = 80;

/** Registers the template of the images, and replaces the SDK's list of resources by one with pages. */
export function addResources(sdk: McpSdk, server: McpServer, queue: JobQueue): void {
  const template = new sdk.ResourceTemplate(IMAGE_TEMPLATE, { list: undefined });
  const description = 'An image that a job of this server has generated';
  server.registerResource('image', template, { title: 'Image', description }, async (uri) => {
    const contents = await readImage(queue, uri.href);
    if (contents) return contents;
    throw new sdk.ResourceNotFoundError(uri.href);
  });
  server.server.setRequestHandler('resources/list', async ({ params }) => {
    const cursor = params?.cursor;
    if (cursor !== undefined && !isId(cursor))
      throw new sdk.ProtocolError(
        sdk.ProtocolErrorCode.InvalidParams,
        'The cursor is not one of an earlier page',
      );
    return listImages(queue, cursor);
  });
}

/** Lists the images of at least one job that has some, unless there are no more. */
async function listImages(queue: JobQueue, cursor: string | undefined): Promise<ListResourcesResult> {
  let before = cursor;
  for (;;) {
    const jobs = await queue.list({ limit: PAGE, ...(before === undefined ? {} : { before }) });
    before = jobs.length < PAGE ? undefined : jobs.at(-1)?.id;
    const resources = jobs.flatMap(resourcesOf);
    if (resources.length > 0 || before === undefined)
      return { resources, ...(before === undefined ? {} : { nextCursor: before }) };
  }
}

function resourcesOf(job: Job): Resource[] {
  if (job.finished === undefined) return [];
  const lastModified = job.finished;
  const { prompt } = job.options;
  const title = typeof prompt === 'string' && prompt.trim() ? prompt.trim().slice(0, MAX_TITLE) : job.type;
  return job.images.map(({ name, type, width, height, seed }) => ({
    ...{ uri: imageUri(job.id, name), name, title, mimeType: type },
    description: `${width} x ${height} pixels, model ${job.model}${seed === undefined ? '' : `, seed ${seed}`}`,
    annotations: { lastModified },
  }));
}

async function readImage(queue: JobQueue, uri: string): Promise<ReadResourceResult | undefined> {
  const reference = parseImageUri(uri);
  const file = reference && (await queue.file(reference.job, reference.image));
  // The job may be removed at any time.
  const bytes = file && (await readFile(file.path).catch(() => undefined));
  return bytes && file && { contents: [{ uri, mimeType: file.type, blob: bytes.toString('base64') }] };
}

/** Calls `onChange` whenever a job with images ends or is removed, until the signal is aborted. */
export async function followImages(
  queue: JobQueue,
  signal: AbortSignal,
  onChange: () => void,
): Promise<void> {
  for await (const change of queue.watch(signal)) {
    const isEnd = 'job' in change && change.job.finished !== undefined && change.job.images.length > 0;
    if (isEnd || 'removed' in change) onChange();
  }
}

/** Tells the client of a server that the list of images has changed, unless the connection has ended. */
export function announceImages({ server }: McpServer): void {
  server.sendResourceListChanged().catch(() => undefined);
}
