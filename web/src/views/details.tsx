/** Actions for the current image and its generation settings, each of which can be applied to the form. */
import type { ApiJob } from '../api/types.js';
import { canEnlarge } from '../logic/enlarge.js';
import { downloadName } from '../logic/names.js';
import { type Field, fieldsOf, fieldsOfOptions } from '../logic/restore.js';
import { deleteJobs, reuse, useAsInput } from '../state/actions.js';
import { adapters, knownOf } from '../state/adapters.js';
import { download, includeSettings } from '../state/downloads.js';
import { set } from '../state/form.js';
import { type GalleryImage, gallery } from '../state/jobs.js';
import { about } from '../state/session.js';
import { compared } from '../state/stage.js';
import { upscalers } from '../state/upscalers.js';
import { DeleteButton, Fold, IconButton, Toggle } from '../ui/controls.js';
import { Icon } from '../ui/icons.js';
import { LongText } from '../ui/long-text.js';
import { enlarging } from './enlarge.js';
import { upscaling } from './upscale.js';

export function Details({ shown }: { readonly shown: GalleryImage }) {
  const { job, image } = shown;
  const known = { ...(adapters.value ? knownOf(adapters.value) : {}), upscalers: upscalers.value };
  const fields = image.parameters ? fieldsOf(image.parameters, about.value, known) : fieldsOfOptions(job);
  return (
    <div class="details">
      <Tools shown={shown} />
      <GenerationSettings fields={fields} job={job} />
    </div>
  );
}

function Tools({ shown }: { readonly shown: GalleryImage }) {
  const { job, image, index } = shown;
  return (
    <div class="tools" role="toolbar" aria-label="Image actions">
      <a
        class="plain"
        href={image.url}
        download={downloadName(job, index)}
        onClick={(event) => {
          if (includeSettings.peek()) return;
          event.preventDefault();
          void download([shown]);
        }}
      >
        <Icon name="save" /> Download
      </a>
      <button type="button" class="plain" onClick={() => void useAsInput(shown, 'picture')}>
        <Icon name="image" /> Use as input
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
      {upscalers.value.length > 0 && (
        <button
          type="button"
          class="plain"
          onClick={() => {
            upscaling.value = [shown];
          }}
        >
          <Icon name="upscale" /> Upscale
        </button>
      )}
      <button
        type="button"
        class="plain"
        disabled={gallery.value.length < 2}
        onClick={() => {
          compared.value = neighborOf(shown);
        }}
      >
        <Icon name="compare" /> Compare
      </button>
      {job.type !== 'upscale' && (
        <button type="button" class="plain" onClick={() => set({ mode: 'inside' })}>
          <Icon name="inspect" /> Inspect
        </button>
      )}
      <Delete key={job.id} job={job} />
    </div>
  );
}

interface GenerationSettingsProps {
  readonly fields: readonly Field[];
  readonly job: ApiJob;
}

function GenerationSettings({ fields, job }: GenerationSettingsProps) {
  const shownFields = fields.filter(({ value }) => value !== '');
  const warnings = job.warnings ?? [];
  if (shownFields.length === 0 && warnings.length === 0) return null;
  return (
    <Fold title="Generation settings" open={isWide} summary={summaryOf(shownFields)}>
      <dl class="facts">
        {shownFields.map((field) => (
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
      {shownFields.length > 1 && (
        <button type="button" class="link" onClick={() => reuse(fields, true)}>
          Use all settings
        </button>
      )}
      <Toggle
        label="Include settings in downloads"
        on={includeSettings.value}
        onChange={(on) => {
          includeSettings.value = on;
        }}
      />
    </Fold>
  );
}

/** A button that deletes the job with all its images. */
function Delete({ job }: { readonly job: ApiJob }) {
  const count = job.images.length;
  return (
    <DeleteButton
      {...(count > 1 ? { question: `Delete all ${count} images?` } : {})}
      onDelete={() => void deleteJobs(job)}
    >
      <Icon name="trash" />{' '}
    </DeleteButton>
  );
}

/** Initially open only on wide screens; on a phone, the prompt should stay close to the image. */
const isWide = matchMedia('(min-width: 800px)').matches;

function summaryOf(fields: readonly Field[]): string {
  const seed = fields.find(({ label }) => label === 'Seed');
  return [fields[0]?.value, seed && `seed ${seed.value}`].filter(Boolean).join(', ');
}

/** Returns the image to compare with initially: the previous one, or else the next. */
function neighborOf({ job, index }: GalleryImage): { job: string; index: number } | null {
  const all = gallery.value;
  const at = all.findIndex((other) => other.job.id === job.id && other.index === index);
  const neighbor = all[at + 1] ?? all[at - 1];
  return neighbor ? { job: neighbor.job.id, index: neighbor.index } : null;
}
