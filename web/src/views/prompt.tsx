/** Prompt with its token count, and the buttons that start and stop jobs. */

import { effect, signal } from '@preact/signals';
import { useEffect, useId, useMemo } from 'preact/hooks';
import { post } from '../api/http.js';
import type { TokenCount } from '../api/types.js';
import { hasGrid } from '../logic/grid/form-axes.js';
import { limitsFor } from '../logic/limits.js';
import { marksOf } from '../logic/prompt-marks.js';
import { changeWeight } from '../logic/weights.js';
import { canStop, enqueue, generate, stop } from '../state/actions.js';
import { adapters } from '../state/adapters.js';
import { mode, model, set, settings } from '../state/form.js';
import { queued } from '../state/jobs.js';
import { about } from '../state/session.js';
import { MarkedTextarea, type TextareaKeyEvent } from '../ui/marked-textarea.js';
import { OpenAdapters } from './adapters/browser.js';

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
        tokens.value = await post<TokenCount>('v1/tokenize', { prompt, model: name }, request.signal);
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

function handleWeightKeys(event: TextareaKeyEvent): void {
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
  /** True for a negative prompt, in which AND and tags are text. */
  readonly negative?: boolean;
}

/**
 * Text field for a prompt, which marks its syntax and explains the part under the caret or pointer. Ctrl+Up and
 * Ctrl+Down change the weight of words.
 */
export function PromptField({
  label,
  value,
  placeholder,
  onInput,
  rows,
  negative = false,
}: PromptFieldProps) {
  const id = useId();
  const { dynamicPrompts, emphasis } = settings.value.further;
  const [dynamic, attention] = [dynamicPrompts === true, emphasis !== 'none'];
  const list = adapters.value?.embeddings;
  const embeddings = useMemo(() => list?.map(({ name }) => name) ?? [], [list]);
  const marks = useMemo(
    () => marksOf(value, { negative, dynamic, attention, embeddings }),
    [value, negative, dynamic, attention, embeddings],
  );
  return (
    <>
      <label for={id} class="words-label">
        {label}
      </label>
      <MarkedTextarea
        id={id}
        rows={rows}
        value={value}
        marks={marks}
        placeholder={placeholder}
        maxLength={limitsFor(about.value).maxPrompt}
        onInput={onInput}
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
      <OpenAdapters />
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
        {settings.value.grid && hasGrid(settings.value) ? 'Generate grid' : 'Generate'}
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
