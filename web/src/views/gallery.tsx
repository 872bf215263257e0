/** All pictures, newest first; older ones come as one scrolls to them. They can be searched and selected. */
import { useEffect, useRef } from 'preact/hooks';
import { excerpt } from '../logic/format.js';
import { promptOf } from '../logic/names.js';
import {
  endSelecting,
  found,
  isSelected,
  query,
  selecting,
  startSelecting,
  toggleSelected,
} from '../state/found.js';
import { gallery, loadMore, more, type Shown } from '../state/jobs.js';
import { revealStage } from '../state/sight.js';
import { show, stage } from '../state/stage.js';
import { Icon } from '../ui/icons.js';
import { SelectionBar } from './selection-bar.js';

export function Gallery() {
  if (gallery.value.length === 0) return null;
  const all = found.value;
  return (
    <section class="gallery" aria-labelledby="gallery-title">
      <div class="section-head">
        <h2 id="gallery-title">Pictures</h2>
        <button type="button" class="link" onClick={selecting.value ? endSelecting : startSelecting}>
          {selecting.value ? 'Done' : 'Select'}
        </button>
      </div>
      <Search />
      {selecting.value && <SelectionBar />}
      <ul>
        {all.map((shown) => (
          <Thumb key={`${shown.job.id}/${shown.index}`} shown={shown} />
        ))}
      </ul>
      {more.value && <More />}
    </section>
  );
}

function Search() {
  const words = query.value;
  const count = found.value.length;
  return (
    <div class="search">
      <input
        type="search"
        value={words}
        aria-label="Search the pictures"
        placeholder="Search"
        title="Finds prompts, negative prompts, seeds, models and samplers. Also seed:42, model:name, &quot;exact words&quot;."
        autocomplete="off"
        spellcheck={false}
        onInput={(event) => {
          query.value = event.currentTarget.value;
        }}
        onKeyDown={(event) => {
          if (event.key !== 'Escape' || words === '') return;
          event.preventDefault();
          query.value = '';
        }}
      />
      <p class="hint" role="status">
        {words.trim() === '' ? '' : `${count === 0 ? 'Nothing' : count} found${more.value ? ' so far' : ''}`}
      </p>
    </div>
  );
}

function Thumb({ shown }: { readonly shown: Shown }) {
  const { job, picture, index } = shown;
  const chosen = stage.value?.job === job.id && stage.value.index === index;
  const marked = selecting.value && isSelected(shown);
  const element = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    if (chosen) intoSight(element.current!);
  }, [chosen]);
  const name = `${excerpt(promptOf(job), 80)}${index > 0 ? `, number ${index + 1}` : ''}`;
  const state = selecting.value
    ? ({ role: 'checkbox', 'aria-checked': marked } as const)
    : { 'aria-pressed': chosen };
  return (
    <li>
      <button
        ref={element}
        type="button"
        class={`thumb ${marked ? 'marked' : ''}`}
        aria-label={job.warnings?.length ? `${name}, with a warning` : name}
        title={excerpt(promptOf(job), 300)}
        {...state}
        onClick={(event) => choose(event, shown)}
      >
        <img
          src={`${picture.url}?width=256`}
          alt=""
          width={picture.width}
          height={picture.height}
          loading="lazy"
        />
        {selecting.value && <span class="mark">{marked && <Icon name="check" />}</span>}
        {job.warnings?.length ? <span class="flag" aria-hidden="true" /> : null}
      </button>
    </li>
  );
}

/** Shows an image, or selects it: while selecting, and with Ctrl or Shift at any time. */
function choose(event: MouseEvent, shown: Shown): void {
  if (!selecting.peek() && !(event.ctrlKey || event.metaKey || event.shiftKey)) {
    show(shown.job.id, shown.index);
    revealStage();
    return;
  }
  if (!selecting.peek()) startSelecting();
  toggleSelected(shown, event.shiftKey);
}

/** Scrolls the column of pictures, never the page: on a phone the stage is what one looks at. */
function intoSight(element: HTMLElement): void {
  const column = element.closest('.side');
  if (!column || column.scrollHeight <= column.clientHeight) return;
  const [box, room] = [element.getBoundingClientRect(), column.getBoundingClientRect()];
  if (box.top < room.top) column.scrollTop -= room.top - box.top + 8;
  else if (box.bottom > room.bottom) column.scrollTop += box.bottom - room.bottom + 8;
}

/** Asks for older ones when it comes into sight; a button too, for whoever does not scroll. */
function More() {
  const element = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    const watch = new IntersectionObserver(([entry]) => entry?.isIntersecting && void loadMore(), {
      rootMargin: '400px',
    });
    watch.observe(element.current!);
    return () => watch.disconnect();
  }, []);
  return (
    <button ref={element} type="button" class="link" onClick={() => void loadMore()}>
      Older pictures
    </button>
  );
}
