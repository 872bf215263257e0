/** Number fields, which accept typing, buttons and arrow keys, and sliders. Scrolling never changes a value. */
import { useId, useRef, useState } from 'preact/hooks';
import { plain } from '../logic/format.js';
import { Icon } from './icons.js';

interface NumberProps {
  readonly label: string;
  readonly value: number | null;
  readonly onChange: (value: number | null) => void;
  readonly min: number;
  readonly max: number;
  readonly step?: number;
  /** Value that applies while the field is empty; shown as the placeholder. */
  readonly fallback?: number | string | undefined;
  /** True if the field may be empty. */
  readonly optional?: boolean;
}

export function NumberField(props: NumberProps) {
  const { label, value, onChange, min, max, step = 1, fallback, optional = false } = props;
  const id = useId();
  // The text being typed is not necessarily a valid number yet.
  const [draft, setDraft] = useState<string | null>(null);
  const commit = (text: string): void => {
    setDraft(null);
    const number = Number(text.replace(',', '.'));
    if (text.trim() === '' && optional) onChange(null);
    else if (text.trim() !== '' && Number.isFinite(number)) onChange(snap(number, min, max, step));
  };
  const nudge = (direction: number): void => {
    setDraft(null);
    const from = value ?? (typeof fallback === 'number' ? fallback : min);
    onChange(snap(from + direction * step, min, max, step));
  };
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <div class="number">
        <button type="button" tabIndex={-1} aria-label={`${label}: less`} onClick={() => nudge(-1)}>
          <Icon name="minus" />
        </button>
        <input
          id={id}
          type="text"
          inputMode="decimal"
          autocomplete="off"
          value={draft ?? (value === null ? '' : plain(value))}
          placeholder={fallback === undefined ? '' : String(fallback)}
          onInput={(event) => setDraft(event.currentTarget.value)}
          onBlur={(event) => draft !== null && commit(event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key === 'ArrowUp' || event.key === 'ArrowDown') {
              event.preventDefault();
              nudge(event.key === 'ArrowUp' ? 1 : -1);
            } else if (event.key === 'Enter' && draft !== null) commit(draft);
          }}
        />
        <button type="button" tabIndex={-1} aria-label={`${label}: more`} onClick={() => nudge(1)}>
          <Icon name="plus" />
        </button>
      </div>
    </div>
  );
}

function snap(value: number, min: number, max: number, step: number): number {
  const within = Math.min(max, Math.max(min, value));
  if (!Number.isInteger(step)) return Math.round(within * 1000) / 1000;
  // Side lengths are multiples of the step; for other integers, the step is only the increment of the buttons.
  return min % step === 0 ? Math.round(within / step) * step : Math.round(within);
}

interface SliderProps {
  readonly label: string;
  readonly value: number;
  readonly onChange: (value: number) => void;
  readonly min: number;
  readonly max: number;
  readonly step: number;
  /** Labels of the two ends. */
  readonly ends?: readonly [string, string];
  readonly compact?: boolean;
}

/**
 * A slider that does not change when a touch scrolls the page: when the browser turns the touch into scrolling,
 * the value before the touch is restored.
 */
export function Slider({ label, value, onChange, min, max, step, ends, compact }: SliderProps) {
  const id = useId();
  const before = useRef(value);
  return (
    <div class={`slider ${compact ? 'compact' : ''}`}>
      <div class="slider-head">
        <label for={id}>{label}</label>
        <output for={id}>{plain(value)}</output>
      </div>
      <input
        id={id}
        type="range"
        {...{ min, max, step, value }}
        onPointerDown={() => {
          before.current = value;
        }}
        onPointerCancel={() => onChange(before.current)}
        onInput={(event) => onChange(event.currentTarget.valueAsNumber)}
      />
      {ends && (
        <div class="slider-ends" aria-hidden="true">
          <span>{ends[0]}</span>
          <span>{ends[1]}</span>
        </div>
      )}
    </div>
  );
}
