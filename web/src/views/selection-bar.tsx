/** What can be done with several images at once. */
import { useSignal } from '@preact/signals';
import { canEnlarge } from '../logic/enlarge.js';
import { discard } from '../state/actions.js';
import { download, downloading } from '../state/downloads.js';
import { endSelecting, found, selection, toggleAll } from '../state/found.js';
import { IconButton } from '../ui/controls.js';
import { Dialog } from '../ui/dialog.js';
import { enlarging } from './enlarge.js';

export function SelectionBar() {
  const asking = useSignal(false);
  const chosen = selection.value;
  const none = chosen.length === 0;
  const all = chosen.length === found.value.length;
  return (
    <div class="selection" role="toolbar" aria-label="Selected pictures">
      <span class="selection-count" role="status">
        {chosen.length} selected
      </span>
      <IconButton
        icon={all ? 'close' : 'check'}
        label={all ? 'Select none' : 'Select all'}
        onClick={toggleAll}
      />
      <IconButton
        icon="save"
        label={downloading.value ? 'The download is being put together' : 'Download the selected'}
        disabled={none || downloading.value}
        onClick={() => void download(chosen)}
      />
      <IconButton
        icon="enlarge"
        label="Enlarge the selected"
        disabled={!chosen.some(({ job }) => canEnlarge(job))}
        onClick={() => {
          enlarging.value = chosen;
        }}
      />
      <IconButton
        icon="trash"
        label="Delete the selected"
        disabled={none}
        onClick={() => {
          asking.value = true;
        }}
      />
      {asking.value && <Deletion onClose={() => (asking.value = false)} />}
    </div>
  );
}

function Deletion({ onClose }: { readonly onClose: () => void }) {
  const chosen = selection.value;
  const jobs = [...new Map(chosen.map(({ job }) => [job.id, job])).values()];
  const count = jobs.reduce((sum, { images }) => sum + images.length, 0);
  return (
    <Dialog title={`Delete ${count}?`} onClose={onClose}>
      <p>
        {count > chosen.length
          ? `${chosen.length} selected. Images that were made in one job are deleted together, ${count} in all. `
          : ''}
        What is deleted cannot be brought back.
      </p>
      <div class="dialog-actions">
        <button
          type="button"
          class="primary"
          onClick={() => {
            onClose();
            endSelecting();
            void discard(...jobs);
          }}
        >
          Delete {count}
        </button>
        <button type="button" class="plain" onClick={onClose}>
          Keep
        </button>
      </div>
    </Dialog>
  );
}
