/**
 * Prompt styles: named prompt fragments stored on the server. They can be applied to the next job, saved, edited
 * and deleted.
 */

import { useSignal } from '@preact/signals';
import { useId } from 'preact/hooks';
import { limitsFor } from '../logic/limits.js';
import { settings } from '../state/form.js';
import { about } from '../state/session.js';
import { deleteStyle, edited, insertStyles, library, saveStyle, toggleStyle } from '../state/styles.js';
import { DeleteButton, Fold } from '../ui/controls.js';
import { Dialog } from '../ui/dialog.js';

export function Styles() {
  const { styles: chosen, prompt, negative } = settings.value;
  const all = library.value;
  const single = chosen.length === 1 ? all.find(({ name }) => name === chosen[0]) : undefined;
  return (
    <Fold title="Styles" summary={chosen.length > 0 ? chosen.join(', ') : 'none'}>
      {all.length > 0 ? (
        <fieldset class="chips" aria-label="Styles">
          {all.map((style) => (
            <button
              key={style.name}
              type="button"
              class="chip"
              title={[style.prompt, style.negative && `negative: ${style.negative}`]
                .filter(Boolean)
                .join('\n')}
              aria-pressed={chosen.includes(style.name)}
              onClick={() => toggleStyle(style.name)}
            >
              {style.name}
            </button>
          ))}
        </fieldset>
      ) : (
        <p class="hint">A style adds its text to the prompt of a job. No styles have been saved yet.</p>
      )}
      <div class="links">
        <button
          type="button"
          class="link"
          onClick={() => {
            edited.value = { style: { name: '', prompt, negative }, isNew: true };
          }}
        >
          Save the prompt as a style
        </button>
        {single && (
          <button
            type="button"
            class="link"
            onClick={() => {
              edited.value = { style: single, isNew: false };
            }}
          >
            Edit
          </button>
        )}
        {chosen.length > 0 && (
          <button type="button" class="link" onClick={insertStyles}>
            Insert into the prompt
          </button>
        )}
      </div>
    </Fold>
  );
}

export function StyleEditor() {
  const current = edited.value;
  if (!current) return null;
  return <Editor key={current.style.name} {...current} />;
}

function Editor({ style, isNew }: NonNullable<typeof edited.value>) {
  const id = useId();
  const draft = useSignal(style);
  const { name, prompt, negative } = draft.value;
  const isReplacing = library.value.some(
    (other) => other.name === name.trim() && (isNew || other.name !== style.name),
  );
  const close = (): void => {
    edited.value = null;
  };
  const maxLength = limitsFor(about.value).maxPrompt;
  const area = (key: 'prompt' | 'negative', label: string) => (
    <div class="field">
      <label for={`${id}-${key}`}>{label}</label>
      <textarea
        id={`${id}-${key}`}
        rows={3}
        maxLength={maxLength}
        value={draft.value[key]}
        onInput={(event) => {
          draft.value = { ...draft.peek(), [key]: event.currentTarget.value };
        }}
      />
    </div>
  );
  return (
    <Dialog title={isNew ? 'New style' : 'Edit style'} onClose={close}>
      <form
        onSubmit={async (event) => {
          event.preventDefault();
          const saved = { name: name.trim(), prompt, negative };
          if (await saveStyle(saved, isNew ? undefined : style.name)) close();
        }}
      >
        <div class="field">
          <label for={id}>Name</label>
          <input
            id={id}
            type="text"
            required
            maxLength={100}
            autocomplete="off"
            value={name}
            onInput={(event) => {
              draft.value = { ...draft.peek(), name: event.currentTarget.value };
            }}
          />
        </div>
        {area('prompt', 'Prompt')}
        {area('negative', 'Negative prompt')}
        <p class="hint">
          {'{prompt}'} is replaced by the prompt of the form; a text without it is appended after a comma.
        </p>
        <div class="dialog-actions">
          <button type="submit" class="primary" disabled={prompt.trim() === '' && negative.trim() === ''}>
            {isReplacing ? 'Replace' : 'Save'}
          </button>
          {!isNew && <DeleteButton onDelete={() => void deleteStyle(style.name).then(close)} />}
        </div>
      </form>
    </Dialog>
  );
}
