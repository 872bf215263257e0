/** What runs and what waits, in order. */
import type { ShownJob } from '../api/types.js';
import { duration, excerpt } from '../logic/format.js';
import { promptOf } from '../logic/names.js';
import { cancel, clearQueue, move } from '../state/actions.js';
import { isTrace, queued, running } from '../state/jobs.js';
import { isOwn } from '../state/own.js';
import { show, stage } from '../state/stage.js';
import { IconButton } from '../ui/controls.js';

export function Queue() {
  const waiting = queued.value;
  const all = [...running.value, ...waiting];
  if (all.length === 0) return null;
  const own = waiting.filter(({ id }) => isOwn(id)).length;
  return (
    <section class="queue" aria-labelledby="queue-title">
      <div class="section-head">
        <h2 id="queue-title">Queue</h2>
        {own > 1 && (
          <button
            type="button"
            class="link"
            title="Cancels what this page has queued and what does not run yet"
            onClick={() => void clearQueue()}
          >
            {own < waiting.length ? 'Clear mine' : 'Clear'}
          </button>
        )}
      </div>
      <ol>
        {all.map((job) => (
          <Entry key={job.id} job={job} at={waiting.indexOf(job)} last={waiting.length - 1} />
        ))}
      </ol>
    </section>
  );
}

function Entry({ job, at, last }: { readonly job: ShownJob; readonly at: number; readonly last: number }) {
  const { progress } = job;
  const name = isTrace(job) ? 'A look inside' : excerpt(promptOf(job), 48);
  const share = progress && progress.steps > 0 ? progress.step / progress.steps : 0;
  const left = progress?.left === undefined ? '' : duration(progress.left);
  const own = isOwn(job.id);
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
        <small>{own ? state : `another’s, ${state}`}</small>
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
        label={own ? `Cancel: ${name}` : `Cancel another’s job: ${name}`}
        onClick={() => void cancel(job.id)}
      />
    </li>
  );
}
