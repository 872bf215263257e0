/** The key, and help. */
import { signal } from '@preact/signals';
import { useId } from 'preact/hooks';
import { helpShown } from '../state/keys.js';
import { dismiss, notes, spoken } from '../state/notes.js';
import { about, login, needsKey } from '../state/session.js';
import { IconButton } from '../ui/controls.js';
import { Dialog } from '../ui/dialog.js';
import { LongText } from '../ui/long-text.js';

const wrong = signal('');

export function Login() {
  const id = useId();
  if (!needsKey.value) return null;
  return (
    <Dialog title="This server asks for its key">
      <form
        onSubmit={async (event) => {
          event.preventDefault();
          const key = new FormData(event.currentTarget).get('key');
          try {
            await login(String(key));
            wrong.value = '';
          } catch (error) {
            wrong.value = error instanceof Error ? error.message : String(error);
          }
        }}
      >
        <div class="field">
          <label for={id}>API key</label>
          <input id={id} name="key" type="password" autocomplete="current-password" required />
        </div>
        {wrong.value && (
          <p class="problem" role="alert">
            {wrong.value}
          </p>
        )}
        <div class="dialog-actions">
          <button type="submit" class="primary">
            Log in
          </button>
        </div>
      </form>
    </Dialog>
  );
}

/** Keys that do one thing, each a row of keys pressed together, and what they do. */
const KEYS: readonly (readonly [readonly string[], string])[] = [
  [['Ctrl Enter'], 'Generate'],
  [['Ctrl E'], 'Queue it and go on looking'],
  [['Esc'], 'End the comparison or the selection; else stop what this page has started'],
  [['Ctrl ↑', 'Ctrl ↓'], 'More or less weight for the selected words'],
  [['←', '→'], 'Browse the pictures'],
  [['Ctrl click', 'Shift click'], 'Select a picture, or all up to it'],
  [['B', 'E'], 'On the canvas: brush, eraser'],
  [['[', ']'], 'Smaller or larger brush'],
  [['Ctrl Z', 'Ctrl Shift Z'], 'Undo, redo a stroke'],
  [['+', '−', '0'], 'Zoom in, out, to fit; the middle button drags'],
  [['Arrows', 'Enter'], 'On the canvas: move the brush, set it down and lift it'],
  [['?'], 'This help'],
];

export function Help() {
  if (!helpShown.value) return null;
  return (
    <Dialog title="Keys" onClose={() => (helpShown.value = false)}>
      <dl class="keys">
        {KEYS.map(([keys, what]) => (
          <div key={what}>
            <dt>
              {keys.map((together) => (
                <span key={together} class="together">
                  {together.split(' ').map((key) => (
                    <kbd key={key}>{key}</kbd>
                  ))}
                </span>
              ))}
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
      <p class="hint">
        Drop or paste a picture anywhere to restore its settings or to begin from it. Safelight{' '}
        {about.value?.version}; its APIs are described at{' '}
        <a href="/docs" target="_blank" rel="noreferrer">
          /docs
        </a>
        .
      </p>
    </Dialog>
  );
}

export function Notes() {
  return (
    <>
      <div class="notes">
        {notes.value.map(({ id, text, bad, action }) => (
          <div key={id} class={`note ${bad ? 'bad' : ''}`} role={bad ? 'alert' : 'status'}>
            <LongText text={text} />
            {action && (
              <button
                type="button"
                class="link"
                onClick={() => {
                  dismiss(id);
                  action.run();
                }}
              >
                {action.label}
              </button>
            )}
            <IconButton icon="close" label="Dismiss" onClick={() => dismiss(id)} />
          </div>
        ))}
      </div>
      <div class="visually-hidden" aria-live="polite">
        {spoken.value}
      </div>
    </>
  );
}
