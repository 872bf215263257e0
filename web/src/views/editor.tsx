/** The canvas of inpainting and sketching, with its tools. */
import { useRef } from 'preact/hooks';
import type { Sheet } from '../logic/sheet.js';
import { drawing, mask, source, strokes, touched } from '../state/drafts.js';
import { brush, fit, tool, view, zoom } from '../state/easel.js';
import { mode } from '../state/form.js';
import { IconButton } from '../ui/controls.js';
import { Slider } from '../ui/numbers.js';
import { SheetCanvas } from './sheet-canvas.js';

export function Editor() {
  const element = useRef<HTMLElement>(null);
  const masking = mode.value === 'inpaint';
  const sheet = masking ? mask.value : drawing.value;
  void strokes.value;
  if (!sheet)
    return (
      <section class="editor empty" aria-label="Mask">
        <div class="frame">
          <div class="tray">
            <p>Drop, paste or choose a picture, and paint over what is to be made anew.</p>
          </div>
        </div>
      </section>
    );
  return (
    <section
      ref={element}
      class="editor"
      aria-label={masking ? 'Mask' : 'Drawing'}
      onKeyDown={(event) => keys(event, sheet)}
    >
      <SheetCanvas
        key={masking ? source.value?.url : 'drawing'}
        sheet={sheet}
        kind={masking ? 'mask' : 'drawing'}
        under={masking ? source.value?.url : undefined}
      />
      <Tools sheet={sheet} masking={masking} onFullscreen={() => void fullscreen(element.current)} />
    </section>
  );
}

interface ToolsProps {
  readonly sheet: Sheet;
  readonly masking: boolean;
  readonly onFullscreen: () => void;
}

function Tools({ sheet, masking, onFullscreen }: ToolsProps) {
  const kind = masking ? 'mask' : 'drawing';
  const change = (work: () => unknown): void => {
    work();
    touched(sheet);
  };
  return (
    <div class="easel">
      <div class="tools" role="toolbar" aria-label="Canvas">
        <IconButton
          icon="brush"
          label="Brush"
          pressed={tool.value === 'brush'}
          onClick={() => (tool.value = 'brush')}
        />
        <IconButton
          icon="eraser"
          label="Eraser"
          pressed={tool.value === 'eraser'}
          onClick={() => (tool.value = 'eraser')}
        />
        <IconButton
          icon="hand"
          label="Move"
          pressed={tool.value === 'move'}
          onClick={() => (tool.value = 'move')}
        />
        <span class="gap" />
        <IconButton
          icon="undo"
          label="Undo"
          disabled={!sheet.canUndo}
          onClick={() => change(() => sheet.undo())}
        />
        <IconButton
          icon="redo"
          label="Redo"
          disabled={!sheet.canRedo}
          onClick={() => change(() => sheet.redo())}
        />
        {masking && (
          <IconButton
            icon="invert"
            label="Turn the mask over"
            onClick={() => change(() => sheet.change((value) => 255 - value))}
          />
        )}
        <IconButton
          icon="trash"
          label={masking ? 'Clear the mask' : 'Clear the page'}
          disabled={sheet.empty}
          onClick={() => change(() => sheet.change(() => 0))}
        />
        <span class="gap" />
        <IconButton
          icon="minus"
          label="Zoom out"
          disabled={view.value.scale === 1}
          onClick={() => zoom(1 / 1.5)}
        />
        <IconButton icon="plus" label="Zoom in" onClick={() => zoom(1.5)} />
        <IconButton icon="fit" label="Full screen" onClick={onFullscreen} />
      </div>
      <Slider
        compact
        label="Brush size"
        value={brush.value[kind]}
        min={2}
        max={160}
        step={1}
        onChange={(size) => {
          brush.value = { ...brush.value, [kind]: size };
        }}
      />
    </div>
  );
}

async function fullscreen(element: HTMLElement | null): Promise<void> {
  if (document.fullscreenElement) await document.exitFullscreen();
  else await element?.requestFullscreen?.().catch(() => undefined);
}

function keys(event: KeyboardEvent, sheet: Sheet): void {
  if (event.target instanceof HTMLInputElement) return;
  const kind = mode.peek() === 'inpaint' ? 'mask' : 'drawing';
  const key = event.key.toLowerCase();
  const modified = event.ctrlKey || event.metaKey;
  const sized = (factor: number): void => {
    const size = Math.round(Math.min(160, Math.max(2, brush.peek()[kind] * factor)));
    brush.value = { ...brush.peek(), [kind]: size };
  };
  const actions: Record<string, () => void> = {
    b: () => (tool.value = 'brush'),
    e: () => (tool.value = 'eraser'),
    '[': () => sized(1 / 1.2),
    ']': () => sized(1.2),
    '+': () => zoom(1.5),
    '-': () => zoom(1 / 1.5),
    '0': fit,
  };
  const redoes = modified && ((key === 'z' && event.shiftKey) || key === 'y');
  if (redoes || (modified && key === 'z')) {
    if (redoes) sheet.redo();
    else sheet.undo();
    touched(sheet);
  } else if (!modified && actions[key]) actions[key]();
  else return;
  event.preventDefault();
}
