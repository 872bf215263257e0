/** Buttons, folds, choices: labelled, and usable by keyboard. */
import { useSignal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useId } from 'preact/hooks';
import { persistentSignal } from '../state/persistent.js';
import { Icon, type IconName } from './icons.js';

interface DeleteButtonProps {
  /** What the second click confirms. */
  readonly question?: string;
  readonly onDelete: () => void;
  /** Before the word. */
  readonly children?: ComponentChildren;
}

/** Deletes at the second click, since what is deleted is gone. */
export function DeleteButton({ question = 'Really?', onDelete, children }: DeleteButtonProps) {
  const armed = useSignal(false);
  return (
    <button
      type="button"
      class="plain"
      onBlur={() => {
        armed.value = false;
      }}
      onClick={() => {
        if (armed.value) onDelete();
        armed.value = true;
      }}
    >
      {children}
      {armed.value ? question : 'Delete'}
    </button>
  );
}

interface IconButtonProps {
  readonly icon: IconName;
  readonly label: string;
  readonly onClick: () => void;
  readonly disabled?: boolean;
  readonly pressed?: boolean;
  readonly class?: string;
}

/** A button that shows only its sign; the label is read out and shown on hovering. */
export function IconButton({ icon, label, onClick, disabled, pressed, ...rest }: IconButtonProps) {
  return (
    <button
      type="button"
      class={`quiet ${rest.class ?? ''}`}
      aria-label={label}
      title={label}
      disabled={disabled ?? false}
      {...(pressed === undefined ? {} : { 'aria-pressed': pressed })}
      onClick={onClick}
    >
      <Icon name={icon} />
    </button>
  );
}

interface SelectProps<T extends string> {
  readonly label: string;
  readonly value: T;
  readonly options: readonly (readonly [T, string])[];
  readonly onChange: (value: T) => void;
}

export function Select<T extends string>({ label, value, options, onChange }: SelectProps<T>) {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <select id={id} value={value} onChange={(event) => onChange(event.currentTarget.value as T)}>
        {options.map(([name, text]) => (
          <option key={name} value={name} selected={name === value}>
            {text}
          </option>
        ))}
      </select>
    </div>
  );
}

interface ToggleProps {
  readonly label: string;
  readonly on: boolean;
  readonly onChange: (on: boolean) => void;
}

export function Toggle({ label, on, onChange }: ToggleProps) {
  return (
    <label class="toggle">
      <input
        type="checkbox"
        role="switch"
        checked={on}
        aria-checked={on}
        onChange={(event) => onChange(event.currentTarget.checked)}
      />
      <span>{label}</span>
    </label>
  );
}

interface FoldProps {
  readonly title: string;
  /** What is set within, for when it is closed. */
  readonly summary?: string;
  /** Whether it is open at first. */
  readonly open?: boolean;
  readonly children: ComponentChildren;
}

const folds = persistentSignal<Readonly<Record<string, boolean>>>('folds', (kept) =>
  typeof kept === 'object' && kept !== null ? (kept as Record<string, boolean>) : {},
);

/** A part of the form that can be opened; whether it is survives a reload. While it is closed, nothing in it is drawn. */
export function Fold({ title, summary, open: first = false, children }: FoldProps) {
  const isOpen = folds.value[title] ?? first;
  return (
    <details
      class="fold"
      open={isOpen}
      onToggle={(event) => {
        const { open } = event.currentTarget;
        if (open !== (folds.peek()[title] ?? first)) folds.value = { ...folds.peek(), [title]: open };
      }}
    >
      <summary>
        <span class="fold-title">{title}</span>
        {summary && <span class="fold-summary">{summary}</span>}
      </summary>
      {isOpen && <div class="fold-body">{children}</div>}
    </details>
  );
}
