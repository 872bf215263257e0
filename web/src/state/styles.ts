/** Prompt styles of the server, and the selection for the next job. */
import { effect, signal } from '@preact/signals';
import { get, put, remove } from '../api/http.js';
import type { Style } from '../api/types.js';
import { styledPrompts, stylesOf } from '../logic/request.js';
import { set, settings } from './form.js';
import { notify, showError } from './notifications.js';
import { about } from './session.js';

export const library = signal<readonly Style[]>([]);
/** The style being edited; a new style has no name yet. */
export const edited = signal<{ readonly style: Style; readonly isNew: boolean } | null>(null);

/** Reloads the styles, which other pages and A1111's clients may have changed. */
async function refreshStyles(): Promise<void> {
  const { styles } = await get<{ styles: Style[] }>('v1/styles');
  library.value = styles;
  const { styles: selected } = settings.peek();
  const remaining = selected.filter((name) => styles.some((style) => style.name === name));
  if (remaining.length < selected.length) set({ styles: remaining });
}

export function toggleStyle(name: string): void {
  const { styles } = settings.peek();
  set({ styles: styles.includes(name) ? styles.filter((other) => other !== name) : [...styles, name] });
}

/** Inserts the selected styles into the prompts and clears the selection. */
export function insertStyles(): void {
  try {
    const current = settings.peek();
    set({ ...styledPrompts(current, stylesOf(current, library.peek())), styles: [] });
    notify('Inserted the styles into the prompts');
  } catch (error) {
    showError(error);
  }
}

/** Saves a style. @param before its previous name; if different, the style is renamed */
export async function saveStyle(
  { name, prompt, negative }: Style,
  before: string | undefined,
): Promise<boolean> {
  try {
    await put(`v1/styles/${encodeURIComponent(name)}`, { prompt, negative });
    if (before !== undefined && before !== name) await remove(`v1/styles/${encodeURIComponent(before)}`);
    const { styles } = settings.peek();
    set({ styles: styles.map((other) => (other === before ? name : other)) });
    await refreshStyles();
    notify(`Saved the style “${name}”`);
    return true;
  } catch (error) {
    showError(error);
    return false;
  }
}

export async function deleteStyle(name: string): Promise<void> {
  try {
    await remove(`v1/styles/${encodeURIComponent(name)}`);
    await refreshStyles();
    notify(`Deleted the style “${name}”`);
  } catch (error) {
    showError(error);
  }
}

// Loads the styles when the server is connected, and again after login.
effect(() => {
  if (about.value) refreshStyles().catch(showError);
});
