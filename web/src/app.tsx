/** Layout of the page: form, stage, queue and gallery. */
import { mode } from './state/form.js';
import { AdapterBrowser } from './views/adapters/browser.js';
import { Help, Login, Notifications } from './views/dialogs.js';
import { DroppedImage, RestoreButton } from './views/dropped-image.js';
import { Editor } from './views/editor.js';
import { Enlarge } from './views/enlarge.js';
import { Gallery } from './views/gallery.js';
import { Header } from './views/header.js';
import { Source } from './views/input-image.js';
import { Actions, Prompt } from './views/prompt.js';
import { Queue } from './views/queue.js';
import { Settings } from './views/settings.js';
import { Stage } from './views/stage.js';
import { StyleEditor } from './views/styles.js';
import { InspectView } from './views/trace/trace.js';
import { Upscale } from './views/upscale.js';

export function App() {
  return (
    <>
      <Header />
      <main class={`page mode-${mode.value}`}>
        {mode.value === 'inside' ? <InspectView /> : <GenerateView />}
        <aside class="side" aria-label="Queue and images">
          <Queue />
          <Gallery />
        </aside>
      </main>
      <Notifications />
      <DroppedImage />
      <Enlarge />
      <Upscale />
      <StyleEditor />
      <AdapterBrowser />
      <Help />
      <Login />
    </>
  );
}

function GenerateView() {
  const currentMode = mode.value;
  const hasEditor = currentMode === 'inpaint' || currentMode === 'sketch';
  return (
    <>
      <div class="panel">
        {(currentMode === 'picture' || currentMode === 'inpaint') && <Source />}
        {currentMode === 'sketch' ? (
          <p class="hint">Draw a rough sketch: the model generates an image from it.</p>
        ) : (
          <Prompt />
        )}
        <Actions />
        <Settings />
        <RestoreButton />
      </div>
      <div class={`center ${hasEditor ? 'with-editor' : ''}`}>
        {hasEditor && <Editor />}
        <Stage />
      </div>
    </>
  );
}
