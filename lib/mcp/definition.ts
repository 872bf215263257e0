/** Definition of the MCP server, which all transports and protocol revisions share. */
import type {
  CallToolResult,
  JsonSchemaValidatorResult,
  jsonSchemaValidator,
  McpServer,
  ServerContext,
} from '@modelcontextprotocol/server';
import { SafelightError } from '../errors.js';
import { imageTools } from './image-tools.js';
import { listModelsTool } from './list-models.js';
import { addResources } from './resources.js';
import type { McpSdk } from './sdk.js';
import type { Arguments, Call, McpParts, Tool } from './tool.js';

const INSTRUCTIONS =
  'Generates, edits and upscales images with Stable Diffusion on this server. Call list_models for the names of models and their default sizes. ' +
  'Results contain the images and their safelight:// URIs, which later calls accept as image arguments.';

export class McpDefinition {
  private readonly tools: readonly Tool[];
  private readonly calls = new Set<Promise<unknown>>();
  private readonly stopping = new AbortController();

  constructor(
    private readonly sdk: McpSdk,
    private readonly parts: McpParts,
  ) {
    this.tools = [...imageTools(parts), listModelsTool(parts)];
  }

  /** Creates a server for a connection or a single request. */
  create(): McpServer {
    const { sdk, parts } = this;
    const server = new sdk.McpServer(
      { name: 'safelight', title: 'Safelight', version: parts.version },
      {
        capabilities: { tools: { listChanged: false }, resources: { listChanged: true } },
        instructions: INSTRUCTIONS,
      },
    );
    for (const { name, title, description, input, output, readOnly, run } of this.tools) {
      server.registerTool(
        name,
        {
          ...{ title, description, outputSchema: output },
          inputSchema: sdk.fromJsonSchema<Arguments>(input, unchecked),
          annotations: { readOnlyHint: readOnly, destructiveHint: false, openWorldHint: false },
        },
        (args, context) => this.track(run(args, callOf(context, this.stopping.signal))),
      );
    }
    addResources(sdk, server, parts.queue);
    return server;
  }

  /** Ends the calls in progress with an error; their jobs stay in the queue. */
  stop(): void {
    this.stopping.abort();
  }

  /** Settles when no call is in progress. */
  async idle(): Promise<void> {
    while (this.calls.size > 0) await Promise.all(this.calls);
  }

  /** Converts errors to results of the tool, which the language model of the client can read. */
  private track(running: Promise<CallToolResult>): Promise<CallToolResult> {
    const call = running.catch((error: unknown) => errorResult(error, this.parts.onError));
    this.calls.add(call);
    return call.finally(() => this.calls.delete(call));
  }
}

/** Accepts any arguments, because the job queue validates them. */
const unchecked: jsonSchemaValidator = {
  getValidator<T>() {
    return (input): JsonSchemaValidatorResult<T> => ({
      valid: true,
      data: input as T,
      errorMessage: undefined,
    });
  },
};

function callOf({ mcpReq }: ServerContext, stopping: AbortSignal): Call {
  const { signal } = mcpReq;
  const progressToken = mcpReq._meta?.progressToken;
  if (progressToken === undefined) return { signal, stopping };
  return {
    ...{ signal, stopping },
    onProgress: (progress) => {
      const params = { progressToken, ...progress };
      // The connection may have ended; then nobody waits for progress.
      mcpReq.notify({ method: 'notifications/progress', params }).catch(() => undefined);
    },
  };
}

function errorResult(error: unknown, onError: McpParts['onError']): CallToolResult {
  const isKnown = error instanceof SafelightError;
  if (!isKnown) onError(error);
  const text = isKnown
    ? `${error.code}: ${error.message}`
    : 'INTERNAL: Internal error; see the log of the server';
  return { content: [{ type: 'text', text }], isError: true };
}
