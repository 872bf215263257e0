/** Toolbar for the selected images: download, enlarge, upscale and delete. */
import { useSignal } from '@preact/signals';
import { canEnlarge } from '../logic/enlarge.js';
import { deleteJobs } from '../state/actions.js';
import { download, downloading } from '../state/downloads.js';
import { endSelecting, searchResults, selection, toggleAll } from '../state/gallery-selection.js';
import { upscalers } from '../state/upscalers.js';
import { IconButton } from '../ui/controls.js';
import { Dialog } from '../ui/dialog.js';
import { enlarging } from './enlarge.js';
import { upscaling } from './upscale.js';

export function SelectionBar() {
  const confirming = useSignal(false);
  const chosen = selection.value;
  const none = chosen.length === 0;
  const all = chosen.length === searchResults.value.length;
  return (
    <div class="selection" role="toolbar" aria-label="Selected images">
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
        label={downloading.value ? 'Preparing the download' : 'Download the selected'}
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
      {upscalers.value.length > 0 && (
        <IconButton
          icon="upscale"
          label="Upscale the selected"
          disabled={none}
          onClick={() => {
            upscaling.value = chosen;
          }}
        />
      )}
      <IconButton
        icon="trash"
        label="Delete the selected"
        disabled={none}
        onClick={() => {
          confirming.value = true;
        }}
      />
      {confirming.value && <DeleteDialog onClose={() => (confirming.value = false)} />}
    </div>
  );
}

function DeleteDialog({ onClose }: { readonly onClose: () => void }) {
  const chosen = selection.value;
  const jobs = [...new Map(chosen.map(({ job }) => [job.id, job])).values()];
  const count = jobs.reduce((sum, { images }) => sum + images.length, 0);
  return (
    <Dialog title={`Delete ${count}?`} onClose={onClose}>
      <p>
        {count > chosen.length
          ? `${chosen.length} selected. Images of the same job are deleted together, ${count} in total. `
          : ''}
        This cannot be undone.
      </p>
      <div class="dialog-actions">
        <button
          type="button"
          class="primary"
          onClick={() => {
            onClose();
            endSelecting();
            void deleteJobs(...jobs);
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
