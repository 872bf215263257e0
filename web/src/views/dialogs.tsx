/** Login and help dialogs, and notifications. */
import { signal } from '@preact/signals';
import { useId } from 'preact/hooks';
import { helpShown } from '../state/keys.js';
import { announcement, dismiss, notifications } from '../state/notifications.js';
import { about, login, needsKey } from '../state/session.js';
import { IconButton } from '../ui/controls.js';
import { Dialog } from '../ui/dialog.js';
import { LongText } from '../ui/long-text.js';

const loginError = signal('');

export function Login() {
  const id = useId();
  if (!needsKey.value) return null;
  return (
    <Dialog title="Login required">
      <form
        onSubmit={async (event) => {
          event.preventDefault();
          const key = new FormData(event.currentTarget).get('key');
          try {
            await login(String(key));
            loginError.value = '';
          } catch (error) {
            loginError.value = error instanceof Error ? error.message : String(error);
          }
        }}
      >
        <div class="field">
          <label for={id}>API key</label>
          <input id={id} name="key" type="password" autocomplete="current-password" required />
        </div>
        {loginError.value && (
          <p class="problem" role="alert">
            {loginError.value}
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

/** Keyboard shortcuts (each text contains keys pressed together) and their descriptions. */
const SHORTCUTS: readonly (readonly [readonly string[], string])[] = [
  [['Ctrl Enter'], 'Generate'],
  [['Ctrl E'], 'Add to the queue without showing the job'],
  [['Esc'], 'Close the comparison or end the selection; otherwise stop the job started on this page'],
  [['Ctrl ↑', 'Ctrl ↓'], 'Increase or decrease the weight of the selected words'],
  [['←', '→'], 'Browse the images'],
  [['Ctrl click', 'Shift click'], 'Select an image, or a range of images'],
  [['B', 'E'], 'Canvas: brush, eraser'],
  [['[', ']'], 'Smaller or larger brush'],
  [['Ctrl Z', 'Ctrl Shift Z'], 'Undo or redo a stroke'],
  [['+', '−', '0'], 'Zoom in, out or to fit; drag with the middle button'],
  [['Arrows', 'Enter'], 'Canvas: move the brush, start or end a stroke; grid: move between images, open one'],
  [['?'], 'Show this help'],
];

export function Help() {
  if (!helpShown.value) return null;
  return (
    <Dialog title="Keyboard shortcuts" onClose={() => (helpShown.value = false)}>
      <dl class="keys">
        {SHORTCUTS.map(([keys, description]) => (
          <div key={description}>
            <dt>
              {keys.map((combination) => (
                <span key={combination} class="together">
                  {combination.split(' ').map((key) => (
                    <kbd key={key}>{key}</kbd>
                  ))}
                </span>
              ))}
            </dt>
            <dd>{description}</dd>
          </div>
        ))}
      </dl>
      <p class="hint">
        Drop or paste an image anywhere to restore its settings or to use it as the input image. Safelight{' '}
        {about.value?.version}; its APIs are documented at{' '}
        <a href="docs" target="_blank" rel="noreferrer">
          /docs
        </a>
        .
      </p>
    </Dialog>
  );
}

export function Notifications() {
  return (
    <>
      <div class="notes">
        {notifications.value.map(({ id, text, isError, action }) => (
          <div key={id} class={`note ${isError ? 'bad' : ''}`} role={isError ? 'alert' : 'status'}>
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
        {announcement.value}
      </div>
    </>
  );
}
