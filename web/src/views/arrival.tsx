/** A picture dropped or pasted anywhere: its settings back, or itself as input? */
import { signal } from '@preact/signals';
import { useEffect, useState } from 'preact/hooks';
import { excerpt } from '../logic/format.js';
import { readTexts } from '../logic/png-text.js';
import { promptOfTexts } from '../logic/restore-exact.js';
import { restoreFrom, takeFile } from '../state/actions.js';
import { Dialog } from '../ui/dialog.js';

const arrived = signal<{ readonly file: File; readonly prompt: string } | null>(null);

/** Asks only where there is a choice. */
async function arrive(file: File | undefined): Promise<void> {
  if (!file?.type.startsWith('image/')) return;
  const prompt = await readTexts(file).then(promptOfTexts, () => undefined);
  if (prompt !== undefined) arrived.value = { file, prompt };
  else await takeFile(file);
}

export function listenToArrivals(): void {
  addEventListener('dragover', (event) => event.preventDefault());
  addEventListener('drop', (event) => {
    event.preventDefault();
    void arrive(event.dataTransfer?.files[0]);
  });
  addEventListener('paste', (event) => {
    const file = [...(event.clipboardData?.files ?? [])][0];
    if (!file) return; // text goes where the caret is
    event.preventDefault();
    void arrive(file);
  });
}

export function Arrival() {
  const now = arrived.value;
  if (!now) return null;
  const then = (work: (file: File) => Promise<void>): void => {
    arrived.value = null;
    void work(now.file);
  };
  return (
    <Dialog title="A picture with settings" onClose={() => (arrived.value = null)}>
      <Thumbnail file={now.file} />
      <p class="quote">{excerpt(now.prompt, 300)}</p>
      <div class="dialog-actions">
        <button type="button" class="primary" onClick={() => then(restoreFrom)}>
          Restore its settings
        </button>
        <button type="button" class="plain" onClick={() => then(takeFile)}>
          Use it as input
        </button>
      </div>
    </Dialog>
  );
}

function Thumbnail({ file }: { readonly file: File }) {
  const [url, setUrl] = useState('');
  useEffect(() => {
    const made = URL.createObjectURL(file);
    setUrl(made);
    return () => URL.revokeObjectURL(made);
  }, [file]);
  return url ? <img class="arrival" src={url} alt="The one that was dropped" /> : null;
}

/** The way for whoever does not drag: a file chooser. */
export function RestoreButton() {
  return (
    <label class="link restore">
      Restore settings from a picture
      <input
        type="file"
        accept="image/png"
        class="visually-hidden"
        onChange={(event) => {
          const file = event.currentTarget.files?.[0];
          if (file) void restoreFrom(file);
          event.currentTarget.value = '';
        }}
      />
    </label>
  );
}
