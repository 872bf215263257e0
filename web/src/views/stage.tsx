/** The picture that is looked at, or the job that is about to become one. */
import type { ShownJob } from '../api/types.js';
import { duration, excerpt } from '../logic/format.js';
import { promptOf } from '../logic/names.js';
import { cancel, finish } from '../state/actions.js';
import { model } from '../state/form.js';
import { loaded } from '../state/jobs.js';
import { isOwn } from '../state/own.js';
import { compared, current, isOpen, pictures, preview, show, stage, staged } from '../state/stage.js';
import { Frame } from '../ui/frame.js';
import { LongText } from '../ui/long-text.js';
import { Compare } from './compare.js';
import { Details } from './details.js';
import { Warnings } from './warnings.js';

export function Stage() {
  const job = staged.value;
  if (!job) return <Empty />;
  if (compared.value && current.value) return <Compare />;
  return (
    <section class="stage" aria-label="Picture">
      <Canvas job={job} />
      {isOpen(job) ? <Progress job={job} /> : <End job={job} />}
      <Warnings job={job} />
      {pictures.value.length > 1 && <Strip />}
      {current.value && !isOpen(job) && <Details shown={current.value} />}
    </section>
  );
}

function Empty() {
  return (
    <section class="stage empty" aria-label="Picture">
      <div class="frame">
        <div class="tray">
          {loaded.value && (
            <p>
              Nothing is developed yet.
              <br />
              Say what you want to see, and press Generate.
            </p>
          )}
        </div>
      </div>
    </section>
  );
}

/** The newest that there is of a job: a finished picture, else the preview, else an empty tray. */
function Canvas({ job }: { readonly job: ShownJob }) {
  const shown = current.value;
  const frame = preview.value?.job === job.id ? preview.value.image : null;
  const url = shown?.picture.url ?? frame;
  const { width, height } = shown?.picture ?? expectedSize(job);
  const alt = shown ? `Picture: ${excerpt(promptOf(job), 120)}` : `Preview: ${excerpt(promptOf(job), 120)}`;
  // One frame for the job's life, so that the last preview stays until the picture is there.
  return <Frame key={job.id} {...{ url, alt, width, height }} />;
}

function expectedSize({ options }: ShownJob): { width: number; height: number } {
  const facts = model.value?.diffusion;
  const side = (name: 'width' | 'height'): number => {
    const asked = options[name];
    return typeof asked === 'number' ? asked : (facts?.[name] ?? 512);
  };
  return { width: side('width'), height: side('height') };
}

const PHASES = {
  load: 'Loading the model',
  encode: 'Reading',
  denoise: 'Developing',
  codes: 'Writing codes',
  decode: 'Finishing',
} as const;

export function Progress({ job }: { readonly job: ShownJob }) {
  const { progress, place, status } = job;
  const share = progress && progress.steps > 0 ? progress.step / progress.steps : 0;
  const left = progress?.left === undefined ? '' : `, ${duration(progress.left)} left`;
  const counted = progress?.phase === 'denoise' || progress?.phase === 'codes';
  const words =
    status === 'queued'
      ? place
        ? `Waiting, ${place} before it`
        : 'Next'
      : progress
        ? `${PHASES[progress.phase]}${counted ? ` ${progress.step} of ${progress.steps}` : ''}${left}`
        : 'Beginning';
  return (
    <div class="progress">
      <progress aria-label={`Progress: ${excerpt(promptOf(job), 40)}`} max={1} value={share} />
      <div class="progress-line">
        <span>{words}</span>
        <span class="spread" />
        {status === 'running' && counted && (
          <button type="button" class="link" onClick={() => void finish(job.id)}>
            Keep what is there
          </button>
        )}
        <button type="button" class="link" onClick={() => void cancel(job.id)}>
          {isOwn(job.id) ? 'Cancel' : 'Cancel another’s job'}
        </button>
      </div>
    </div>
  );
}

function End({ job }: { readonly job: ShownJob }) {
  if (job.status === 'failed')
    return (
      <p class="problem" role="alert">
        It failed. <LongText text={job.error?.message ?? ''} />
      </p>
    );
  if (job.status === 'cancelled') return <p class="hint">Stopped before it was done.</p>;
  return null;
}

/** The pictures of one job. */
function Strip() {
  return (
    <div class="strip">
      {pictures.value.map((picture, index) => (
        <button
          key={picture.name}
          type="button"
          class="thumb"
          aria-label={`Picture ${index + 1} of this job`}
          aria-pressed={stage.value?.index === index}
          onClick={() => stage.value && show(stage.value.job, index)}
        >
          <img src={picture.url} alt="" loading="lazy" />
        </button>
      ))}
    </div>
  );
}
