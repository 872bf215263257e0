/** Handles images that are dropped or pasted anywhere: restores their settings or uses them as the input image. */
import { signal } from '@preact/signals';
import { useEffect, useState } from 'preact/hooks';
import { excerpt } from '../logic/format.js';
import { readTexts } from '../logic/png-text.js';
import { promptOfTexts } from '../logic/restore-exact.js';
import { restoreFrom, takeFile } from '../state/actions.js';
import { Dialog } from '../ui/dialog.js';

const dropped = signal<{ readonly file: File; readonly prompt: string } | null>(null);

/** Shows the dialog if the image contains settings; otherwise uses it as the input image. */
async function handleFile(file: File | undefined): Promise<void> {
  if (!file?.type.startsWith('image/')) return;
  const prompt = await readTexts(file).then(promptOfTexts, () => undefined);
  if (prompt !== undefined) dropped.value = { file, prompt };
  else await takeFile(file);
}

export function listenToDrops(): void {
  addEventListener('dragover', (event) => event.preventDefault());
  addEventListener('drop', (event) => {
    event.preventDefault();
    void handleFile(event.dataTransfer?.files[0]);
  });
  addEventListener('paste', (event) => {
    const file = [...(event.clipboardData?.files ?? [])][0];
    if (!file) return; // pasted text is handled by the focused field
    event.preventDefault();
    void handleFile(file);
  });
}

export function DroppedImage() {
  const image = dropped.value;
  if (!image) return null;
  const choose = (work: (file: File) => Promise<void>): void => {
    dropped.value = null;
    void work(image.file);
  };
  return (
    <Dialog title="Image with settings" onClose={() => (dropped.value = null)}>
      <Thumbnail file={image.file} />
      <p class="quote">{excerpt(image.prompt, 300)}</p>
      <div class="dialog-actions">
        <button type="button" class="primary" onClick={() => choose(restoreFrom)}>
          Restore the settings
        </button>
        <button type="button" class="plain" onClick={() => choose(takeFile)}>
          Use as the input image
        </button>
      </div>
    </Dialog>
  );
}

function Thumbnail({ file }: { readonly file: File }) {
  const [url, setUrl] = useState('');
  useEffect(() => {
    const objectUrl = URL.createObjectURL(file);
    setUrl(objectUrl);
    return () => URL.revokeObjectURL(objectUrl);
  }, [file]);
  return url ? <img class="arrival" src={url} alt="Dropped file" /> : null;
}

/** A file chooser, as an alternative to drag and drop. */
export function RestoreButton() {
  return (
    <label class="link restore">
      Restore settings from an image
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
