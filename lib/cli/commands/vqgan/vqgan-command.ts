/** Shared parts of the VQGAN commands: pipeline, progress, Ctrl-C and image output. */
import { basename, extname } from 'node:path';
import type { VqganPipeline } from '../../../pipelines/vqgan/vqgan-pipeline.js';
import type { OnWarning, Warning } from '../../../warnings.js';
import { interruptible } from '../../interrupt.js';
import { collectWarnings, duration, print, printJson } from '../../output.js';
import { createProgress, type ProgressDisplay } from '../../progress.js';
import { type SavedImage, saveImages } from '../../save-images.js';
import { openVqgan, type VqganFlags } from '../../vqgan-options.js';

export interface VqganRun {
  readonly pipeline: VqganPipeline;
  readonly signal: AbortSignal;
  readonly onProgress: ProgressDisplay['show'];
  readonly onWarning: OnWarning;
}

/**
 * Runs `work` with a pipeline that is disposed of afterwards.
 * @returns the value of `work`, the elapsed seconds and the warnings
 */
export async function withVqgan<T>(
  flags: VqganFlags,
  work: (tools: VqganRun) => Promise<T>,
): Promise<{ readonly value: T; readonly seconds: number; readonly warnings: readonly Warning[] }> {
  const start = performance.now();
  const progress = createProgress({ quiet: flags.quiet ?? false });
  const warnings = collectWarnings(flags.json, progress.clear);
  const onWarning: OnWarning = ({ code, message }) => warnings.add(code, message);
  try {
    const value = await interruptible(async (signal) => {
      const onProgress = progress.show;
      const pipeline = await openVqgan(flags, { signal, onProgress, onWarning });
      try {
        return await work({ pipeline, signal, onProgress, onWarning });
      } finally {
        await pipeline.dispose();
      }
    });
    const seconds = Math.round(performance.now() - start) / 1000;
    return { value, seconds, warnings: warnings.list };
  } finally {
    progress.clear();
  }
}

export interface ImageReport {
  readonly image: SavedImage;
  /** Output path; undefined for a new file named `name`. */
  readonly output: string | undefined;
  readonly name: string;
  readonly json: boolean | undefined;
  readonly seconds: number;
  readonly warnings: readonly Warning[];
  /** Additional properties of the JSON output, and their text in the plain output. */
  readonly facts: object;
  readonly line: string;
}

/** Writes the image and reports it. */
export async function reportImage(report: ImageReport): Promise<void> {
  const { image, output, name, json, seconds, warnings, facts, line } = report;
  const [file = ''] = await saveImages([image], { output, name: () => name, metadata: false });
  const { width, height, seed } = image;
  const entry = { file, ...(seed === undefined ? {} : { seed }), width, height };
  if (json) return printJson({ images: [entry], ...facts, seconds, warnings });
  print(`${file}  ${width}x${height}${line === '' ? '' : `, ${line}`}`);
  print(`1 image in ${duration(seconds)}`);
}

/** Returns `drawing-codes.png` for `a/drawing.jpg` and `-codes`: a file in the working folder. */
export function namedAfter(path: string, suffix: string): string {
  return `${basename(path, extname(path))}${suffix}.png`;
}
