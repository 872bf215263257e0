/** Buttons, selects, toggles and collapsible sections; all are labeled and usable with the keyboard. */
import { useSignal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useId } from 'preact/hooks';
import { persistentSignal } from '../state/persistent.js';
import { Icon, type IconName } from './icons.js';

interface DeleteButtonProps {
  /** Text of the button before the confirming click. */
  readonly question?: string;
  readonly onDelete: () => void;
  /** Content before the text, such as an icon. */
  readonly children?: ComponentChildren;
}

/** A button that deletes on the second click, because deletion cannot be undone. */
export function DeleteButton({ question = 'Click again to delete', onDelete, children }: DeleteButtonProps) {
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

/** A button with only an icon. The label is read by screen readers and shown on hover. */
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
  /** Summary of the settings inside, shown next to the title. */
  readonly summary?: string;
  /** True if the section is initially open. */
  readonly open?: boolean;
  readonly children: ComponentChildren;
}

const folds = persistentSignal<Readonly<Record<string, boolean>>>('folds', (stored) =>
  typeof stored === 'object' && stored !== null ? (stored as Record<string, boolean>) : {},
);

/**
 * A collapsible section of the form whose state survives a reload. The content of a closed section is not
 * rendered.
 */
export function Fold({ title, summary, open: initial = false, children }: FoldProps) {
  const isOpen = folds.value[title] ?? initial;
  return (
    <details
      class="fold"
      open={isOpen}
      onToggle={(event) => {
        const { open } = event.currentTarget;
        if (open !== (folds.peek()[title] ?? initial)) folds.value = { ...folds.peek(), [title]: open };
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
