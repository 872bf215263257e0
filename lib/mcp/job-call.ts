/** Runs a job for a call of a tool. */
import type { CallToolResult } from '@modelcontextprotocol/server';
import { invalidOption, SafelightError, unlessAborted } from '../errors.js';
import { untilDone } from '../jobs/completion.js';
import type { JobOptions, JobRequest, JobType } from '../jobs/types.js';
import { resolveImages } from './image-input.js';
import { ProgressReporter } from './progress.js';
import { resultOf } from './results.js';
import type { Arguments, Call, McpParts } from './tool.js';

/**
 * Submits a job with the arguments as its options and waits for its end. If the call is cancelled, so is the job.
 * @throws errors of `JobQueue.submit` and of the job, ABORTED, DISPOSED if the server stops first
 */
export async function callJob(
  type: JobType,
  { model, ...args }: Arguments,
  call: Call,
  parts: McpParts,
): Promise<CallToolResult> {
  if (model !== undefined && typeof model !== 'string')
    throw invalidOption('model', 'a name from list_models', model);
  const options = (await resolveImages(args, parts.local)) as JobOptions;
  const request: JobRequest = {
    ...{ type, options, client: 'mcp' },
    ...(model === undefined ? {} : { model }),
    ...(parts.local ? { previews: { every: 0 } } : {}),
  };
  const job = await parts.queue.submit(request);
  const progress = call.onProgress && new ProgressReporter(call.onProgress);
  // Looked up as soon as an image exists, because the queue of a server that stops closes right after the job.
  const files = new Map<string, ReturnType<McpParts['queue']['file']>>();
  try {
    const events = untilDone(parts.queue, job.id, call.signal);
    for (;;) {
      const next = await unlessAborted(events.next(), call.stopping);
      if (next.done) return await resultOf(next.value, parts, files);
      const event = next.value;
      if (event.type === 'image') {
        const { name } = event.data;
        files.set(
          name,
          parts.queue.file(job.id, name).catch(() => undefined),
        );
      }
      progress?.onEvent(event);
    }
  } catch (error) {
    if (!call.stopping.aborted) throw error;
    throw new SafelightError(
      'DISPOSED',
      `The server is stopping before job ${job.id} has ended; call again later`,
      {
        cause: error,
      },
    );
  } finally {
    progress?.stop();
  }
}
