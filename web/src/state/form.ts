/** Settings of the form, stored in the browser. */
import { computed } from '@preact/signals';
import { modelFor } from '../logic/request.js';
import { type Mode, resetOf, reviveSettings, type Settings } from '../logic/settings.js';
import { persistentSignal } from './persistent.js';
import { about } from './session.js';

export const settings = persistentSignal<Settings>('settings', reviveSettings);

export const mode = computed<Mode>(() => settings.value.mode);

/** The model that a new job would use. */
export const model = computed(() => modelFor(settings.value, about.value));

export function set(patch: Partial<Settings>): void {
  settings.value = { ...settings.peek(), ...patch };
}

/** Resets all settings except the mode, the models and the prompt. @returns the previous settings, for undo */
export function resetSettings(): Settings {
  const before = settings.peek();
  settings.value = resetOf(before);
  return before;
}
