/** Warnings of a job, shown next to its image until they are dismissed. */
import type { ApiJob } from '../api/types.js';
import { dismissWarning, openWarnings } from '../state/warnings.js';
import { IconButton } from '../ui/controls.js';
import { LongText } from '../ui/long-text.js';

export function Warnings({ job }: { readonly job: ApiJob }) {
  const open = openWarnings(job);
  if (open.length === 0) return null;
  return (
    <div class="warnings">
      {open.map((warning) => (
        <div key={`${warning.code} ${warning.message}`} class="warning" role="status">
          <LongText text={warning.message} />
          <IconButton icon="close" label="Dismiss the warning" onClick={() => dismissWarning(job, warning)} />
        </div>
      ))}
    </div>
  );
}
