/** Inspection of an image: latents, attention maps, tensors, code indices and discriminator patches. */
import { excerpt } from '../../logic/format.js';
import { promptOf } from '../../logic/names.js';
import { current, isActive } from '../../state/stage.js';
import {
  requestScore,
  requestTrace,
  scoreJob,
  scoreResult,
  scoringModel,
  trace,
  traceJob,
  traceView,
  type View,
  views,
} from '../../state/trace.js';
import { Progress } from '../stage.js';
import { CodeIndicesView, PatchesView } from './code-indices.js';
import { StepsView, WordsView } from './steps.js';
import { TensorsView } from './tensors.js';

const VIEWS: Readonly<Record<View, readonly [string, string]>> = {
  steps: ['Steps', 'The latent at each sampling step, and the image that the model predicts from it.'],
  words: [
    'Words',
    'Areas of the image in which the model attended to each word of the prompt, over all steps.',
  ],
  tensors: ['Tensors', 'Statistics of named tensors inside the model.'],
  codes: ['Codes', 'The image as a grid of VQGAN code indices, and its reconstruction.'],
  patches: ['Patches', 'Areas of the image that look real or generated to a patch discriminator.'],
};

export function InspectView() {
  const shown = current.value;
  return (
    <>
      <div class="panel">
        <Tabs />
        <p class="hint">{VIEWS[traceView.value][1]}</p>
        {shown ? (
          <div class="inspected-image">
            <img src={`${shown.image.url}?width=256`} alt="" />
            <p>{excerpt(promptOf(shown.job), 120)}</p>
          </div>
        ) : (
          <p class="hint">Choose a finished image from the gallery.</p>
        )}
      </div>
      <div class="center">{shown && <Panel view={traceView.value} />}</div>
    </>
  );
}

function Tabs() {
  const at = views.indexOf(traceView.value);
  return (
    <div
      class="tabs"
      role="tablist"
      aria-label="View"
      aria-orientation="vertical"
      onKeyDown={(event) => {
        const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
        if (!step) return;
        event.preventDefault();
        traceView.value = views[(at + step + views.length) % views.length]!;
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
      {isVqganView ? <VqganPanel view={view} /> : <TracePanel view={view} />}
    </section>
  );
}

/** Views of a trace. A trace is started only when the user requests it. */
function TracePanel({ view }: { readonly view: View }) {
  const job = traceJob.value;
  if (current.value && current.value.job.type === 'sketch')
    return <p class="hint">An image generated from a sketch has no sampling steps; see its codes.</p>;
  if (current.value && current.value.job.type === 'upscale')
    return <p class="hint">An upscaled image has no sampling steps; choose the original.</p>;
  if (isActive(job)) return <Progress job={job!} />;
  if (!trace.value) {
    return (
      <div class="start-job">
        {job?.status === 'failed' && <p class="problem">The job failed. {job.error?.message}</p>}
        <p class="hint">
          The image is generated again with the same settings, and intermediate results are recorded. The job
          is added to the queue.
        </p>
        <button type="button" class="primary" onClick={() => void requestTrace()}>
          Inspect
        </button>
      </div>
    );
  }
  const { data } = trace.value;
  if (view === 'steps') return <StepsView data={data} job={job!} />;
  return view === 'words' ? <WordsView data={data} job={job!} /> : <TensorsView data={data} job={job!} />;
}

function VqganPanel({ view }: { readonly view: View }) {
  const job = scoreJob.value;
  if (!scoringModel.value)
    return (
      <p class="hint">
        This requires a VQGAN model. Start the server with one: <code>safelight serve --model NAME=PATH</code>
      </p>
    );
  if (isActive(job)) return <Progress job={job!} />;
  if (!scoreResult.value) {
    return (
      <div class="start-job">
        {job?.status === 'failed' && <p class="problem">The job failed. {job.error?.message}</p>}
        <p class="hint">The image is encoded and scored by the model {scoringModel.value.name}.</p>
        <button type="button" class="primary" onClick={() => void requestScore()}>
          Encode the image
        </button>
      </div>
    );
  }
  const { data } = scoreResult.value;
  return view === 'codes' ? (
    <CodeIndicesView data={data} job={job!} />
  ) : (
    <PatchesView data={data} job={job!} />
  );
}
