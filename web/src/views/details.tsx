/** What can be done with a picture, and what it was made with: each thing can be taken over. */
import type { ShownJob } from '../api/types.js';
import { canEnlarge } from '../logic/enlarge.js';
import { downloadName } from '../logic/names.js';
import { type Field, fieldsOf, fieldsOfOptions } from '../logic/restore.js';
import { discard, reuse, useAsInput } from '../state/actions.js';
import { carriesSettings, download } from '../state/downloads.js';
import { set } from '../state/form.js';
import { gallery, type Shown } from '../state/jobs.js';
import { about } from '../state/session.js';
import { compared } from '../state/stage.js';
import { DeleteButton, Fold, IconButton, Toggle } from '../ui/controls.js';
import { Icon } from '../ui/icons.js';
import { LongText } from '../ui/long-text.js';
import { enlarging } from './enlarge.js';

export function Details({ shown }: { readonly shown: Shown }) {
  const { job, picture } = shown;
  const fields = picture.parameters ? fieldsOf(picture.parameters, about.value) : fieldsOfOptions(job);
  return (
    <div class="details">
      <Tools shown={shown} />
      <MadeWith fields={fields} job={job} />
    </div>
  );
}

function Tools({ shown }: { readonly shown: Shown }) {
  const { job, picture, index } = shown;
  return (
    <div class="tools" role="toolbar" aria-label="This picture">
      <a
        class="plain"
        href={picture.url}
        download={downloadName(job, index)}
        onClick={(event) => {
          if (carriesSettings.peek()) return;
          event.preventDefault();
          void download([shown]);
        }}
      >
        <Icon name="save" /> Download
      </a>
      <button type="button" class="plain" onClick={() => void useAsInput(shown, 'picture')}>
        <Icon name="picture" /> Use as input
      </button>
      <button type="button" class="plain" onClick={() => void useAsInput(shown, 'inpaint')}>
        <Icon name="mask" /> Inpaint
      </button>
      {canEnlarge(job) && (
        <button
          type="button"
          class="plain"
          onClick={() => {
            enlarging.value = [shown];
          }}
        >
          <Icon name="enlarge" /> Enlarge
        </button>
      )}
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
  );
}

interface MadeWithProps {
  readonly fields: readonly Field[];
  readonly job: ShownJob;
}

function MadeWith({ fields, job }: MadeWithProps) {
  const told = fields.filter(({ value }) => value !== '');
  const warnings = job.warnings ?? [];
  if (told.length === 0 && warnings.length === 0) return null;
  return (
    <Fold title="Made with" open={wide} summary={summaryOf(told)}>
      <dl class="facts">
        {told.map((field) => (
          <div key={field.label} class={field.value.length > 24 ? 'wide' : ''}>
            <dt>{field.label}</dt>
            <dd>
              <LongText text={field.value} />
              <IconButton icon="reuse" label={`Use this ${field.label}`} onClick={() => reuse([field])} />
            </dd>
          </div>
        ))}
        {warnings.length > 0 && (
          <div class="wide">
            <dt>{warnings.length > 1 ? 'Warnings' : 'Warning'}</dt>
            {warnings.map(({ code, message }) => (
              <dd key={`${code} ${message}`}>
                <LongText text={message} />
              </dd>
            ))}
          </div>
        )}
      </dl>
      {told.length > 1 && (
        <button type="button" class="link" onClick={() => reuse(fields, true)}>
          Use all of these settings
        </button>
      )}
      <Toggle
        label="Downloads carry these settings"
        on={carriesSettings.value}
        onChange={(on) => {
          carriesSettings.value = on;
        }}
      />
    </Fold>
  );
}

/** Deletes the job with all its images. */
function Delete({ job }: { readonly job: ShownJob }) {
  const many = job.images.length;
  return (
    <DeleteButton
      {...(many > 1 ? { question: `All ${many}, really?` } : {})}
      onDelete={() => void discard(job)}
    >
      <Icon name="trash" />{' '}
    </DeleteButton>
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
