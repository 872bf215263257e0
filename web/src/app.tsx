/** The page: form, stage, queue and pictures. */
import { mode } from './state/form.js';
import { Arrival, RestoreButton } from './views/arrival.js';
import { Help, Login, Notes } from './views/dialogs.js';
import { Editor } from './views/editor.js';
import { Enlarge } from './views/enlarge.js';
import { Gallery } from './views/gallery.js';
import { Header } from './views/header.js';
import { Actions, Prompt } from './views/prompt.js';
import { Queue } from './views/queue.js';
import { Settings } from './views/settings.js';
import { Source } from './views/source.js';
import { Stage } from './views/stage.js';
import { StyleEditor } from './views/styles.js';
import { Inside } from './views/trace/trace.js';

export function App() {
  return (
    <>
      <Header />
      <main class={`page mode-${mode.value}`}>
        {mode.value === 'inside' ? <Inside /> : <Making />}
        <aside class="side" aria-label="Queue and pictures">
          <Queue />
          <Gallery />
        </aside>
      </main>
      <Notes />
      <Arrival />
      <Enlarge />
      <StyleEditor />
      <Help />
      <Login />
    </>
  );
}

function Making() {
  const now = mode.value;
  const paints = now === 'inpaint' || now === 'sketch';
  return (
    <>
      <div class="panel">
        {(now === 'picture' || now === 'inpaint') && <Source />}
        {now === 'sketch' ? (
          <p class="hint">Draw on the page, roughly: the model makes a picture of it, code by code.</p>
        ) : (
          <Prompt />
        )}
        <Actions />
        <Settings />
        <RestoreButton />
      </div>
      <div class={`center ${paints ? 'with-editor' : ''}`}>
        {paints && <Editor />}
        <Stage />
      </div>
    </>
  );
}
