import './styles/tokens.css';
import './styles/controls.css';
import './styles/layout.css';
import './styles/prompt.css';
import './styles/adapters.css';
import './styles/gallery.css';
import './styles/stage.css';
import './styles/editor.css';
import './styles/trace.css';
import './styles/grid.css';
import { effect } from '@preact/signals';
import { render } from 'preact';
import { App } from './app.js';
import { refreshAdapters } from './state/adapters.js';
import { restoreDrafts } from './state/drafts.js';
import { listenToKeys } from './state/keys.js';
import { separateTabs } from './state/own-jobs.js';
import { about, connect } from './state/session.js';
import { listenToDrops } from './views/dropped-image.js';

separateTabs();
listenToKeys();
listenToDrops();
void restoreDrafts();
void connect();
// The names of embeddings are highlighted in the prompts.
effect(() => {
  if (about.value) void refreshAdapters();
});
render(<App />, document.getElementById('app')!);
