/** Types of the tools: what a tool declares, and what its calls get and return. */
import type { CallToolResult } from '@modelcontextprotocol/server';
import type { z } from 'zod';
import type { Catalog } from '../jobs/models/catalog.js';
import type { JobQueue } from '../jobs/types.js';
import type { PromptFileOptions } from '../pipelines/prompt-files.js';

/** Everything that the tools and resources work on. */
export interface McpParts {
  readonly queue: JobQueue;
  readonly catalog: Catalog;
  /** Version of Safelight. */
  readonly version: string;
  /** Folders and files that prompts refer to. */
  readonly files: PromptFileOptions;
  /**
   * True for a client on this machine (stdio): images may be paths of files, results contain the paths of theirs, and no
   * previews are generated, because nobody can see them.
   */
  readonly local: boolean;
  /** Receives unexpected errors, whose messages are not sent to clients because they may contain internal details. */
  readonly onError: (error: unknown) => void;
}

/** Progress of a call; `progress` increases from one to the next. */
export interface Progress {
  readonly progress: number;
  readonly total?: number;
  readonly message: string;
}

/** A call of a tool in progress. */
export interface Call {
  /** Aborted when the client cancels the call or its connection ends. */
  readonly signal: AbortSignal;
  /** Aborted when the server stops; the job of the call stays in the queue. */
  readonly stopping: AbortSignal;
  /** Undefined if the client did not ask for progress. */
  readonly onProgress?: ((progress: Progress) => void) | undefined;
}

export type Arguments = Readonly<Record<string, unknown>>;
export type JsonSchema = Readonly<Record<string, unknown>>;

export interface Tool {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  /** Schema that clients see. The queue validates the arguments, so that all its APIs report the same errors. */
  readonly input: JsonSchema;
  /** Schema of the structured content. */
  readonly output: z.ZodType;
  /** True if the tool changes nothing. */
  readonly readOnly: boolean;
  /** @throws SafelightError, which becomes an error result */
  run(args: Arguments, call: Call): Promise<CallToolResult>;
}
