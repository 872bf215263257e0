/** The picture to begin from: dropped, pasted, chosen. */
import { useRef, useState } from 'preact/hooks';
import { sourceFields } from '../../../lib/options/declarations/source.js';
import { limitsOf } from '../logic/limits.js';
import { takeFile } from '../state/actions.js';
import { dropSource, source } from '../state/drafts.js';
import { mode, set, settings } from '../state/form.js';
import { about } from '../state/session.js';
import { IconButton } from '../ui/controls.js';
import { Slider } from '../ui/numbers.js';

export function Source() {
  const picture = source.value;
  return (
    <section class="source" aria-label="Picture to begin from">
      {picture ? (
        <div class="source-picture">
          {mode.value === 'picture' && <img src={picture.url} alt="The one to begin from" />}
          <div class="source-line">
            <span>
              {picture.width} × {picture.height}
            </span>
            <span class="spread" />
            <Choose label="Another picture" plain />
            <IconButton icon="trash" label="Take the picture away" onClick={() => void dropSource()} />
          </div>
        </div>
      ) : (
        <Choose label="Drop, paste or choose a picture" />
      )}
      {picture && (
        <Slider
          label="Strength"
          value={settings.value.strength}
          {...limitsOf(sourceFields.strength, about.value)}
          step={0.05}
          ends={['keeps the picture', 'begins anew']}
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
          // Here it is clear what is meant: no question is asked.
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
