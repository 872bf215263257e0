/** Options and results that both sources of models share. */
import type { Environment } from './environment.js';

export interface PullProgress {
  /** The file whose bytes arrived last. */
  readonly file: string;
  /** Number of complete files, and of all files. */
  readonly files: readonly [done: number, total: number];
  /**
   * Bytes on disk, including those of earlier runs, and of all files; the total grows if the server does not state
   * sizes in advance.
   */
  readonly bytes: number;
  readonly total: number;
  /** Bytes per second over the last 8 seconds; 0 while unknown. */
  readonly rate: number;
  /** Estimated seconds left; undefined while unknown. */
  readonly left: number | undefined;
}

export interface PullOptions {
  /** Allows files that are pickles. Default false. */
  readonly pickle?: boolean;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: PullProgress) => void;
  /** Receives notes for the user: waiting for another process, a file system without locks, a file without checksum. */
  readonly onNote?: (note: string) => void;
  /** Replaces `process.env`: HF_HOME, HF_TOKEN, CIVITAI_API_TOKEN ... */
  readonly env?: Environment;
  /** Concurrent connections, 1 to 32. Default 8. */
  readonly connections?: number;
  /**
   * Retries: attempts in a row without progress (default 5), milliseconds before the second (1000), milliseconds
   * without data (30000).
   */
  readonly retry?: { readonly attempts?: number; readonly pause?: number; readonly patience?: number };
}

export interface PullResult {
  /** The name with which `Pipeline.load` opens it: `owner/name`, `owner/name@revision`, `civitai:ID`. */
  readonly name: string;
  /** Path of the folder (hub) or file (Civitai). */
  readonly path: string;
  /** The commit (hub) or version id (Civitai). */
  readonly version: string;
  readonly files: readonly string[];
  readonly bytes: number;
  /** The part of `bytes` that was downloaded by this call. */
  readonly fetched: number;
  /** Words that the prompt of a LoRA should contain; only for LoRAs of Civitai. */
  readonly triggerWords?: readonly string[];
}
