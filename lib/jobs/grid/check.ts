/** Validates the options of a grid job before it is queued. */
import type { z } from 'zod';
import { SafelightError } from '../../errors.js';
import { generationFields } from '../../options/declarations/generation.js';
import { fromJson, toJson } from '../../options/json.js';
import { type Axis, parseAxis } from '../../pipelines/grid/axis.js';
import type { CellOptions } from '../../pipelines/grid/cell-options.js';
import { planGrid } from '../../pipelines/grid/cells.js';
import { withoutImages } from '../images.js';
import { describeIssues, type JobLimits } from '../schemas.js';
import type { JobOptions } from '../types.js';
import { gridParts } from './options.js';

/** Takes the place of an input image, which is read when the job is stored. */
const PLACEHOLDER = new Uint8Array();

/**
 * Checks the axes, and the options of each cell as those of a job of one image.
 * @param cell schema of the options of a cell other than images
 * @throws INVALID_OPTION naming the axis or the cell; also for an axis of files and for more cells than a job may have
 *   images
 */
export function checkGrid(options: JobOptions, cell: z.ZodType, limits: JobLimits): void {
  const parts = gridParts(options);
  for (const [name, axis] of Object.entries(parts.axes)) checkNotLocal(name, parseAxis(name, axis));
  const base: CellOptions = fromJson(generationFields, withoutImages(parts.options));
  const plan = planGrid({ ...base, ...placeholders(parts.options) }, parts.axes, limits.maxCount);
  for (const { x, y, z, options: own } of plan.cells) {
    const checked = cell.safeParse(withoutImages(toJson(own)));
    if (checked.success) continue;
    const values = Object.entries({ x, y, z }).flatMap(([name, at]) => {
      const value = plan[name as 'x' | 'y' | 'z']?.values[at];
      return value ? [value.label] : [];
    });
    throw new SafelightError(
      'INVALID_OPTION',
      `Invalid options of the cell ${values.join(', ')}: ${describeIssues(checked.error.issues)}`,
    );
  }
}

/** @throws INVALID_OPTION */
function checkNotLocal(name: string, axis: Axis): void {
  if (!axis.local) return;
  const hint = axis.name === 'lora' ? '; vary a LoRA with prompt-sr=<lora:NAME:0.5>,<lora:NAME:1>' : '';
  throw new SafelightError(
    'INVALID_OPTION',
    `${name}: the values of ${axis.name} are files, which requests over HTTP cannot name${hint}`,
  );
}

function placeholders({ init, mask }: JobOptions): Pick<CellOptions, 'init' | 'mask'> {
  return {
    ...(init === undefined ? {} : { init: PLACEHOLDER }),
    ...(mask === undefined ? {} : { mask: PLACEHOLDER }),
  };
}
