import './styles/tokens.css';
import './styles/controls.css';
import './styles/layout.css';
import './styles/stage.css';
import './styles/editor.css';
import './styles/inside.css';
import { render } from 'preact';
import { App } from './app.js';
import { restoreDrafts } from './state/drafts.js';
import { listenToKeys } from './state/keys.js';
import { begin } from './state/session.js';
import { listenToArrivals } from './views/arrival.js';

listenToKeys();
listenToArrivals();
void restoreDrafts();
void begin();
render(<App />, document.getElementById('app')!);
