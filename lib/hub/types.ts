/** What both sources of models take and give. */
import type { Environment } from './environment.js';

export interface PullProgress {
  /** The file of which bytes came last. */
  readonly file: string;
  /** Files that are whole, and of all. */
  readonly files: readonly [done: number, total: number];
  /** Bytes on disk, those of earlier runs too, and of all files; the total grows where a server does not tell it beforehand. */
  readonly bytes: number;
  readonly total: number;
  /** Bytes a second over the last seconds; 0 while unknown. */
  readonly rate: number;
  /** Seconds left; undefined while unknown. */
  readonly left: number | undefined;
}

export interface PullOptions {
  /** Files that are pickles may be taken. Default false. */
  readonly pickle?: boolean;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: PullProgress) => void;
  /** Sentences for people: waiting for another process, a file system without locks, a file that cannot be checked. */
  readonly onNote?: (note: string) => void;
  /** Instead of `process.env`: HF_HOME, HF_TOKEN, CIVITAI_API_TOKEN ... */
  readonly env?: Environment;
  /** Connections at a time, 1 to 32. Default 8. */
  readonly connections?: number;
  /** How stubborn: attempts in a row without progress (5), milliseconds before the second (1000), milliseconds without a byte (30000). */
  readonly retry?: { readonly attempts?: number; readonly pause?: number; readonly patience?: number };
}

export interface PullResult {
  /** By which Safelight opens it: `owner/name`, `owner/name@revision`, `civitai:ID`. */
  readonly name: string;
  /** The folder (hub) or file (Civitai). */
  readonly path: string;
  /** The commit (hub) or version (Civitai). */
  readonly version: string;
  readonly files: readonly string[];
  readonly bytes: number;
  /** Of `bytes`, those that had to be fetched. */
  readonly fetched: number;
}
