/** All pictures, newest first; older ones come as one scrolls to them. */
import { useEffect, useRef } from 'preact/hooks';
import { excerpt } from '../logic/format.js';
import { gallery, loadMore, more, type Shown } from '../state/jobs.js';
import { show, stage } from '../state/stage.js';
import { promptOf } from './stage.js';

export function Gallery() {
  const all = gallery.value;
  if (all.length === 0) return null;
  return (
    <section class="gallery" aria-labelledby="gallery-title">
      <div class="section-head">
        <h2 id="gallery-title">Pictures</h2>
      </div>
      <ul>
        {all.map((shown) => (
          <Thumb key={`${shown.job.id}/${shown.index}`} shown={shown} />
        ))}
      </ul>
      {more.value && <More />}
    </section>
  );
}

function Thumb({ shown }: { readonly shown: Shown }) {
  const { job, picture, index } = shown;
  const chosen = stage.value?.job === job.id && stage.value.index === index;
  const element = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    if (chosen) intoSight(element.current!);
  }, [chosen]);
  return (
    <li>
      <button
        ref={element}
        type="button"
        class="thumb"
        aria-label={`${excerpt(promptOf(job), 80)}${index > 0 ? `, number ${index + 1}` : ''}`}
        aria-pressed={chosen}
        onClick={() => show(job.id, index)}
      >
        <img
          src={`${picture.url}?width=256`}
          alt=""
          width={picture.width}
          height={picture.height}
          loading="lazy"
        />
      </button>
    </li>
  );
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
