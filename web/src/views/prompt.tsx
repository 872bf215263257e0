/** Prompt with its token count, and the buttons that start and stop jobs. */

import { effect, signal } from '@preact/signals';
import { useEffect, useId } from 'preact/hooks';
import { post } from '../api/http.js';
import type { TokenCount } from '../api/types.js';
import { limitsFor } from '../logic/limits.js';
import { changeWeight } from '../logic/weights.js';
import { canStop, enqueue, generate, stop } from '../state/actions.js';
import { mode, model, set, settings } from '../state/form.js';
import { queued } from '../state/jobs.js';
import { about } from '../state/session.js';

const tokens = signal<TokenCount | null>(null);

/** Counts the tokens with the model's tokenizer when typing pauses. Returns a function that stops it. */
function countTokens(): () => void {
  let request: AbortController | undefined;
  let timer = 0;
  const end = effect(() => {
    const { prompt } = settings.value;
    const name = model.value?.name;
    clearTimeout(timer);
    request?.abort();
    if (!about.value || name === undefined || mode.value === 'sketch') return;
    timer = window.setTimeout(async () => {
      request = new AbortController();
      try {
        tokens.value = await post<TokenCount>('/v1/tokenize', { prompt, model: name }, request.signal);
      } catch {
        tokens.value = null; // the count is optional, so errors are not shown
      }
    }, 200);
  });
  return () => {
    clearTimeout(timer);
    end();
  };
}

function handleWeightKeys(event: KeyboardEvent & { readonly currentTarget: HTMLTextAreaElement }): void {
  if (!(event.ctrlKey || event.metaKey) || (event.key !== 'ArrowUp' && event.key !== 'ArrowDown')) return;
  event.preventDefault();
  const area = event.currentTarget;
  const { value: text, selectionStart: start, selectionEnd: end } = area;
  const next = changeWeight({ text, start, end }, event.key === 'ArrowUp' ? 1 : -1);
  area.value = next.text;
  area.setSelectionRange(next.start, next.end);
  area.dispatchEvent(new InputEvent('input', { bubbles: true }));
}

interface PromptFieldProps {
  readonly label: string;
  readonly value: string;
  readonly placeholder: string;
  readonly onInput: (text: string) => void;
  readonly rows: number;
}

/** Text field for a prompt, in which Ctrl+Up and Ctrl+Down change the weight of words. */
export function PromptField({ label, value, placeholder, onInput, rows }: PromptFieldProps) {
  const id = useId();
  return (
    <>
      <label for={id} class="words-label">
        {label}
      </label>
      <textarea
        id={id}
        rows={rows}
        value={value}
        placeholder={placeholder}
        maxLength={limitsFor(about.value).maxPrompt}
        spellcheck={false}
        onInput={(event) => onInput(event.currentTarget.value)}
        onKeyDown={handleWeightKeys}
      />
    </>
  );
}

export function Prompt() {
  useEffect(countTokens, []);
  return (
    <div class="prompt">
      <PromptField
        label="Prompt"
        value={settings.value.prompt}
        placeholder="Describe the image"
        onInput={(prompt) => set({ prompt })}
        rows={3}
      />
      <Count />
    </div>
  );
}

function Count() {
  const count = tokens.value;
  if (!count) return <p class="count">&nbsp;</p>;
  const { tokens: used, windows, window: capacity } = count;
  const windowText = windows > 1 ? `, in ${windows} windows` : '';
  return (
    <p
      class={`count ${windows > 1 ? 'over' : ''}`}
      title="Tokens of the prompt, and the number of tokens that the text encoder reads"
    >
      {used} / {capacity * windows} tokens{windowText}
    </p>
  );
}

/** Buttons to generate, queue and stop; on a phone they always stay visible. */
export function Actions() {
  const queuedCount = queued.value.length;
  return (
    <div class="actions">
      <button type="button" class="primary" title="Ctrl+Enter" onClick={() => void generate()}>
        Generate
      </button>
      <button
        type="button"
        class="plain"
        title="Add to the queue without showing the job (Ctrl+E)"
        onClick={() => void enqueue()}
      >
        Queue{queuedCount > 0 && <span class="badge">{queuedCount}</span>}
      </button>
      <button
        type="button"
        class="plain stop"
        title="Stop the job started on this page (Esc)"
        disabled={!canStop.value}
        onClick={() => void stop()}
      >
        Stop
      </button>
    </div>
  );
}
