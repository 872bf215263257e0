/** How a picture came to be: latents, attention, tensors, codes, patches. */
import { excerpt } from '../../logic/format.js';
import { promptOf } from '../../logic/names.js';
import { current, isOpen } from '../../state/stage.js';
import {
  askLook,
  askScore,
  judge,
  look,
  score,
  scored,
  seen,
  traceView,
  type View,
  views,
} from '../../state/trace.js';
import { Progress } from '../stage.js';
import { CodeIndicesView, PatchesView } from './code-indices.js';
import { StepsView, WordsView } from './steps.js';
import { TensorsView } from './tensors.js';

const VIEWS: Readonly<Record<View, readonly [string, string]>> = {
  steps: ['Steps', 'The latent at each step of the sampler, and the picture that the model sees in it.'],
  words: ['Words', 'Where in the picture the model attended to each word of the prompt, over all steps.'],
  tensors: ['Tensors', 'Numbers about any named tensor inside the model.'],
  codes: ['Codes', 'The picture as a grid of codes: what a VQGAN keeps of it.'],
  patches: ['Patches', 'Where the picture looks real to a patch discriminator, and where it looks made.'],
};

export function Inside() {
  const now = current.value;
  return (
    <>
      <div class="panel">
        <Tabs />
        <p class="hint">{VIEWS[traceView.value][1]}</p>
        {now ? (
          <div class="looked-at">
            <img src={`${now.picture.url}?width=256`} alt="" />
            <p>{excerpt(promptOf(now.job), 120)}</p>
          </div>
        ) : (
          <p class="hint">Choose a finished picture from the gallery.</p>
        )}
      </div>
      <div class="center">{now && <Panel view={traceView.value} />}</div>
    </>
  );
}

function Tabs() {
  const at = views.indexOf(traceView.value);
  return (
    <div
      class="tabs"
      role="tablist"
      aria-label="What to look at"
      aria-orientation="vertical"
      onKeyDown={(event) => {
        const by = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
        if (!by) return;
        event.preventDefault();
        traceView.value = views[(at + by + views.length) % views.length]!;
        event.currentTarget.querySelectorAll('button')[views.indexOf(traceView.peek())]?.focus();
      }}
    >
      {views.map((view) => (
        <button
          key={view}
          type="button"
          role="tab"
          id={`tab-${view}`}
          aria-controls="inside-panel"
          aria-selected={traceView.value === view}
          tabIndex={traceView.value === view ? 0 : -1}
          onClick={() => {
            traceView.value = view;
          }}
        >
          {VIEWS[view][0]}
        </button>
      ))}
    </div>
  );
}

function Panel({ view }: { readonly view: View }) {
  const isVqganView = view === 'codes' || view === 'patches';
  return (
    <section class="inside" role="tabpanel" id="inside-panel" aria-labelledby={`tab-${view}`}>
      {isVqganView ? <VqganPanel view={view} /> : <OfRun view={view} />}
    </section>
  );
}

/** What has to be computed first is asked for, never begun unasked. */
function OfRun({ view }: { readonly view: View }) {
  const job = look.value;
  if (current.value && current.value.job.type === 'sketch')
    return (
      <p class="hint">A drawing’s picture is written code by code and has no steps: look at its codes.</p>
    );
  if (isOpen(job)) return <Progress job={job!} />;
  if (!seen.value) {
    return (
      <div class="ask">
        {job?.status === 'failed' && <p class="problem">It failed. {job.error?.message}</p>}
        <p class="hint">
          The picture is made once more with the same settings, and what happens on the way is written down.
          It waits its turn in the queue.
        </p>
        <button type="button" class="primary" onClick={() => void askLook()}>
          Look inside
        </button>
      </div>
    );
  }
  const { data } = seen.value;
  if (view === 'steps') return <StepsView data={data} job={job!} />;
  return view === 'words' ? <WordsView data={data} job={job!} /> : <TensorsView data={data} job={job!} />;
}

function VqganPanel({ view }: { readonly view: View }) {
  const job = score.value;
  if (!judge.value)
    return (
      <p class="hint">
        This needs a model of codes. Start the server with one: <code>safelight serve --model NAME=PATH</code>
      </p>
    );
  if (isOpen(job)) return <Progress job={job!} />;
  if (!scored.value) {
    return (
      <div class="ask">
        {job?.status === 'failed' && <p class="problem">It failed. {job.error?.message}</p>}
        <p class="hint">The picture is shown to the model {judge.value.name}.</p>
        <button type="button" class="primary" onClick={() => void askScore()}>
          Encode it
        </button>
      </div>
    );
  }
  const { data } = scored.value;
  return view === 'codes' ? (
    <CodeIndicesView data={data} job={job!} />
  ) : (
    <PatchesView data={data} job={job!} />
  );
}
