/** Name, modes, theme, help. */
import { type Mode, modes } from '../logic/settings.js';
import { mode, set } from '../state/form.js';
import { online, running } from '../state/jobs.js';
import { helpShown } from '../state/keys.js';
import { about, logout } from '../state/session.js';
import { nextTheme, theme } from '../state/theme.js';
import { IconButton } from '../ui/controls.js';
import { Icon, type IconName } from '../ui/icons.js';

const MODES: Readonly<Record<Mode, readonly [string, IconName, string]>> = {
  text: ['Text', 'text', 'A picture of words'],
  picture: ['Picture', 'picture', 'A picture of a picture'],
  inpaint: ['Inpaint', 'mask', 'A part of a picture anew'],
  sketch: ['Sketch', 'pencil', 'A picture of a drawing'],
  inside: ['Inside', 'look', 'How a picture came to be'],
};

const THEMES = { system: 'system', light: 'sun', dark: 'moon' } as const;

export function Header() {
  return (
    <header class="top">
      <h1 class="name">
        <span class={`lamp ${running.value.length > 0 ? 'lit' : ''}`} aria-hidden="true" />
        Safelight
      </h1>
      <nav class="modes" aria-label="What to make">
        {modes.map((one) => (
          <button
            key={one}
            type="button"
            title={MODES[one][2]}
            aria-current={mode.value === one ? 'page' : undefined}
            onClick={() => set({ mode: one })}
          >
            <Icon name={MODES[one][1]} />
            <span>{MODES[one][0]}</span>
          </button>
        ))}
      </nav>
      <div class="top-end">
        {!online.value && <span class="offline">Connecting…</span>}
        <IconButton icon={THEMES[theme.value]} label={`Colours: ${theme.value}`} onClick={nextTheme} />
        <IconButton icon="help" label="Help and keys" onClick={() => (helpShown.value = true)} />
        {about.value?.locked && <IconButton icon="exit" label="Log out" onClick={() => void logout()} />}
      </div>
    </header>
  );
}
