/** How much larger finished images are drawn, and how freely. */
import { signal } from '@preact/signals';
import { canEnlarge, enlargedSize, gridOf, isAllowed } from '../logic/enlarge.js';
import { enlarge } from '../state/actions.js';
import type { Shown } from '../state/jobs.js';
import { persistentSignal } from '../state/persistent.js';
import { about } from '../state/session.js';
import { Dialog } from '../ui/dialog.js';
import { Slider } from '../ui/numbers.js';

/** The images that the dialog is about; null while it is closed. */
export const enlarging = signal<readonly Shown[] | null>(null);

const how = persistentSignal('enlarge', (kept) => {
  const { scale, strength } = (kept ?? {}) as { scale?: unknown; strength?: unknown };
  return {
    scale: typeof scale === 'number' && scale >= 1 && scale <= 4 ? scale : 2,
    strength: typeof strength === 'number' && strength > 0 && strength <= 1 ? strength : 0.35,
  };
});

export function Enlarge() {
  const able = (enlarging.value ?? []).filter(({ job }) => canEnlarge(job));
  const [first] = able;
  if (!first) return null;
  const close = (): void => {
    enlarging.value = null;
  };
  const { scale, strength } = how.value;
  const sizes = able.map(({ job, picture }) => enlargedSize(picture, scale, gridOf(job, about.value)));
  const fits = sizes.every((size) => isAllowed(size, about.value));
  const [size] = sizes;
  return (
    <Dialog title={able.length > 1 ? `Enlarge ${able.length}` : 'Enlarge'} onClose={close}>
      <Slider
        label="Times larger"
        value={scale}
        min={1}
        max={4}
        step={0.25}
        onChange={(value) => {
          how.value = { ...how.peek(), scale: value };
        }}
      />
      <Slider
        label="Strength"
        value={strength}
        min={0.05}
        max={1}
        step={0.05}
        ends={['keeps the image', 'begins anew']}
        onChange={(value) => {
          how.value = { ...how.peek(), strength: value };
        }}
      />
      <p class="hint">
        {able.length === 1 && size
          ? `${first.picture.width} × ${first.picture.height} becomes ${size.width} × ${size.height}, drawn with its own prompt and settings.`
          : 'Each is drawn with its own prompt and settings.'}
      </p>
      {!fits && about.value && (
        <p class="problem" role="alert">
          This server makes images of at most {about.value.limits.maxSide} pixels a side and{' '}
          {about.value.limits.maxPixels.toLocaleString('en')} in all.
        </p>
      )}
      <div class="dialog-actions">
        <button
          type="button"
          class="primary"
          disabled={!fits}
          onClick={() => {
            close();
            void enlarge(able, { scale, strength });
          }}
        >
          Enlarge
        </button>
      </div>
    </Dialog>
  );
}
