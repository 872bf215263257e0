/**
 * ComfyUI-GGUF quantizes convolutions and narrow matrices in blocks that span several rows, which no ggml operation
 * accepts. Such weights are converted to f16 in a temporary file that is deleted when loading ends.
 */
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { WeightPlan, WeightPlanEntry } from '../binding/types.js';
import { writeWeights } from '../binding/write-weights.js';
import { sameShape } from '../checkpoint/weights/storage.js';
import { SafelightError } from '../errors.js';
import { removeFile } from '../files/replace.js';
import { elementCount } from '../tensor/shape.js';

interface Options {
  readonly threads?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Runs `use` with a plan in which no block spans several rows: the given plan if that holds already.
 * @throws FILE_NOT_WRITTEN, ABORTED, and what `use` throws
 */
export async function withRowBlocks<T>(
  plan: WeightPlan,
  { threads = 0, signal }: Options,
  use: (plan: WeightPlan) => Promise<T>,
): Promise<T> {
  const spanning = plan.entries.filter(spansRows);
  if (spanning.length === 0) return use(plan);
  const folder = await temporaryFolder();
  try {
    const path = join(folder, 'rows.f16');
    const offsets = layOut(spanning);
    await writeFile(path, '');
    const entries = spanning.map(
      ({ name, source }): WeightPlanEntry => ({ name, shape: source.shape, source, storage: 'f16' }),
    );
    await writeWeights({ path, plan: { files: plan.files, entries }, offsets, threads }, { signal });
    const newOffsets = new Map(spanning.map((entry, i) => [entry, offsets[i]!]));
    return await use({
      files: [...plan.files, path],
      entries: plan.entries.map((entry) => {
        const offset = newOffsets.get(entry);
        if (offset === undefined) return entry;
        const length = bytesOf(entry);
        const source = { file: plan.files.length, offset, length, type: 'F16' as const, shape: entry.shape };
        return { ...entry, source };
      }),
    });
  } finally {
    // If the file is still mapped, the system frees it when the mapping ends.
    await removeFile(folder, { recursive: true, force: true }).catch(() => undefined);
  }
}

/**
 * `ComponentWeights.plan` marks such entries by a source shape of one block per row that differs from the parameter's
 * shape.
 */
function spansRows({ shape, source, transform }: WeightPlanEntry): boolean {
  return transform === undefined && source.strides === undefined && !sameShape(source.shape, shape);
}

function layOut(entries: readonly WeightPlanEntry[]): number[] {
  let size = 0;
  return entries.map((entry) => {
    const offset = size;
    size += Math.ceil(bytesOf(entry) / 64) * 64;
    return offset;
  });
}

function bytesOf({ shape }: WeightPlanEntry): number {
  return 2 * elementCount(shape);
}

async function temporaryFolder(): Promise<string> {
  try {
    return await mkdtemp(join(tmpdir(), 'safelight-rows-'));
  } catch (error) {
    throw new SafelightError(
      'FILE_NOT_WRITTEN',
      `Could not create a temporary file in ${tmpdir()} for converting weights of ComfyUI-GGUF: ${(error as Error).message}; set TMPDIR to a folder with free space`,
      { cause: error },
    );
  }
}
