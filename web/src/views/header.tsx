/** Header with the name, modes, theme and help. */
import { type Mode, modes } from '../logic/settings.js';
import { mode, set } from '../state/form.js';
import { online, running } from '../state/jobs.js';
import { helpShown } from '../state/keys.js';
import { about, logout } from '../state/session.js';
import { nextTheme, theme } from '../state/theme.js';
import { IconButton } from '../ui/controls.js';
import { Icon, type IconName } from '../ui/icons.js';

const MODES: Readonly<Record<Mode, readonly [string, IconName, string]>> = {
  text: ['Text', 'text', 'Generate an image from text'],
  picture: ['Image', 'image', 'Generate an image from an image'],
  inpaint: ['Inpaint', 'mask', 'Regenerate a part of an image'],
  sketch: ['Sketch', 'pencil', 'Generate an image from a sketch'],
  inside: ['Inspect', 'inspect', 'Inspect how an image was generated'],
};

const THEMES = { system: 'system', light: 'sun', dark: 'moon' } as const;

export function Header() {
  return (
    <header class="top">
      <h1 class="name">
        <span class={`lamp ${running.value.length > 0 ? 'lit' : ''}`} aria-hidden="true" />
        Safelight
      </h1>
      <nav class="modes" aria-label="Mode">
        {modes.map((item) => (
          <button
            key={item}
            type="button"
            title={MODES[item][2]}
            aria-current={mode.value === item ? 'page' : undefined}
            onClick={() => set({ mode: item })}
          >
            <Icon name={MODES[item][1]} />
            <span>{MODES[item][0]}</span>
          </button>
        ))}
      </nav>
      <div class="top-end">
        {!online.value && <span class="offline">Connecting…</span>}
        <IconButton icon={THEMES[theme.value]} label={`Theme: ${theme.value}`} onClick={nextTheme} />
        <IconButton
          icon="help"
          label="Help and keyboard shortcuts"
          onClick={() => (helpShown.value = true)}
        />
        {about.value?.locked && <IconButton icon="exit" label="Log out" onClick={() => void logout()} />}
      </div>
    </header>
  );
}
