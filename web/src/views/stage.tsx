/** The stage: the current image, or the job that is generating it. */
import type { ApiJob } from '../api/types.js';
import { duration, excerpt } from '../logic/format.js';
import { promptOf } from '../logic/names.js';
import { cancel, finish } from '../state/actions.js';
import { model } from '../state/form.js';
import { loaded } from '../state/jobs.js';
import { isOwnJob } from '../state/own-jobs.js';
import {
  compared,
  current,
  images,
  isActive,
  preview,
  show,
  stage,
  staged,
  upscaledFrom,
} from '../state/stage.js';
import { Frame } from '../ui/frame.js';
import { LongText } from '../ui/long-text.js';
import { Compare } from './compare.js';
import { Details } from './details.js';
import { CellPlace, GridActions } from './grid/grid-actions.js';
import { GridTables } from './grid/grid-tables.js';
import { Warnings } from './warnings.js';

export function Stage() {
  const job = staged.value;
  if (!job) return <Empty />;
  if (compared.value && current.value) return <Compare />;
  const isGrid = job.type === 'grid';
  const isOverview = isGrid && !current.value;
  return (
    <section class="stage" aria-label={isOverview ? 'Grid' : 'Image'}>
      {isOverview ? <GridTables job={job} /> : <Canvas job={job} />}
      {isGrid && !isOverview && <CellPlace shown={current.value!} />}
      {isActive(job) ? <Progress job={job} /> : <End job={job} />}
      <Warnings job={job} />
      {isOverview && <GridActions job={job} />}
      {images.value.length > 1 && !isGrid && <Strip />}
      {current.value && (isGrid || !isActive(job)) && <Details shown={current.value} />}
    </section>
  );
}

function Empty() {
  return (
    <section class="stage empty" aria-label="Image">
      <div class="frame">
        <div class="tray">
          {loaded.value && (
            <p>
              No images yet.
              <br />
              Enter a prompt and press Generate.
            </p>
          )}
        </div>
      </div>
    </section>
  );
}

/** Shows the finished image of a job, or else its newest preview or the image to upscale, or else an empty tray. */
function Canvas({ job }: { readonly job: ApiJob }) {
  const shown = current.value;
  const frame = preview.value?.job === job.id ? preview.value.image : null;
  const original = upscaledFrom.value?.job === job.id ? upscaledFrom.value.image : undefined;
  const url = shown?.image.url ?? frame ?? original?.url ?? null;
  const { width, height } = shown?.image ?? original ?? expectedSize(job);
  const prompt = excerpt(promptOf(job, shown?.image), 120);
  const alt = `${shown ? 'Image' : 'Preview'}: ${prompt}`;
  // One frame per job, so that the last preview stays until the image is loaded.
  return <Frame key={job.id} {...{ url, alt, width, height }} />;
}

function expectedSize({ options }: ApiJob): { width: number; height: number } {
  const defaults = model.value?.diffusion;
  const side = (name: 'width' | 'height'): number => {
    const requested = options[name];
    return typeof requested === 'number' ? requested : (defaults?.[name] ?? 512);
  };
  return { width: side('width'), height: side('height') };
}

const PHASES = {
  load: 'Loading the model',
  encode: 'Encoding',
  denoise: 'Denoising step',
  codes: 'Sampling code index',
  decode: 'Decoding',
  upscale: 'Upscaling tile',
} as const;

export function Progress({ job }: { readonly job: ApiJob }) {
  const { progress, place, status } = job;
  const share = progress && progress.steps > 0 ? progress.step / progress.steps : 0;
  const left = progress?.left === undefined ? '' : `, ${duration(progress.left)} left`;
  const isSampling = progress?.phase === 'denoise' || progress?.phase === 'codes';
  const isCounted = isSampling || progress?.phase === 'upscale';
  const grid = progress?.grid;
  const statusText =
    status === 'queued'
      ? place
        ? `Queued, ${place} ahead`
        : 'Next in the queue'
      : progress
        ? grid
          ? `Image ${grid.done + 1} of ${grid.cells}${left}`
          : `${PHASES[progress.phase]}${isCounted ? ` ${progress.step} of ${progress.steps}` : ''}${left}`
        : 'Starting';
  return (
    <div class="progress">
      <progress aria-label={`Progress: ${excerpt(promptOf(job), 40)}`} max={1} value={share} />
      <div class="progress-line">
        <span>{statusText}</span>
        <span class="spread" />
        {status === 'running' && (isSampling || grid) && (
          <button type="button" class="link" onClick={() => void finish(job.id)}>
            Finish now
          </button>
        )}
        <button type="button" class="link" onClick={() => void cancel(job.id)}>
          {isOwnJob(job.id) ? 'Cancel' : 'Cancel another client’s job'}
        </button>
      </div>
    </div>
  );
}

function End({ job }: { readonly job: ApiJob }) {
  if (job.status === 'failed')
    return (
      <p class="problem" role="alert">
        The job failed. <LongText text={job.error?.message ?? ''} />
      </p>
    );
  if (job.status === 'cancelled') return <p class="hint">The job was cancelled.</p>;
  return null;
}

/** Thumbnails of the images of one job. */
function Strip() {
  return (
    <div class="strip">
      {images.value.map((image, index) => (
        <button
          key={image.name}
          type="button"
          class="thumb"
          aria-label={`Image ${index + 1} of this job`}
          aria-pressed={stage.value?.index === index}
          onClick={() => stage.value && show(stage.value.job, index)}
        >
          <img src={image.url} alt="" loading="lazy" />
        </button>
      ))}
    </div>
  );
}
