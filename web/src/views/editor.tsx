/** Canvas for inpainting masks and sketches, with its tools. */
import { useRef } from 'preact/hooks';
import type { PaintLayer } from '../logic/paint-layer.js';
import { brush, fit, tool, view, zoom } from '../state/canvas.js';
import { drawing, mask, saveLayer, source, strokes } from '../state/drafts.js';
import { mode } from '../state/form.js';
import { IconButton } from '../ui/controls.js';
import { Slider } from '../ui/numbers.js';
import { PaintCanvas } from './paint-canvas.js';

export function Editor() {
  const element = useRef<HTMLElement>(null);
  const masking = mode.value === 'inpaint';
  const layer = masking ? mask.value : drawing.value;
  void strokes.value;
  if (!layer)
    return (
      <section class="editor empty" aria-label="Mask">
        <div class="frame">
          <div class="tray">
            <p>Drop, paste or choose an image, then paint over the area to regenerate.</p>
          </div>
        </div>
      </section>
    );
  return (
    <section
      ref={element}
      class="editor"
      aria-label={masking ? 'Mask' : 'Sketch'}
      onKeyDown={(event) => handleKeys(event, layer)}
    >
      <PaintCanvas
        key={masking ? source.value?.url : 'drawing'}
        layer={layer}
        kind={masking ? 'mask' : 'drawing'}
        under={masking ? source.value?.url : undefined}
      />
      <Tools layer={layer} masking={masking} onFullscreen={() => void fullscreen(element.current)} />
    </section>
  );
}

interface ToolsProps {
  readonly layer: PaintLayer;
  readonly masking: boolean;
  readonly onFullscreen: () => void;
}

function Tools({ layer, masking, onFullscreen }: ToolsProps) {
  const kind = masking ? 'mask' : 'drawing';
  const change = (edit: () => unknown): void => {
    edit();
    saveLayer(layer);
  };
  return (
    <div class="canvas-tools">
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
          disabled={!layer.canUndo}
          onClick={() => change(() => layer.undo())}
        />
        <IconButton
          icon="redo"
          label="Redo"
          disabled={!layer.canRedo}
          onClick={() => change(() => layer.redo())}
        />
        {masking && (
          <IconButton
            icon="invert"
            label="Invert the mask"
            onClick={() => change(() => layer.change((value) => 255 - value))}
          />
        )}
        <IconButton
          icon="trash"
          label={masking ? 'Clear the mask' : 'Clear the sketch'}
          disabled={layer.empty}
          onClick={() => change(() => layer.change(() => 0))}
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

function handleKeys(event: KeyboardEvent, layer: PaintLayer): void {
  if (event.target instanceof HTMLInputElement) return;
  const kind = mode.peek() === 'inpaint' ? 'mask' : 'drawing';
  const key = event.key.toLowerCase();
  const modified = event.ctrlKey || event.metaKey;
  const scaleBrush = (factor: number): void => {
    const size = Math.round(Math.min(160, Math.max(2, brush.peek()[kind] * factor)));
    brush.value = { ...brush.peek(), [kind]: size };
  };
  const actions: Record<string, () => void> = {
    b: () => (tool.value = 'brush'),
    e: () => (tool.value = 'eraser'),
    '[': () => scaleBrush(1 / 1.2),
    ']': () => scaleBrush(1.2),
    '+': () => zoom(1.5),
    '-': () => zoom(1 / 1.5),
    '0': fit,
  };
  const isRedo = modified && ((key === 'z' && event.shiftKey) || key === 'y');
  if (isRedo || (modified && key === 'z')) {
    if (isRedo) layer.redo();
    else layer.undo();
    saveLayer(layer);
  } else if (!modified && actions[key]) actions[key]();
  else return;
  event.preventDefault();
}
