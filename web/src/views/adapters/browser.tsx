/** Browser of the server's LoRAs and embeddings, which inserts them into the prompts. */
import { signal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useEffect, useId, useRef } from 'preact/hooks';
import type { Adapters } from '../../api/adapters.js';
import { loraNamed, matchesQuery, searchLoras } from '../../logic/adapter-search.js';
import { excerpt } from '../../logic/format.js';
import {
  adapters,
  adaptersError,
  adaptersLoading,
  adaptersShown,
  openAdapters,
  refreshAdapters,
  tags,
} from '../../state/adapters.js';
import { settings } from '../../state/form.js';
import { moveFocus } from '../../ui/arrow-keys.js';
import { IconButton } from '../../ui/controls.js';
import { Dialog } from '../../ui/dialog.js';
import { Icon } from '../../ui/icons.js';
import { EmbeddingCard } from './embedding-card.js';
import { LoraCard } from './lora-card.js';

const views = ['loras', 'embeddings'] as const;
type View = (typeof views)[number];
const LABELS: Readonly<Record<View, string>> = { loras: 'LoRAs', embeddings: 'Embeddings' };

const view = signal<View>('loras');
const query = signal('');

/** Button beside the prompt. */
export function OpenAdapters() {
  const count = tags.value.length;
  return (
    <button type="button" class="link adapters-open" aria-haspopup="dialog" onClick={openAdapters}>
      LoRAs and embeddings
      {count > 0 && (
        <span class="badge" title="Tags of LoRAs in the prompt">
          {count}
        </span>
      )}
    </button>
  );
}

export function AdapterBrowser() {
  return adaptersShown.value ? <Browser /> : null;
}

function Browser() {
  const search = useRef<HTMLInputElement>(null);
  // On a touch screen, the keyboard would cover the list.
  useEffect(() => {
    if (matchMedia('(pointer: fine)').matches) search.current?.focus();
  }, []);
  return (
    <Dialog
      title="LoRAs and embeddings"
      onClose={() => {
        adaptersShown.value = false;
      }}
    >
      <div class="adapters">
        <div class="adapters-tools">
          <input
            ref={search}
            type="search"
            aria-label="Search LoRAs and embeddings"
            placeholder="Search names and trigger words"
            autocomplete="off"
            spellcheck={false}
            value={query.value}
            onInput={(event) => {
              query.value = event.currentTarget.value;
            }}
            onKeyDown={(event) => {
              if (event.key !== 'Escape' || query.value === '') return;
              event.preventDefault();
              query.value = '';
            }}
          />
          <IconButton
            icon="reuse"
            label="Refresh the lists"
            disabled={adaptersLoading.value}
            onClick={() => void refreshAdapters()}
          />
        </div>
        <Tabs />
        <List />
        <p class="adapters-prompt">
          <b>Prompt</b> {excerpt(settings.value.prompt, 400) || 'is empty'}
        </p>
      </div>
    </Dialog>
  );
}

function Tabs() {
  const id = useId();
  const at = views.indexOf(view.value);
  return (
    <div
      class="tabs"
      role="tablist"
      aria-label="Kind"
      onKeyDown={(event) => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (!step) return;
        event.preventDefault();
        view.value = views[(at + step + views.length) % views.length]!;
        event.currentTarget.querySelectorAll('button')[views.indexOf(view.peek())]?.focus();
      }}
    >
      {views.map((name) => (
        <button
          key={name}
          type="button"
          role="tab"
          id={`${id}-${name}`}
          aria-controls="adapters-panel"
          aria-selected={view.value === name}
          tabIndex={view.value === name ? 0 : -1}
          onClick={() => {
            view.value = name;
          }}
        >
          {LABELS[name]} {adapters.value && `(${adapters.value[name].length})`}
        </button>
      ))}
    </div>
  );
}

function List() {
  const lists = adapters.value;
  const error = adaptersError.value;
  return (
    <section
      id="adapters-panel"
      class="adapters-panel"
      role="tabpanel"
      aria-label={LABELS[view.value]}
      aria-busy={adaptersLoading.value}
    >
      {error && (
        <p class="problem" role="alert">
          {error}
        </p>
      )}
      {lists ? <Cards lists={lists} /> : !error && <p class="hint">Reading the folders…</p>}
    </section>
  );
}

function Cards({ lists }: { readonly lists: Adapters }) {
  const text = query.value;
  const total = lists[view.value].length;
  if (total === 0) return <Empty view={view.value} configured={lists.configured} />;
  const unknown = tags.value.filter(({ name }) => !loraNamed(lists.loras, name));
  const cards: ComponentChildren[] =
    view.value === 'loras'
      ? searchLoras(lists, text).map((lora) => <LoraCard key={lora.file} lora={lora} loras={lists.loras} />)
      : lists.embeddings
          .filter(({ name, file, family }) => matchesQuery([name, file, family], text))
          .map((embedding) => <EmbeddingCard key={embedding.file} embedding={embedding} />);
  return (
    <>
      {view.value === 'loras' && unknown.length > 0 && (
        <p class="problem">
          The server has no LoRA named {[...new Set(unknown.map(({ name }) => `“${name}”`))].join(', ')}
        </p>
      )}
      <p class="hint" role="status">
        {text.trim() !== '' &&
          (cards.length === 0 ? 'Nothing matches the search' : `${cards.length} of ${total}`)}
      </p>
      <ul class="adapter-list" onKeyDown={(event) => moveFocus(event, '.adapter-toggle', 'li')}>
        {cards}
      </ul>
    </>
  );
}

/** Explains how to add files to an empty folder. */
function Empty({ view, configured }: { readonly view: View; readonly configured: boolean }) {
  const isLora = view === 'loras';
  return (
    <div class="adapters-empty">
      <Icon name="image" />
      <p>{isLora ? 'No LoRAs yet' : 'No embeddings yet'}</p>
      <p class="hint">
        {!configured && (
          <>
            Start the server with a folder of models, <code>safelight serve --models FOLDER</code>.{' '}
          </>
        )}
        Put files (<code>.safetensors</code> or <code>.pt</code>) into <code>{view}/</code> in the models
        folder, then refresh. An image of the same name beside a file, such as <code>NAME.png</code>, is its
        thumbnail.
      </p>
    </div>
  );
}
