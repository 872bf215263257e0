/** What can be done with a picture, and what it was made with: each thing can be taken over. */
import { useSignal } from '@preact/signals';
import type { ShownJob } from '../api/types.js';
import { type Field, fieldsOf, fieldsOfOptions } from '../logic/restore.js';
import { discard, reuse, useAsInput } from '../state/actions.js';
import { set } from '../state/form.js';
import { gallery, type Shown } from '../state/jobs.js';
import { about } from '../state/session.js';
import { compared } from '../state/stage.js';
import { Fold, IconButton } from '../ui/controls.js';
import { Icon } from '../ui/icons.js';

export function Details({ shown }: { readonly shown: Shown }) {
  const { job, picture, index } = shown;
  const fields = picture.parameters ? fieldsOf(picture.parameters, about.value) : fieldsOfOptions(job);
  const told = fields.filter(({ value }) => value !== '');
  return (
    <div class="details">
      <div class="tools" role="toolbar" aria-label="This picture">
        <a class="plain" href={picture.url} download={`safelight-${job.id}-${index}.png`}>
          <Icon name="save" /> Download
        </a>
        <button type="button" class="plain" onClick={() => void useAsInput(shown, 'picture')}>
          <Icon name="picture" /> Use as input
        </button>
        <button type="button" class="plain" onClick={() => void useAsInput(shown, 'inpaint')}>
          <Icon name="mask" /> Inpaint
        </button>
        <button
          type="button"
          class="plain"
          disabled={gallery.value.length < 2}
          onClick={() => {
            compared.value = neighbour(shown);
          }}
        >
          <Icon name="compare" /> Compare
        </button>
        <button type="button" class="plain" onClick={() => set({ mode: 'inside' })}>
          <Icon name="look" /> Look inside
        </button>
        <Delete key={job.id} job={job} />
      </div>
      {told.length > 0 && (
        <Fold title="Made with" open={wide} summary={summaryOf(told)}>
          <dl class="facts">
            {told.map((field) => (
              <div key={field.label} class={field.value.length > 24 ? 'wide' : ''}>
                <dt>{field.label}</dt>
                <dd>
                  <span>{field.value}</span>
                  <IconButton icon="reuse" label={`Use this ${field.label}`} onClick={() => reuse([field])} />
                </dd>
              </div>
            ))}
          </dl>
          {told.length > 1 && (
            <button type="button" class="link" onClick={() => reuse(fields, true)}>
              Use all of these settings
            </button>
          )}
        </Fold>
      )}
    </div>
  );
}

/** Asks once more where it stands: what is deleted is gone. */
function Delete({ job }: { readonly job: ShownJob }) {
  const armed = useSignal(false);
  const many = job.images.length;
  return (
    <button
      type="button"
      class="plain"
      onBlur={() => {
        armed.value = false;
      }}
      onClick={() => {
        if (armed.value) void discard(job);
        armed.value = true;
      }}
    >
      <Icon name="trash" /> {armed.value ? (many > 1 ? `All ${many}, really?` : 'Really?') : 'Delete'}
    </button>
  );
}

/** On a phone the prompt shall be near the picture. */
const wide = matchMedia('(min-width: 800px)').matches;

function summaryOf(fields: readonly Field[]): string {
  const seed = fields.find(({ label }) => label === 'Seed');
  return [fields[0]?.value, seed && `seed ${seed.value}`].filter(Boolean).join(', ');
}

/** What it is compared with at first: the picture made before it, else the one after. */
function neighbour({ job, index }: Shown): { job: string; index: number } | null {
  const all = gallery.value;
  const at = all.findIndex((one) => one.job.id === job.id && one.index === index);
  const other = all[at + 1] ?? all[at - 1];
  return other ? { job: other.job.id, index: other.index } : null;
}
