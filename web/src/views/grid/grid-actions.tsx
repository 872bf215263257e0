/** Actions of a grid: continue, download, delete; and the place of a single image in its grid. */
import { placeOf } from '../../../../lib/pipelines/grid/axes.js';
import type { ApiJob } from '../../api/types.js';
import { missingCells } from '../../logic/grid/cells.js';
import { continueGrid, deleteJobs } from '../../state/actions.js';
import { download, downloading } from '../../state/downloads.js';
import { focusAwaited, showWholeGrid, stagedAxes, visibleSheet } from '../../state/grid.js';
import type { GalleryImage } from '../../state/jobs.js';
import { images, isActive } from '../../state/stage.js';
import { DeleteButton } from '../../ui/controls.js';
import { Icon } from '../../ui/icons.js';
import { labelsAt } from './grid-tables.js';

export function GridActions({ job }: { readonly job: ApiJob }) {
  const active = isActive(job);
  const missing = active ? 0 : missingCells(job);
  const finished = images.value;
  const sheet = `v1/jobs/${job.id}/sheet`;
  const name = `safelight-grid-${String(job.options.seed)}`;
  const sheets = stagedAxes.value?.z?.values.length ?? 1;
  const z = visibleSheet.value;
  return (
    <div class="details">
      {missing > 0 && (
        <div class="grid-missing">
          <p class="hint">
            {missing} of {missing + finished.length} images {missing === 1 ? 'is' : 'are'} missing.
          </p>
          <button type="button" class="primary" onClick={() => void continueGrid(job.id)}>
            Continue
          </button>
        </div>
      )}
      {finished.length > 0 && (
        <div class="tools" role="toolbar" aria-label="Grid actions">
          <a class="plain" href={sheet} download={`${name}.png`}>
            <Icon name="grid" /> {sheets > 1 ? 'Download all sheets' : 'Download sheet'}
          </a>
          {sheets > 1 && (
            <a class="plain" href={`${sheet}?z=${z}`} download={`${name}-${z + 1}.png`}>
              <Icon name="save" /> Download this sheet
            </a>
          )}
          <button
            type="button"
            class="plain"
            disabled={downloading.value}
            onClick={() => void download(finished.map((image, index) => ({ job, image, index })))}
          >
            <Icon name="save" /> Download images
          </button>
          {!active && (
            <DeleteButton
              key={job.id}
              question={`Delete all ${finished.length} images?`}
              onDelete={() => void deleteJobs(job)}
            >
              <Icon name="trash" />{' '}
            </DeleteButton>
          )}
        </div>
      )}
    </div>
  );
}

/** Labels of an image's cell, and a button that shows the whole grid. */
export function CellPlace({ shown: { image } }: { readonly shown: GalleryImage }) {
  const axes = stagedAxes.value;
  if (!axes || image.cell === undefined) return null;
  const place = placeOf(axes, image.cell);
  return (
    <div class="cell-place">
      <button
        type="button"
        class="plain"
        ref={(element) => focusAwaited(element, 'back')}
        onClick={() => showWholeGrid(place.z)}
      >
        <Icon name="back" /> Whole grid
      </button>
      <span class="hint">{labelsAt(axes, place).join(' · ')}</span>
    </div>
  );
}
