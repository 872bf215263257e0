/**
 * Gallery of all images, newest first, with search and selection. Older images are loaded when the user scrolls to
 * them.
 */
import { useEffect, useRef } from 'preact/hooks';
import { excerpt } from '../logic/format.js';
import { promptOf } from '../logic/names.js';
import {
  endSelecting,
  isSelected,
  query,
  searchResults,
  selecting,
  startSelecting,
  toggleSelected,
} from '../state/gallery-selection.js';
import { type GalleryImage, gallery, loadMore, more } from '../state/jobs.js';
import { revealStage } from '../state/scroll.js';
import { show, stage } from '../state/stage.js';
import { Icon } from '../ui/icons.js';
import { SelectionBar } from './selection-bar.js';

export function Gallery() {
  if (gallery.value.length === 0) return null;
  const results = searchResults.value;
  return (
    <section class="gallery" aria-labelledby="gallery-title">
      <div class="section-head">
        <h2 id="gallery-title">Images</h2>
        <button type="button" class="link" onClick={selecting.value ? endSelecting : startSelecting}>
          {selecting.value ? 'Done' : 'Select'}
        </button>
      </div>
      <Search />
      {selecting.value && <SelectionBar />}
      <ul>
        {results.map((shown) => (
          <Thumb key={`${shown.job.id}/${shown.index}`} shown={shown} />
        ))}
      </ul>
      {more.value && <More />}
    </section>
  );
}

function Search() {
  const text = query.value;
  const count = searchResults.value.length;
  return (
    <div class="search">
      <input
        type="search"
        value={text}
        aria-label="Search images"
        placeholder="Search"
        title="Searches prompts, negative prompts, seeds, models and samplers. Also seed:42, model:name, &quot;exact words&quot;."
        autocomplete="off"
        spellcheck={false}
        onInput={(event) => {
          query.value = event.currentTarget.value;
        }}
        onKeyDown={(event) => {
          if (event.key !== 'Escape' || text === '') return;
          event.preventDefault();
          query.value = '';
        }}
      />
      <p class="hint" role="status">
        {text.trim() === '' ? '' : `${count === 0 ? 'Nothing' : count} found${more.value ? ' so far' : ''}`}
      </p>
    </div>
  );
}

function Thumb({ shown }: { readonly shown: GalleryImage }) {
  const { job, image, index } = shown;
  const isShown = stage.value?.job === job.id && stage.value.index === index;
  const isMarked = selecting.value && isSelected(shown);
  const element = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    if (isShown) scrollToThumbnail(element.current!);
  }, [isShown]);
  const name = `${excerpt(promptOf(job, image), 80)}${index > 0 ? `, number ${index + 1}` : ''}`;
  const state = selecting.value
    ? ({ role: 'checkbox', 'aria-checked': isMarked } as const)
    : { 'aria-pressed': isShown };
  return (
    <li>
      <button
        ref={element}
        type="button"
        class={`thumb ${isMarked ? 'marked' : ''}`}
        aria-label={job.warnings?.length ? `${name}, with a warning` : name}
        title={excerpt(promptOf(job, image), 300)}
        {...state}
        onClick={(event) => choose(event, shown)}
      >
        <img src={`${image.url}?width=256`} alt="" width={image.width} height={image.height} loading="lazy" />
        {selecting.value && <span class="mark">{isMarked && <Icon name="check" />}</span>}
        {job.warnings?.length ? <span class="flag" aria-hidden="true" /> : null}
      </button>
    </li>
  );
}

/** Shows an image, or selects it in selection mode or with Ctrl or Shift. */
function choose(event: MouseEvent, shown: GalleryImage): void {
  if (!selecting.peek() && !(event.ctrlKey || event.metaKey || event.shiftKey)) {
    show(shown.job.id, shown.index);
    revealStage();
    return;
  }
  if (!selecting.peek()) startSelecting();
  toggleSelected(shown, event.shiftKey);
}

/**
 * Scrolls the gallery column to a thumbnail, but never the page, because on a phone the stage should stay
 * visible.
 */
function scrollToThumbnail(element: HTMLElement): void {
  const column = element.closest('.side');
  if (!column || column.scrollHeight <= column.clientHeight) return;
  const [box, visible] = [element.getBoundingClientRect(), column.getBoundingClientRect()];
  if (box.top < visible.top) column.scrollTop -= visible.top - box.top + 8;
  else if (box.bottom > visible.bottom) column.scrollTop += box.bottom - visible.bottom + 8;
}

/** Loads older images when it becomes visible; also a button. */
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
      Older images
    </button>
  );
}
