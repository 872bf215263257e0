/** The input image: dropped, pasted or chosen. */
import { useRef, useState } from 'preact/hooks';
import { sourceFields } from '../../../lib/options/declarations/source.js';
import { limitsOf } from '../logic/limits.js';
import { takeFile } from '../state/actions.js';
import { removeSource, source } from '../state/drafts.js';
import { mode, set, settings } from '../state/form.js';
import { about } from '../state/session.js';
import { IconButton } from '../ui/controls.js';
import { Slider } from '../ui/numbers.js';

export function Source() {
  const image = source.value;
  return (
    <section class="source" aria-label="Input image">
      {image ? (
        <div class="source-image">
          {mode.value === 'picture' && <img src={image.url} alt="Input" />}
          <div class="source-line">
            <span>
              {image.width} × {image.height}
            </span>
            <span class="spread" />
            <Choose label="Replace the image" plain />
            <IconButton icon="trash" label="Remove the image" onClick={() => void removeSource()} />
          </div>
        </div>
      ) : (
        <Choose label="Drop, paste or choose an image" />
      )}
      {image && (
        <Slider
          label="Strength"
          value={settings.value.strength}
          {...limitsOf(sourceFields.strength, about.value)}
          step={0.05}
          ends={['keep the image', 'ignore the image']}
          onChange={(strength) => set({ strength })}
        />
      )}
    </section>
  );
}

function Choose({ label, plain }: { readonly label: string; readonly plain?: boolean }) {
  const input = useRef<HTMLInputElement>(null);
  const [over, setOver] = useState(false);
  return (
    <>
      <button
        type="button"
        class={plain ? 'link' : `drop ${over ? 'over' : ''}`}
        onClick={() => input.current?.click()}
        onDragOver={(event) => {
          event.preventDefault();
          setOver(true);
        }}
        onDragLeave={() => setOver(false)}
        onDrop={(event) => {
          // Dropped on the input field, the image is used without asking.
          event.preventDefault();
          event.stopPropagation();
          setOver(false);
          const file = event.dataTransfer?.files[0];
          if (file) void takeFile(file);
        }}
      >
        {label}
      </button>
      <input
        ref={input}
        class="source-file"
        type="file"
        accept="image/*"
        hidden
        aria-label={label}
        onChange={(event) => {
          const file = event.currentTarget.files?.[0];
          if (file) void takeFile(file);
          event.currentTarget.value = '';
        }}
      />
    </>
  );
}
