/** Steps and words of a look inside. */
import { signal } from '@preact/signals';
import type { ShownJob } from '../../api/types.js';
import { digits } from '../../logic/format.js';
import { current } from '../../state/stage.js';
import { fileOf, type Seen } from '../../state/trace.js';
import { Slider } from '../../ui/numbers.js';
import { Line } from '../charts.js';
import { Part } from './part.js';

interface ViewProps {
  readonly data: Seen;
  readonly job: ShownJob;
}

const chosenStep = signal(Number.POSITIVE_INFINITY);
const chosenWord = signal('');
const cover = signal(0.6);

export function StepsView({ data, job }: ViewProps) {
  const last = data.steps.length - 1;
  const at = Math.min(last, chosenStep.value);
  const step = data.steps[at];
  if (!step) return <p class="hint">This look has no steps.</p>;
  const channels = Array.from({ length: step.channels }, (_, c) => c);
  const width = (step.latent?.width ?? step.channels) / step.channels;
  return (
    <>
      <Slider
        label="Step"
        value={at + 1}
        min={1}
        max={last + 1}
        step={1}
        ends={['noise', 'picture']}
        onChange={(value) => {
          chosenStep.value = value - 1;
        }}
      />
      <div class="step">
        <figure>
          <Part
            class="large"
            url={fileOf(job, 'previews.png')}
            place={step.preview}
            label={`What the model sees at step ${step.step + 1}`}
          />
          <figcaption>What the model sees in it</figcaption>
        </figure>
        <figure>
          <div class="channels">
            {channels.map((c) => (
              <Part
                key={c}
                url={fileOf(job, 'latents.png')}
                place={step.latent}
                left={c * width}
                width={width}
                colours="heat"
                label={`Channel ${c + 1} of the latent at step ${step.step + 1}`}
              />
            ))}
          </div>
          <figcaption>The latent’s {step.channels} channels, each in its own range</figcaption>
        </figure>
      </div>
      <dl class="figures">
        <div>
          <dt>Step</dt>
          <dd>
            {step.step + 1} of {step.steps}
            {step.pass > 1 && ', second pass'}
          </dd>
        </div>
        <div>
          <dt>Noise (σ)</dt>
          <dd>{digits(step.sigma)}</dd>
        </div>
        {step.stats.latent.map((stats, c) => (
          <div key={c}>
            <dt>Channel {c + 1}</dt>
            <dd>
              {digits(stats.mean)} ± {digits(stats.std)}
            </dd>
          </div>
        ))}
      </dl>
      <figure>
        <Line values={data.steps.map(({ sigma }) => sigma)} at={at} label="Noise level at each step" />
        <figcaption>Noise level, step by step</figcaption>
      </figure>
    </>
  );
}

export function WordsView({ data, job }: ViewProps) {
  const word = data.words.find((one) => one.word === chosenWord.value) ?? data.words[0];
  const now = current.value;
  if (!word || !now) return <p class="hint">The prompt has no words to follow.</p>;
  return (
    <>
      <div class="words" role="toolbar" aria-label="Words of the prompt">
        {data.words.map((one) => (
          <button
            key={one.word}
            type="button"
            class="plain"
            aria-pressed={one.word === word.word}
            onClick={() => {
              chosenWord.value = one.word;
            }}
          >
            {one.word}
          </button>
        ))}
      </div>
      <div
        class="frame overlay"
        ref={(element) => {
          element?.style.setProperty('--ratio', `${now.picture.width} / ${now.picture.height}`);
          element?.style.setProperty('--cover', String(cover.value));
        }}
      >
        <img src={now.picture.url} alt="" />
        <Part
          url={fileOf(job, 'words.png')}
          place={word}
          colours="heat"
          label={`Where “${word.word}” went: the brighter, the more attention`}
        />
      </div>
      <Slider
        label="Heat over picture"
        value={cover.value}
        min={0}
        max={1}
        step={0.05}
        onChange={(value) => {
          cover.value = value;
        }}
      />
    </>
  );
}
