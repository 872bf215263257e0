/** Dialog for upscaling finished images with a model of the server. */
import { signal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { Upscaler } from '../api/types.js';
import { isUpscalable, type Size, upscaledSize } from '../logic/enlarge.js';
import { upscale } from '../state/actions.js';
import type { GalleryImage } from '../state/jobs.js';
import { persistentSignal } from '../state/persistent.js';
import { about } from '../state/session.js';
import { refreshUpscalers, upscalers } from '../state/upscalers.js';
import { Select } from '../ui/controls.js';
import { Dialog } from '../ui/dialog.js';
import { Slider } from '../ui/numbers.js';

/** Images to upscale; null while the dialog is closed. */
export const upscaling = signal<readonly GalleryImage[] | null>(null);

const MAX_SCALE = 8;

/** The last choice; a scale of null is the model's. */
const choice = persistentSignal('upscale', (stored) => {
  const { upscaler, scale } = (stored ?? {}) as { upscaler?: unknown; scale?: unknown };
  return {
    upscaler: typeof upscaler === 'string' ? upscaler : null,
    scale: typeof scale === 'number' && scale >= 1 && scale <= MAX_SCALE ? scale : null,
  };
});

export function Upscale() {
  const images = upscaling.value;
  const [first] = upscalers.value;
  if (!images?.length || !first) return null;
  return <UpscaleDialog images={images} first={first} />;
}

interface UpscaleDialogProps {
  readonly images: readonly GalleryImage[];
  /** Upscaler that is used if the last one no longer exists. */
  readonly first: Upscaler;
}

function UpscaleDialog({ images, first }: UpscaleDialogProps) {
  useEffect(() => void refreshUpscalers(), []);
  const close = (): void => {
    upscaling.value = null;
  };
  const model = upscalers.value.find(({ name }) => name === choice.value.upscaler) ?? first;
  const scale = choice.value.scale ?? Math.min(MAX_SCALE, model.scale ?? 1);
  const sizes = images.map(({ image }) => upscaledSize(image, scale));
  const fits = sizes.every((size) => isUpscalable(size, about.value));
  return (
    <Dialog title={images.length > 1 ? `Upscale ${images.length}` : 'Upscale'} onClose={close}>
      <Select
        label="Model"
        value={model.name}
        options={upscalers.value.map(({ name, label, scale: factor }) => [name, `${label} (${factor}×)`])}
        onChange={(upscaler) => {
          choice.value = { upscaler, scale: null };
        }}
      />
      <Slider
        label="Scale"
        value={scale}
        min={1}
        max={MAX_SCALE}
        step={0.25}
        onChange={(value) => {
          choice.value = { upscaler: model.name, scale: value };
        }}
      />
      <p class="hint">{explanation(images, sizes, scale, model)}</p>
      {!fits && (
        <p class="problem" role="alert">
          The result would exceed the limits of this server. Choose a smaller scale.
        </p>
      )}
      <div class="dialog-actions">
        <button
          type="button"
          class="primary"
          disabled={!fits}
          onClick={() => {
            close();
            void upscale(images, { upscaler: model.name, scale });
          }}
        >
          Upscale
        </button>
      </div>
    </Dialog>
  );
}

function explanation(
  images: readonly GalleryImage[],
  sizes: readonly Size[],
  scale: number,
  model: Upscaler,
): string {
  const [image, size] = [images[0]?.image, sizes[0]];
  const change =
    images.length === 1 && image && size
      ? `${image.width} × ${image.height} becomes ${size.width} × ${size.height}. `
      : '';
  const resized = scale === model.scale ? '' : ', and the result of the model is resized to this scale';
  return `${change}The content stays the same${resized}.`;
}
