/** Color theme: light, dark or the system setting. */
import { effect } from '@preact/signals';
import { persistentSignal } from './persistent.js';

const themes = ['system', 'light', 'dark'] as const;
export type Theme = (typeof themes)[number];

export const theme = persistentSignal<Theme>(
  'theme',
  (stored) => themes.find((name) => name === stored) ?? 'system',
);

export function nextTheme(): void {
  theme.value = themes[(themes.indexOf(theme.peek()) + 1) % themes.length]!;
}

effect(() => {
  document.documentElement.dataset.theme = theme.value;
});
