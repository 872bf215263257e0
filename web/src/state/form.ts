/** The form's settings, kept. */
import { computed } from '@preact/signals';
import { modelFor } from '../logic/request.js';
import { type Mode, resetOf, revived, type Settings } from '../logic/settings.js';
import { persistentSignal } from './persistent.js';
import { about } from './session.js';

export const settings = persistentSignal<Settings>('settings', revived);

export const mode = computed<Mode>(() => settings.value.mode);

/** The model that Generate would use now. */
export const model = computed(() => modelFor(settings.value, about.value));

export function set(patch: Partial<Settings>): void {
  settings.value = { ...settings.peek(), ...patch };
}

/** Back to the model's defaults; the mode, the models and the prompt stay. @returns the settings before, for taking it back */
export function resetSettings(): Settings {
  const before = settings.peek();
  settings.value = resetOf(before);
  return before;
}
