/** Views of a trace by sampling step and by word of the prompt. */
import { signal } from '@preact/signals';
import type { ApiJob } from '../../api/types.js';
import { digits } from '../../logic/format.js';
import { current } from '../../state/stage.js';
import { fileOf, type Trace } from '../../state/trace.js';
import { Slider } from '../../ui/numbers.js';
import { Line } from '../charts.js';
import { StripPart } from './strip-part.js';

interface ViewProps {
  readonly data: Trace;
  readonly job: ApiJob;
}

const chosenStep = signal(Number.POSITIVE_INFINITY);
const chosenWord = signal('');
const opacity = signal(0.6);

export function StepsView({ data, job }: ViewProps) {
  const last = data.steps.length - 1;
  const at = Math.min(last, chosenStep.value);
  const step = data.steps[at];
  if (!step) return <p class="hint">This trace has no steps.</p>;
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
        ends={['noise', 'image']}
        onChange={(value) => {
          chosenStep.value = value - 1;
        }}
      />
      <div class="step">
        <figure>
          <StripPart
            class="large"
            url={fileOf(job, 'previews.png')}
            place={step.preview}
            label={`Predicted image at step ${step.step + 1}`}
          />
          <figcaption>Predicted image</figcaption>
        </figure>
        <figure>
          <div class="channels">
            {channels.map((c) => (
              <StripPart
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
          <figcaption>The {step.channels} channels of the latent, each scaled to its own range</figcaption>
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
        <figcaption>Noise level per step</figcaption>
      </figure>
    </>
  );
}

export function WordsView({ data, job }: ViewProps) {
  const word = data.words.find((entry) => entry.word === chosenWord.value) ?? data.words[0];
  const shown = current.value;
  if (!word || !shown) return <p class="hint">The prompt contains no words.</p>;
  return (
    <>
      <div class="words" role="toolbar" aria-label="Words of the prompt">
        {data.words.map((entry) => (
          <button
            key={entry.word}
            type="button"
            class="plain"
            aria-pressed={entry.word === word.word}
            onClick={() => {
              chosenWord.value = entry.word;
            }}
          >
            {entry.word}
          </button>
        ))}
      </div>
      <div
        class="frame overlay"
        ref={(element) => {
          element?.style.setProperty('--ratio', `${shown.image.width} / ${shown.image.height}`);
          element?.style.setProperty('--cover', String(opacity.value));
        }}
      >
        <img src={shown.image.url} alt="" />
        <StripPart
          url={fileOf(job, 'words.png')}
          place={word}
          colours="heat"
          label={`Attention to “${word.word}”: brighter means more`}
        />
      </div>
      <Slider
        label="Opacity of the heat map"
        value={opacity.value}
        min={0}
        max={1}
        step={0.05}
        onChange={(value) => {
          opacity.value = value;
        }}
      />
    </>
  );
}
