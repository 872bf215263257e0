/** Upscaler models of the server. */
import { computed, effect, signal } from '@preact/signals';
import { get } from '../api/http.js';
import type { Upscaler, Upscalers } from '../api/types.js';
import { about } from './session.js';

const listed = signal<readonly Upscaler[] | null>(null);

/** The models that can be used; empty before they are loaded. */
export const upscalers = computed(() => (listed.value ?? []).filter(({ problem }) => problem === undefined));

/** Reads the list again, because files may have been added. The last list is kept if the server does not respond. */
export async function refreshUpscalers(): Promise<readonly Upscaler[]> {
  try {
    listed.value = (await get<Upscalers>('v1/upscalers')).upscalers;
  } catch {
    // The connection to the server reports this.
  }
  return upscalers.peek();
}

effect(() => {
  if (about.value) void refreshUpscalers();
});
