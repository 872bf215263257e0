/** Runs grid jobs cell by cell, so that each image is available as soon as it is done. */
import { onAbort } from '../../errors.js';
import { generationFields } from '../../options/declarations/generation.js';
import { fromJson } from '../../options/json.js';
import type { Pipeline } from '../../pipelines/diffusion/pipeline.js';
import { FINISH } from '../../pipelines/finish-signal.js';
import { axisNames, indexOf } from '../../pipelines/grid/axes.js';
import type { CellOptions } from '../../pipelines/grid/cell-options.js';
import { type GridPlan, planGrid } from '../../pipelines/grid/cells.js';
import { type GridProgress, generateCells } from '../../pipelines/grid/generate-cells.js';
import type { Progress } from '../../pipelines/progress.js';
import { Warnings } from '../../warnings.js';
import { readImages, withoutImages } from '../images.js';
import type { Json } from '../json.js';
import type { Upscalers } from '../models/upscalers.js';
import { Clock } from '../run/clock.js';
import type { RunContext, RunOutcome } from '../run/context.js';
import { Previewer } from '../run/previewer.js';
import type { Job, JobProgress } from '../types.js';
import { JobCells } from './cells.js';
import { gridParts } from './options.js';

/** Progress of a cell that begins. */
const BEGIN: Progress = { phase: 'encode', step: 0, steps: 0, elapsed: 0 };

/** @throws errors of `generateCells`, ADAPTER_NOT_FOUND for an upscaler */
export async function runGrid(
  job: Job,
  pipeline: Pipeline,
  context: RunContext,
  upscalers: Pick<Upscalers, 'located'>,
): Promise<RunOutcome> {
  const { data, signal, finish, emit } = context;
  const { axes, options } = gridParts(job.options);
  const images = await readImages(job.id, job.options, data);
  const planned = planGrid({ ...fromJson(generationFields, withoutImages(options)), ...images }, axes);
  const plan = {
    ...planned,
    cells: await Promise.all(
      planned.cells.map(async (cell) => ({ ...cell, options: await upscalers.located(cell.options) })),
    ),
  };
  const store = new JobCells(job, context);
  const previewer = new Previewer(job.previews, (preview) => emit({ type: 'preview', data: preview }));
  const steps = new GridSteps(plan);
  const stopping = new AbortController();
  const stops = [
    onAbort(signal, () => stopping.abort(signal.reason)),
    onAbort(finish, () => stopping.abort(FINISH)),
  ];
  const onProgress = ({ cell: done, cells, place, progress }: GridProgress): void => {
    if (!place) return;
    const cell = indexOf(plan, place);
    const now = { ...steps.at(cell, progress ?? BEGIN), grid: { cell, done, cells } };
    emit({ type: 'progress', data: now });
    if (progress?.preview && !finish.aborted) previewer.offer(now.step, now.steps, progress.preview, cell);
  };
  let generated = 0;
  try {
    await generateCells(pipeline, plan, {
      ...{ store, signal: stopping.signal, onProgress },
      onCell: ({ reused }, index) => {
        steps.finish(index);
        if (!reused) generated++;
      },
      warnings: new Warnings((warning) => emit({ type: 'warning', data: warning })),
    });
  } finally {
    for (const stop of stops) stop();
    await previewer.end(signal.aborted || finish.aborted);
  }
  const finished = store.images.length;
  return {
    images: store.images,
    result: {
      axes: labelsOf(plan),
      ...{ generated, reused: finished - generated, missing: plan.cells.length - finished },
    },
  };
}

/** Returns the option and the labels of each axis. */
function labelsOf(plan: GridPlan): Json {
  const axes = axisNames.flatMap((name) => {
    const axis = plan[name];
    return axis
      ? [[name, { option: axis.name, labels: axis.values.map(({ label }) => label) }] as const]
      : [];
  });
  return Object.fromEntries(axes);
}

/** Steps of all cells, for the progress of the whole job. */
class GridSteps {
  private readonly clock = new Clock(1);
  private readonly steps: readonly number[];
  private readonly total: number;
  private done = 0;

  constructor(plan: GridPlan) {
    this.steps = plan.cells.map(({ options }) => stepsOf(options));
    this.total = this.steps.reduce((sum, steps) => sum + steps, 0);
  }

  finish(cell: number): void {
    this.done += this.steps[cell]!;
  }

  at(cell: number, { phase, step, steps }: Progress): JobProgress {
    const share = phase === 'decode' ? 1 : phase === 'denoise' && steps > 0 ? Math.min(1, step / steps) : 0;
    const done = this.done + Math.round(share * this.steps[cell]!);
    return this.clock.at(0, { phase, step: done, steps: this.total });
  }
}

/** Returns the approximate number of steps of a cell; a model's own default counts as 20. */
function stepsOf({ steps = 20, sigmas, hires }: CellOptions): number {
  const first = sigmas?.length ?? steps;
  return first + (hires ? (hires.steps ?? first) : 0);
}
