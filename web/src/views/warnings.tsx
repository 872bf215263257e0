/** What a job's user should know about it, beside its image until it is dismissed. */
import type { ShownJob } from '../api/types.js';
import { dismissWarning, openWarnings } from '../state/warnings.js';
import { IconButton } from '../ui/controls.js';
import { LongText } from '../ui/long-text.js';

export function Warnings({ job }: { readonly job: ShownJob }) {
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
