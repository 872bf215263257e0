/** Dialog for enlarging finished images: scale and strength. */
import { signal } from '@preact/signals';
import { canEnlarge, enlargedSize, gridOf, isAllowed } from '../logic/enlarge.js';
import { enlarge } from '../state/actions.js';
import type { GalleryImage } from '../state/jobs.js';
import { persistentSignal } from '../state/persistent.js';
import { about } from '../state/session.js';
import { upscalers } from '../state/upscalers.js';
import { Dialog } from '../ui/dialog.js';
import { Slider } from '../ui/numbers.js';

/** Images to enlarge; null while the dialog is closed. */
export const enlarging = signal<readonly GalleryImage[] | null>(null);

const parameters = persistentSignal('enlarge', (stored) => {
  const { scale, strength } = (stored ?? {}) as { scale?: unknown; strength?: unknown };
  return {
    scale: typeof scale === 'number' && scale >= 1 && scale <= 4 ? scale : 2,
    strength: typeof strength === 'number' && strength > 0 && strength <= 1 ? strength : 0.35,
  };
});

export function Enlarge() {
  const images = (enlarging.value ?? []).filter(({ job }) => canEnlarge(job));
  const [first] = images;
  if (!first) return null;
  const close = (): void => {
    enlarging.value = null;
  };
  const { scale, strength } = parameters.value;
  const sizes = images.map(({ job, image }) => enlargedSize(image, scale, gridOf(job, about.value)));
  const fits = sizes.every((size) => isAllowed(size, about.value));
  const [size] = sizes;
  return (
    <Dialog title={images.length > 1 ? `Enlarge ${images.length}` : 'Enlarge'} onClose={close}>
      <Slider
        label="Scale"
        value={scale}
        min={1}
        max={4}
        step={0.25}
        onChange={(value) => {
          parameters.value = { ...parameters.peek(), scale: value };
        }}
      />
      <Slider
        label="Strength"
        value={strength}
        min={0.05}
        max={1}
        step={0.05}
        ends={['keep the image', 'ignore the image']}
        onChange={(value) => {
          parameters.value = { ...parameters.peek(), strength: value };
        }}
      />
      <p class="hint">
        {images.length === 1 && size
          ? `${first.image.width} × ${first.image.height} becomes ${size.width} × ${size.height}, generated with the same prompt and settings.`
          : 'Each image is generated with its own prompt and settings.'}
      </p>
      {upscalers.value.length === 0 && (
        <p class="hint">
          To enlarge images without changing their content, put upscaler models into the subfolder{' '}
          <code>upscalers</code> of the server’s models folder.
        </p>
      )}
      {!fits && about.value && (
        <p class="problem" role="alert">
          This server generates images of at most {about.value.limits.maxSide} pixels per side and{' '}
          {about.value.limits.maxPixels.toLocaleString('en')} pixels in total.
        </p>
      )}
      <div class="dialog-actions">
        <button
          type="button"
          class="primary"
          disabled={!fits}
          onClick={() => {
            close();
            void enlarge(images, { scale, strength });
          }}
        >
          Enlarge
        </button>
      </div>
    </Dialog>
  );
}
