/** The queue: running and queued jobs, in order. */
import type { ApiJob } from '../api/types.js';
import { duration, excerpt } from '../logic/format.js';
import { promptOf } from '../logic/names.js';
import { cancel, clearQueue, move } from '../state/actions.js';
import { isTrace, queued, running } from '../state/jobs.js';
import { isOwnJob } from '../state/own-jobs.js';
import { show, stage } from '../state/stage.js';
import { IconButton } from '../ui/controls.js';

export function Queue() {
  const queuedJobs = queued.value;
  const all = [...running.value, ...queuedJobs];
  if (all.length === 0) return null;
  const ownCount = queuedJobs.filter(({ id }) => isOwnJob(id)).length;
  return (
    <section class="queue" aria-labelledby="queue-title">
      <div class="section-head">
        <h2 id="queue-title">Queue</h2>
        {ownCount > 1 && (
          <button
            type="button"
            class="link"
            title="Cancel the queued jobs of this page"
            onClick={() => void clearQueue()}
          >
            {ownCount < queuedJobs.length ? 'Clear mine' : 'Clear'}
          </button>
        )}
      </div>
      <ol>
        {all.map((job) => (
          <Entry key={job.id} job={job} at={queuedJobs.indexOf(job)} last={queuedJobs.length - 1} />
        ))}
      </ol>
    </section>
  );
}

function Entry({ job, at, last }: { readonly job: ApiJob; readonly at: number; readonly last: number }) {
  const { progress } = job;
  const name = isTrace(job) ? 'Inspection' : excerpt(promptOf(job), 48);
  const share = progress && progress.steps > 0 ? progress.step / progress.steps : 0;
  const left = progress?.left === undefined ? '' : duration(progress.left);
  const isOwn = isOwnJob(job.id);
  const state = at < 0 ? left || 'running' : job.model;
  return (
    <li
      class={at < 0 ? 'now' : ''}
      ref={(element) => element?.style.setProperty('--done', `${share * 100}%`)}
    >
      <button
        type="button"
        class="queue-name"
        title={isTrace(job) ? name : excerpt(promptOf(job), 300)}
        aria-current={stage.value?.job === job.id ? 'true' : undefined}
        onClick={() => !isTrace(job) && show(job.id)}
      >
        {name}
        <small>{isOwn ? state : `other client, ${state}`}</small>
      </button>
      {at >= 0 && (
        <>
          <IconButton
            icon="up"
            label={`Earlier: ${name}`}
            disabled={at === 0}
            onClick={() => void move(job.id, at - 1)}
          />
          <IconButton
            icon="down"
            label={`Later: ${name}`}
            disabled={at === last}
            onClick={() => void move(job.id, at + 1)}
          />
        </>
      )}
      <IconButton
        icon="close"
        label={isOwn ? `Cancel: ${name}` : `Cancel another client’s job: ${name}`}
        onClick={() => void cancel(job.id)}
      />
    </li>
  );
}
