/** The server's prompt styles, and those chosen for the next job. */
import { effect, signal } from '@preact/signals';
import { get, put, remove } from '../api/http.js';
import type { Style } from '../api/types.js';
import { styledPrompts, stylesOf } from '../logic/request.js';
import { set, settings } from './form.js';
import { complain, note } from './notes.js';
import { about } from './session.js';

export const library = signal<readonly Style[]>([]);
/** The style that is edited; one without a name yet is new. */
export const edited = signal<{ readonly style: Style; readonly isNew: boolean } | null>(null);

/** Reads the styles anew, since A1111's clients and other pages share them. */
async function refreshStyles(): Promise<void> {
  const { styles } = await get<{ styles: Style[] }>('/v1/styles');
  library.value = styles;
  const { styles: chosen } = settings.peek();
  const left = chosen.filter((name) => styles.some((style) => style.name === name));
  if (left.length < chosen.length) set({ styles: left });
}

export function toggleStyle(name: string): void {
  const { styles } = settings.peek();
  set({ styles: styles.includes(name) ? styles.filter((one) => one !== name) : [...styles, name] });
}

/** Writes the chosen styles into the prompts, where they can be changed, and chooses none. */
export function writeStyles(): void {
  try {
    const now = settings.peek();
    set({ ...styledPrompts(now, stylesOf(now, library.peek())), styles: [] });
    note('The styles are written into the prompts');
  } catch (error) {
    complain(error);
  }
}

/** @param before the name it had; another one then means that it is renamed */
export async function saveStyle(
  { name, prompt, negative }: Style,
  before: string | undefined,
): Promise<boolean> {
  try {
    await put(`/v1/styles/${encodeURIComponent(name)}`, { prompt, negative });
    if (before !== undefined && before !== name) await remove(`/v1/styles/${encodeURIComponent(before)}`);
    const { styles } = settings.peek();
    set({ styles: styles.map((one) => (one === before ? name : one)) });
    await refreshStyles();
    note(`The style “${name}” is saved`);
    return true;
  } catch (error) {
    complain(error);
    return false;
  }
}

export async function deleteStyle(name: string): Promise<void> {
  try {
    await remove(`/v1/styles/${encodeURIComponent(name)}`);
    await refreshStyles();
    note(`The style “${name}” is deleted`);
  } catch (error) {
    complain(error);
  }
}

// Once the server is known, and again when its key was given.
effect(() => {
  if (about.value) refreshStyles().catch(complain);
});
