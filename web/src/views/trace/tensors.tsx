/** View of named tensors, which are chosen from a list and recorded by another trace. */
import { signal } from '@preact/signals';
import { useId } from 'preact/hooks';
import type { ApiJob } from '../../api/types.js';
import { digits } from '../../logic/format.js';
import { fileOf, requestTrace, type Trace, type TraceTensor } from '../../state/trace.js';
import { Bars, Line } from '../charts.js';

const MAX_TENSORS = 32;
const MAX_SHOWN = 150;

const chosen = signal<readonly string[]>([]);
const filter = signal('');

export function TensorsView({ data, job }: { readonly data: Trace; readonly job: ApiJob }) {
  return (
    <>
      {data.tensors.map((tensor) => (
        <RecordedTensor key={tensor.name} tensor={tensor} job={job} />
      ))}
      <Chooser data={data} />
    </>
  );
}

function RecordedTensor({ tensor, job }: { readonly tensor: TraceTensor; readonly job: ApiJob }) {
  const last = tensor.steps.at(-1);
  const url = tensor.picture && fileOf(job, tensor.picture);
  const notFinite = (last?.nan ?? 0) + (last?.inf ?? 0);
  return (
    <article class="tensor" aria-label={tensor.name}>
      <h2>
        <code>{tensor.name}</code> <small>[{tensor.shape.join(', ')}]</small>
      </h2>
      <dl class="figures">
        {(['min', 'max', 'mean', 'std'] as const).map((key) => (
          <div key={key}>
            <dt>{key}</dt>
            <dd>{digits(last?.[key])}</dd>
          </div>
        ))}
        <div>
          <dt>not finite</dt>
          <dd>{notFinite}</dd>
        </div>
      </dl>
      <div class="tensor-images">
        <figure>
          <Bars counts={tensor.histogram.counts} label="How often each value occurs" />
          <figcaption>
            {digits(tensor.histogram.edges[0])} to {digits(tensor.histogram.edges.at(-1))}
          </figcaption>
        </figure>
        {tensor.steps.length > 1 && (
          <figure>
            <Line values={tensor.steps.map(({ std }) => std)} label="Standard deviation at each step" />
            <figcaption>Standard deviation per step</figcaption>
          </figure>
        )}
        {url && (
          <figure>
            <img class="maps" src={url} alt={`Heat maps of ${tensor.name}`} />
            <figcaption>First channels, at the last step</figcaption>
          </figure>
        )}
      </div>
    </article>
  );
}

function Chooser({ data }: { readonly data: Trace }) {
  const id = useId();
  const all = Object.entries(data.nodes).flatMap(([module, nodes]) =>
    nodes.map(({ name, shape }) => ({ name: module === 'unet' ? name : `${module}:${name}`, shape })),
  );
  const words = filter.value.toLowerCase().split(/\s+/);
  const matches = all.filter(({ name }) => words.every((word) => name.toLowerCase().includes(word)));
  const toggle = (name: string): void => {
    const now = chosen.peek();
    chosen.value = now.includes(name)
      ? now.filter((other) => other !== name)
      : [...now, name].slice(-MAX_TENSORS);
  };
  return (
    <div class="chooser">
      <div class="field">
        <label for={id}>Search tensors by name</label>
        <input
          id={id}
          type="search"
          value={filter.value}
          placeholder={`${all.length} tensors, such as mid_block attn2`}
          onInput={(event) => {
            filter.value = event.currentTarget.value;
          }}
        />
      </div>
      <ul class="nodes">
        {matches.slice(0, MAX_SHOWN).map(({ name, shape }) => (
          <li key={name}>
            <label>
              <input type="checkbox" checked={chosen.value.includes(name)} onChange={() => toggle(name)} />
              <code>{name}</code>
              <small>[{shape.join(', ')}]</small>
            </label>
          </li>
        ))}
      </ul>
      {matches.length > MAX_SHOWN && (
        <p class="hint">and {matches.length - MAX_SHOWN} more; refine the search</p>
      )}
      <button
        type="button"
        class="primary"
        disabled={chosen.value.length === 0}
        onClick={() => void requestTrace(chosen.peek())}
      >
        Record {chosen.value.length || ''}
      </button>
    </div>
  );
}
