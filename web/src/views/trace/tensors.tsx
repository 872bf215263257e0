/** Any named tensor: chosen from a list, measured by another look. */
import { signal } from '@preact/signals';
import { useId } from 'preact/hooks';
import type { ShownJob } from '../../api/types.js';
import { digits } from '../../logic/format.js';
import { askLook, fileOf, type Seen, type SeenTensor } from '../../state/trace.js';
import { Bars, Line } from '../charts.js';

const MOST = 32;
const SHOWN = 150;

const wanted = signal<readonly string[]>([]);
const filter = signal('');

export function TensorsView({ data, job }: { readonly data: Seen; readonly job: ShownJob }) {
  return (
    <>
      {data.tensors.map((tensor) => (
        <Measured key={tensor.name} tensor={tensor} job={job} />
      ))}
      <Chooser data={data} />
    </>
  );
}

function Measured({ tensor, job }: { readonly tensor: SeenTensor; readonly job: ShownJob }) {
  const last = tensor.steps.at(-1);
  const url = tensor.picture && fileOf(job, tensor.picture);
  const broken = (last?.nan ?? 0) + (last?.inf ?? 0);
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
          <dd>{broken}</dd>
        </div>
      </dl>
      <div class="tensor-pictures">
        <figure>
          <Bars counts={tensor.histogram.counts} label="How often each value occurs" />
          <figcaption>
            {digits(tensor.histogram.edges[0])} to {digits(tensor.histogram.edges.at(-1))}
          </figcaption>
        </figure>
        {tensor.steps.length > 1 && (
          <figure>
            <Line values={tensor.steps.map(({ std }) => std)} label="Standard deviation at each step" />
            <figcaption>Standard deviation, step by step</figcaption>
          </figure>
        )}
        {url && (
          <figure>
            <img class="maps" src={url} alt={`Heat maps of ${tensor.name}`} />
            <figcaption>Its first channels, at the last step</figcaption>
          </figure>
        )}
      </div>
    </article>
  );
}

function Chooser({ data }: { readonly data: Seen }) {
  const id = useId();
  const all = Object.entries(data.nodes).flatMap(([module, nodes]) =>
    nodes.map(({ name, shape }) => ({ name: module === 'unet' ? name : `${module}:${name}`, shape })),
  );
  const words = filter.value.toLowerCase().split(/\s+/);
  const found = all.filter(({ name }) => words.every((word) => name.toLowerCase().includes(word)));
  const toggle = (name: string): void => {
    const now = wanted.peek();
    wanted.value = now.includes(name) ? now.filter((one) => one !== name) : [...now, name].slice(-MOST);
  };
  return (
    <div class="chooser">
      <div class="field">
        <label for={id}>Find a tensor by its name</label>
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
        {found.slice(0, SHOWN).map(({ name, shape }) => (
          <li key={name}>
            <label>
              <input type="checkbox" checked={wanted.value.includes(name)} onChange={() => toggle(name)} />
              <code>{name}</code>
              <small>[{shape.join(', ')}]</small>
            </label>
          </li>
        ))}
      </ul>
      {found.length > SHOWN && <p class="hint">and {found.length - SHOWN} more: narrow the search</p>}
      <button
        type="button"
        class="primary"
        disabled={wanted.value.length === 0}
        onClick={() => void askLook(wanted.peek())}
      >
        Measure {wanted.value.length || ''}
      </button>
    </div>
  );
}
