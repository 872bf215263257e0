/** What to draw, how long that is to the model, and Generate. */

import { effect, signal } from '@preact/signals';
import { useEffect, useId } from 'preact/hooks';
import { post } from '../api/http.js';
import type { TokenCount } from '../api/types.js';
import { limitsFor } from '../logic/limits.js';
import { weigh } from '../logic/weights.js';
import { canStop, enqueue, generate, stop } from '../state/actions.js';
import { mode, model, set, settings } from '../state/form.js';
import { queued } from '../state/jobs.js';
import { about } from '../state/session.js';

const tokens = signal<TokenCount | null>(null);

/** Asks the model's own tokenizer, once typing pauses. */
function countTokens(): () => void {
  let asked: AbortController | undefined;
  let timer = 0;
  const end = effect(() => {
    const { prompt } = settings.value;
    const name = model.value?.name;
    clearTimeout(timer);
    asked?.abort();
    if (!about.value || name === undefined || mode.value === 'sketch') return;
    timer = window.setTimeout(async () => {
      asked = new AbortController();
      try {
        tokens.value = await post<TokenCount>('/v1/tokenize', { prompt, model: name }, asked.signal);
      } catch {
        tokens.value = null; // a count is no reason to complain
      }
    }, 200);
  });
  return () => {
    clearTimeout(timer);
    end();
  };
}

function weighWords(event: KeyboardEvent & { readonly currentTarget: HTMLTextAreaElement }): void {
  if (!(event.ctrlKey || event.metaKey) || (event.key !== 'ArrowUp' && event.key !== 'ArrowDown')) return;
  event.preventDefault();
  const area = event.currentTarget;
  const { value: text, selectionStart: start, selectionEnd: end } = area;
  const next = weigh({ text, start, end }, event.key === 'ArrowUp' ? 1 : -1);
  area.value = next.text;
  area.setSelectionRange(next.start, next.end);
  area.dispatchEvent(new InputEvent('input', { bubbles: true }));
}

interface WordsProps {
  readonly label: string;
  readonly value: string;
  readonly placeholder: string;
  readonly onInput: (text: string) => void;
  readonly rows: number;
}

/** Words with weights. */
export function Words({ label, value, placeholder, onInput, rows }: WordsProps) {
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
        onKeyDown={weighWords}
      />
    </>
  );
}

export function Prompt() {
  useEffect(countTokens, []);
  return (
    <div class="prompt">
      <Words
        label="Prompt"
        value={settings.value.prompt}
        placeholder="What do you want to see?"
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
  const { tokens: used, windows, window: room } = count;
  const over = windows > 1 ? `, in ${windows} windows` : '';
  return (
    <p
      class={`count ${windows > 1 ? 'over' : ''}`}
      title="Tokens of the prompt, and how many the model reads at once"
    >
      {used} / {room * windows} tokens{over}
    </p>
  );
}

/** Generate, and what belongs beside it; at the lower edge of a phone it is always in reach. */
export function Actions() {
  const waiting = queued.value.length;
  return (
    <div class="actions">
      <button type="button" class="primary" title="Ctrl+Enter" onClick={() => void generate()}>
        {settings.value.mode === 'sketch' ? 'Make a picture' : 'Generate'}
      </button>
      <button
        type="button"
        class="plain"
        title="Queue it and go on looking (Ctrl+E)"
        onClick={() => void enqueue()}
      >
        Queue{waiting > 0 && <span class="badge">{waiting}</span>}
      </button>
      <button
        type="button"
        class="plain stop"
        title="Stop what this page has started (Esc)"
        disabled={!canStop.value}
        onClick={() => void stop()}
      >
        Stop
      </button>
    </div>
  );
}
