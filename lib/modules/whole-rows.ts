/**
 * ComfyUI-GGUF quantizes convolutions and narrow matrices in blocks that go on from row to row, which no operation can use as they are.
 * They are written out as f16 in a file that lives as long as the loading.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { WeightPlan, WeightPlanEntry } from '../binding/types.js';
import { writeWeights } from '../binding/write-weights.js';
import { sameShape } from '../checkpoint/weights/storage.js';
import { SafelightError } from '../errors.js';

interface Options {
  readonly threads?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Runs `use` with a plan whose entries all have rows of whole blocks: the plan itself if they do already.
 * @throws FILE_NOT_WRITTEN, ABORTED, and what `use` throws
 */
export async function withWholeRows<T>(
  plan: WeightPlan,
  { threads = 0, signal }: Options,
  use: (plan: WeightPlan) => Promise<T>,
): Promise<T> {
  const broken = plan.entries.filter(goesBeyondRows);
  if (broken.length === 0) return use(plan);
  const folder = await temporaryFolder();
  try {
    const path = join(folder, 'rows.f16');
    const offsets = layOut(broken);
    await writeFile(path, '');
    const entries = broken.map(
      ({ name, source }): WeightPlanEntry => ({ name, shape: source.shape, source, storage: 'f16' }),
    );
    await writeWeights({ path, plan: { files: plan.files, entries }, offsets, threads }, { signal });
    const places = new Map(broken.map((entry, i) => [entry, offsets[i]!]));
    return await use({
      files: [...plan.files, path],
      entries: plan.entries.map((entry) => {
        const offset = places.get(entry);
        if (offset === undefined) return entry;
        const length = bytesOf(entry);
        const source = { file: plan.files.length, offset, length, type: 'F16' as const, shape: entry.shape };
        return { ...entry, source };
      }),
    });
  } finally {
    // Where it is still mapped the system keeps it until it is not.
    await rm(folder, { recursive: true, force: true }).catch(() => undefined);
  }
}

/** As `ComponentWeights.plan` marks it: the source is rows of one block each, whatever the parameter is. */
function goesBeyondRows({ shape, source, transform }: WeightPlanEntry): boolean {
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
  return 2 * shape.reduce((all, side) => all * side, 1);
}

async function temporaryFolder(): Promise<string> {
  try {
    return await mkdtemp(join(tmpdir(), 'safelight-rows-'));
  } catch (error) {
    throw new SafelightError(
      'FILE_NOT_WRITTEN',
      `No file can be made in ${tmpdir()}, where weights of ComfyUI-GGUF are written out while they are loaded: ${(error as Error).message}; set TMPDIR to a folder with room`,
      { cause: error },
    );
  }
}
