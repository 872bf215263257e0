/** How large, how many, and by which chance. */
import { imageFields } from '../../../lib/options/declarations/image.js';
import { seedFields, variationFields } from '../../../lib/options/declarations/noise.js';
import type { ModelAbout } from '../api/types.js';
import { plain } from '../logic/format.js';
import { limitsFor, limitsOf } from '../logic/limits.js';
import { imagesOf } from '../logic/settings.js';
import { model, set, settings } from '../state/form.js';
import { about } from '../state/session.js';
import { Fold, IconButton } from '../ui/controls.js';
import { NumberField, Slider } from '../ui/numbers.js';

export function SizeAndNumber() {
  const { width, height, seed } = settings.value;
  const facts = model.value?.diffusion;
  const [w, h] = [width ?? facts?.width, height ?? facts?.height];
  const size = w && h ? `${w} × ${h}` : 'model’s size';
  const images = imagesOf(settings.value);
  const several = images > 1 ? `, ${images} pictures` : '';
  const fixed = seed === null ? '' : `, seed ${seed}`;
  const step = facts?.factor ?? 8;
  const side = { min: step, max: limitsFor(about.value).maxSide, step, optional: true };
  return (
    <Fold title="Size and number" summary={size + several + fixed}>
      <Shapes facts={facts} />
      <div class="pair">
        <NumberField
          {...side}
          label="Width"
          value={width}
          fallback={facts?.width}
          onChange={(value) => set({ width: value })}
        />
        <NumberField
          {...side}
          label="Height"
          value={height}
          fallback={facts?.height}
          onChange={(value) => set({ height: value })}
        />
      </div>
      <Batches />
      <Seed />
    </Fold>
  );
}

/** As many images as the server allows: the batch size comes first, the count takes what is left. */
function Batches() {
  const { count, batch } = settings.value;
  const most = limitsOf(imageFields.count, about.value).max;
  const images = imagesOf(settings.value);
  return (
    <div class="field">
      <div class="pair">
        <NumberField
          label="Batch count"
          value={count}
          min={1}
          max={Math.max(1, Math.floor(most / (batch ?? 1)))}
          onChange={(value) => set({ count: value ?? 1 })}
        />
        <NumberField
          label="Batch size"
          value={batch}
          min={1}
          max={Math.min(limitsOf(imageFields.batch, about.value).max, most)}
          optional
          fallback="auto"
          onChange={(value) =>
            set({ batch: value, count: Math.max(1, Math.min(count, Math.floor(most / (value ?? 1)))) })
          }
        />
      </div>
      {images > 1 && (
        <p class="hint">
          {images} pictures
          {batch === null ? '' : batch === 1 ? ', one after the other' : `, ${batch} at a time`}
        </p>
      )}
    </div>
  );
}

/** Common proportions, at about the number of pixels the model is best at. */
function Shapes({ facts }: { readonly facts: ModelAbout['diffusion'] | undefined }) {
  if (!facts) return null;
  const area = facts.width * facts.height;
  const onGrid = (side: number): number => Math.round(side / facts.factor) * facts.factor;
  const shapes = [
    ['Square', 1],
    ['Portrait', 2 / 3],
    ['Landscape', 3 / 2],
  ] as const;
  return (
    <fieldset class="shapes" aria-label="Proportions">
      {shapes.map(([name, ratio]) => {
        const size = { width: onGrid(Math.sqrt(area * ratio)), height: onGrid(Math.sqrt(area / ratio)) };
        const { width, height } = settings.value;
        const chosen = (width ?? facts.width) === size.width && (height ?? facts.height) === size.height;
        return (
          <button key={name} type="button" class="shape" aria-pressed={chosen} onClick={() => set(size)}>
            <span class={`shape-${name.toLowerCase()}`} aria-hidden="true" />
            {name}
          </button>
        );
      })}
    </fieldset>
  );
}

interface SeedFieldProps {
  readonly label: string;
  readonly value: number | null;
  readonly onChange: (value: number | null) => void;
}

/** Empty and -1, as stable-diffusion-webui has it, are a new seed for each job. */
function SeedField({ label, value, onChange }: SeedFieldProps) {
  return (
    <div class="with-button">
      <NumberField
        label={label}
        value={value}
        {...limitsOf(seedFields.seed, about.value)}
        optional
        fallback="random"
        onChange={(seed) => onChange(seed === -1 ? null : seed)}
      />
      <IconButton
        icon="dice"
        label={`${label}: another one each time`}
        disabled={value === null}
        onClick={() => onChange(null)}
      />
    </div>
  );
}

export function Seed() {
  return <SeedField label="Seed" value={settings.value.seed} onChange={(value) => set({ seed: value })} />;
}

/** A second seed that the first one's noise is mixed with, and the size whose composition is kept. */
export function Variation() {
  const { subseed, subseedStrength, seedResizeWidth, seedResizeHeight } = settings.value;
  const resized =
    seedResizeWidth !== null && seedResizeHeight !== null
      ? `resized from ${seedResizeWidth} × ${seedResizeHeight}`
      : '';
  const varied = subseedStrength > 0 ? `strength ${plain(subseedStrength)}` : '';
  const facts = model.value?.diffusion;
  const step = facts?.factor ?? 8;
  const { max } = limitsOf(variationFields.seedResizeFrom, about.value);
  const side = { min: step, max, step, optional: true, fallback: 'off' };
  return (
    <Fold title="Variation" summary={[varied, resized].filter(Boolean).join(', ') || 'off'}>
      <Slider
        label="Variation strength"
        value={subseedStrength}
        {...limitsOf(variationFields.subseedStrength, about.value)}
        step={0.05}
        ends={['the seed alone', 'the variation alone']}
        onChange={(value) => set({ subseedStrength: value })}
      />
      <SeedField label="Variation seed" value={subseed} onChange={(value) => set({ subseed: value })} />
      <div class="pair">
        <NumberField
          {...side}
          label="Resize seed from width"
          value={seedResizeWidth}
          onChange={(value) => set({ seedResizeWidth: value })}
        />
        <NumberField
          {...side}
          label="Resize seed from height"
          value={seedResizeHeight}
          onChange={(value) => set({ seedResizeHeight: value })}
        />
      </div>
    </Fold>
  );
}
