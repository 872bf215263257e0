/**
 * A text area with marks below its text, and a line that explains the mark under the pointer or the caret. The marks
 * are a layer with the same text and metrics behind the text area, which stays a native one: editing, undo, spell
 * check, input methods and screen readers work as usual.
 */
import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useEffect, useLayoutEffect, useMemo, useRef } from 'preact/hooks';
import { MAX_HIGHLIGHTED, markAtCaret, markAtPoint, type PromptMark } from '../logic/prompt-marks.js';

/** Milliseconds for which the caret has to rest before a part is explained, so that typing announces nothing. */
const REST = 200;

interface MarkedTextareaProps {
  readonly id: string;
  readonly value: string;
  readonly marks: readonly PromptMark[];
  readonly placeholder: string;
  readonly rows: number;
  readonly maxLength: number;
  readonly onInput: (text: string) => void;
  readonly onKeyDown: (event: TextareaKeyEvent) => void;
}

export type TextareaKeyEvent = KeyboardEvent & { readonly currentTarget: HTMLTextAreaElement };

export function MarkedTextarea({ value, marks, onInput, ...attributes }: MarkedTextareaProps) {
  const area = useRef<HTMLTextAreaElement>(null);
  const layer = useRef<HTMLDivElement>(null);
  const pointed = useSignal(-1);
  const caret = useSignal<number | null>(null);
  const content = useMemo(() => contentOf(value, marks), [value, marks]);
  useCaret(area, caret);
  useAlignment(area, layer, value);

  const atCaret = caret.value === null ? -1 : markAtCaret(marks, caret.value);
  const active = pointed.value >= 0 && pointed.value < marks.length ? pointed.value : atCaret;
  useLayoutEffect(() => {
    const element = layer.current?.children[active];
    element?.classList.add('active');
    return () => element?.classList.remove('active');
  }, [active, content]);

  return (
    <div class="marked">
      <div class="marked-box">
        <div class="marks" aria-hidden="true" ref={layer}>
          {content}
        </div>
        <textarea
          {...attributes}
          ref={area}
          value={value}
          spellcheck={false}
          onInput={(event) => onInput(event.currentTarget.value)}
          onScroll={() => alignScroll(area.current, layer.current)}
          onPointerMove={(event) => {
            if (event.pointerType !== 'touch') pointed.value = markUnder(layer.current, event);
          }}
          onPointerLeave={() => {
            pointed.value = -1;
          }}
        />
      </div>
      <p class={`explanation ${marks.length > 0 ? 'reserved' : ''}`} role="status">
        {marks[active]?.explanation ??
          (value.length > MAX_HIGHLIGHTED && caret.value !== null ? TOO_LONG : '')}
      </p>
    </div>
  );
}

const TOO_LONG = `A prompt of more than ${MAX_HIGHLIGHTED.toLocaleString('en')} characters is not highlighted.`;

/** Returns the text with an element for each mark. */
function contentOf(text: string, marks: readonly PromptMark[]): (JSX.Element | string)[] {
  const content: (JSX.Element | string)[] = [];
  let from = 0;
  for (const [i, { start, end, kind }] of marks.entries()) {
    content.push(
      text.slice(from, start),
      <span key={i} class={`mark mark-${kind}`}>
        {text.slice(start, end)}
      </span>,
    );
    from = end;
  }
  // Without a character after it, the last line break would have no line.
  content.push(`${text.slice(from)}\u200b`);
  return content;
}

type AreaRef = { readonly current: HTMLTextAreaElement | null };

/** Follows the caret of the focused text area, also on touch screens, when it rests. */
function useCaret(area: AreaRef, caret: { value: number | null }): void {
  useEffect(() => {
    let timer = 0;
    const follow = (): void => {
      clearTimeout(timer);
      const { current } = area;
      const isFocused = current !== null && document.activeElement === current;
      if (!isFocused) caret.value = null;
      else
        timer = window.setTimeout(() => {
          caret.value = current.selectionStart;
        }, REST);
    };
    const events = ['selectionchange', 'focusin', 'focusout', 'input', 'keyup'] as const;
    // While focus moves, the active element is the body.
    for (const event of events) document.addEventListener(event, follow);
    return () => {
      clearTimeout(timer);
      for (const event of events) document.removeEventListener(event, follow);
    };
  }, [area, caret]);
}

/** Keeps the width and the scroll position of the layer equal to those of the text area. */
function useAlignment(area: AreaRef, layer: { readonly current: HTMLElement | null }, text: string): void {
  useLayoutEffect(() => align(area.current, layer.current), [area, layer, text]);
  useEffect(() => {
    const observer = new ResizeObserver(() => align(area.current, layer.current));
    if (area.current) observer.observe(area.current);
    return () => observer.disconnect();
  }, [area, layer]);
}

function align(area: HTMLTextAreaElement | null, layer: HTMLElement | null): void {
  if (!area || !layer) return;
  // Without the scroll bar, which takes space on some systems.
  const borders = area.clientLeft * 2;
  layer.style.width = `${area.clientWidth + borders}px`;
  alignScroll(area, layer);
}

function alignScroll(area: HTMLTextAreaElement | null, layer: HTMLElement | null): void {
  if (area && layer) layer.scrollTop = area.scrollTop;
}

function markUnder(layer: HTMLElement | null, { clientX, clientY }: PointerEvent): number {
  const elements = layer?.children;
  if (!elements || elements.length === 0) return -1;
  return markAtPoint(elements.length, (i) => elements[i]!.getClientRects(), clientX, clientY);
}
