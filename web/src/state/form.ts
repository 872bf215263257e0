/** The form's settings, kept. */
import { computed } from '@preact/signals';
import { modelFor } from '../logic/request.js';
import { defaults, type Mode, revived, type Settings } from '../logic/settings.js';
import { keptSignal } from './kept.js';
import { about } from './session.js';

export const settings = keptSignal<Settings>('settings', revived);

export const mode = computed<Mode>(() => settings.value.mode);

/** The model that Generate would use now. */
export const model = computed(() => modelFor(settings.value, about.value));

export function set(patch: Partial<Settings>): void {
  settings.value = { ...settings.peek(), ...patch };
}

/** Back to the model's defaults; prompts and modes stay. */
export function resetSettings(): void {
  const { mode: now, model: chosen, codesModel, prompt, negative } = settings.peek();
  settings.value = { ...defaults, mode: now, model: chosen, codesModel, prompt, negative };
}
