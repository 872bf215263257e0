/** Sections for image size, number of images, seed and variation. */
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

export function SizeAndCount() {
  const { width, height, seed } = settings.value;
  const defaults = model.value?.diffusion;
  const [w, h] = [width ?? defaults?.width, height ?? defaults?.height];
  const size = w && h ? `${w} × ${h}` : 'model’s size';
  const images = imagesOf(settings.value);
  const imagesText = images > 1 && !settings.value.grid ? `, ${images} images` : '';
  const seedText = seed === null ? '' : `, seed ${seed}`;
  const step = defaults?.factor ?? 8;
  const side = { min: step, max: limitsFor(about.value).maxSide, step, optional: true };
  return (
    <Fold title="Size and count" summary={size + imagesText + seedText}>
      <Shapes defaults={defaults} />
      <div class="pair">
        <NumberField
          {...side}
          label="Width"
          value={width}
          fallback={defaults?.width}
          onChange={(value) => set({ width: value })}
        />
        <NumberField
          {...side}
          label="Height"
          value={height}
          fallback={defaults?.height}
          onChange={(value) => set({ height: value })}
        />
      </div>
      {settings.value.grid ? (
        <p class="hint">A grid has one image for each combination of values.</p>
      ) : (
        <Batches />
      )}
      <Seed />
    </Fold>
  );
}

/** Batch count and size. Changing the batch size reduces the count if the server's limit is exceeded. */
function Batches() {
  const { count, batch } = settings.value;
  const maxImages = limitsOf(imageFields.count, about.value).max;
  const images = imagesOf(settings.value);
  return (
    <div class="field">
      <div class="pair">
        <NumberField
          label="Batch count"
          value={count}
          min={1}
          max={Math.max(1, Math.floor(maxImages / (batch ?? 1)))}
          onChange={(value) => set({ count: value ?? 1 })}
        />
        <NumberField
          label="Batch size"
          value={batch}
          min={1}
          max={Math.min(limitsOf(imageFields.batch, about.value).max, maxImages)}
          optional
          fallback="auto"
          onChange={(value) =>
            set({ batch: value, count: Math.max(1, Math.min(count, Math.floor(maxImages / (value ?? 1)))) })
          }
        />
      </div>
      {images > 1 && (
        <p class="hint">
          {images} images
          {batch === null ? '' : batch === 1 ? ', one after the other' : `, ${batch} at a time`}
        </p>
      )}
    </div>
  );
}

/** Buttons for common proportions with about the default pixel count of the model. */
function Shapes({ defaults }: { readonly defaults: ModelAbout['diffusion'] | undefined }) {
  if (!defaults) return null;
  const area = defaults.width * defaults.height;
  const onGrid = (side: number): number => Math.round(side / defaults.factor) * defaults.factor;
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
        const chosen =
          (width ?? defaults.width) === size.width && (height ?? defaults.height) === size.height;
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

/** Seed field. Empty and -1 (as in stable-diffusion-webui) mean a random seed for each job. */
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
        label={`${label}: random`}
        disabled={value === null}
        onClick={() => onChange(null)}
      />
    </div>
  );
}

export function Seed() {
  return <SeedField label="Seed" value={settings.value.seed} onChange={(value) => set({ seed: value })} />;
}

/** Variation settings: a second seed whose noise is mixed in, and the original size when resizing from a seed. */
export function Variation() {
  const { subseed, subseedStrength, seedResizeWidth, seedResizeHeight } = settings.value;
  const resizeText =
    seedResizeWidth !== null && seedResizeHeight !== null
      ? `resized from ${seedResizeWidth} × ${seedResizeHeight}`
      : '';
  const strengthText = subseedStrength > 0 ? `strength ${plain(subseedStrength)}` : '';
  const defaults = model.value?.diffusion;
  const step = defaults?.factor ?? 8;
  const { max } = limitsOf(variationFields.seedResizeFrom, about.value);
  const side = { min: step, max, step, optional: true, fallback: 'off' };
  return (
    <Fold title="Variation" summary={[strengthText, resizeText].filter(Boolean).join(', ') || 'off'}>
      <Slider
        label="Variation strength"
        value={subseedStrength}
        {...limitsOf(variationFields.subseedStrength, about.value)}
        step={0.05}
        ends={['seed only', 'variation only']}
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
