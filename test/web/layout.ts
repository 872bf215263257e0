/** Flaws of a page's layout; collected by a function that runs inside the page. */

export interface Flaws {
  /** Pixels by which the page is wider than the window. */
  readonly wider: number;
  /** Elements that extend beyond the window's left or right edge. */
  readonly beyond: string[];
  /** Controls whose center is covered or outside of the window after scrolling to them. */
  readonly unreachable: string[];
  /** Controls whose text does not fit. */
  readonly cut: string[];
}

const CONTROLS =
  'button, a[href], input, select, textarea, summary, [role="application"], [role="tab"], [role="checkbox"]';

export function flaws(controls: string): Flaws {
  const edge = document.documentElement.clientWidth;
  const name = (element: Element): string => {
    const text = element.getAttribute('aria-label') ?? element.textContent ?? '';
    return `${element.tagName.toLowerCase()}.${element.getAttribute('class') ?? ''} ${text.trim().slice(0, 40)}`;
  };
  const dialog = document.querySelector('dialog[open]');
  const visible = (element: Element): boolean => element.checkVisibility({ visibilityProperty: true });
  const all = [...(dialog ?? document.body).querySelectorAll('*')].filter(visible);

  // Overflow that an ancestor clips or scrolls does not widen the page; controls in it are checked below.
  const clipped = (element: Element): boolean => {
    for (let at = element.parentElement; at && at !== document.body; at = at.parentElement)
      if (getComputedStyle(at).overflowX !== 'visible') return true;
    return false;
  };
  const beyond = all.filter((element) => {
    const { left, right, width } = element.getBoundingClientRect();
    return width > 1 && (left < -0.5 || right > edge + 0.5) && !clipped(element);
  });

  const reachable = [...document.querySelectorAll(controls)].filter((element) => {
    const { width, height } = element.getBoundingClientRect();
    return visible(element) && width > 1 && height > 1 && (!dialog || dialog.contains(element));
  });
  const unreachable = reachable.filter((element) => {
    element.scrollIntoView({ block: 'center', behavior: 'instant' });
    const { left, top, width, height } = element.getBoundingClientRect();
    const found = document.elementFromPoint(left + width / 2, top + height / 2);
    const hit = found && (element.contains(found) || found.closest('label')?.contains(element));
    return !hit || left < -0.5 || left + width > edge + 0.5;
  });

  const words = 'button:not(.queue-name, .chip, .thumb), a.plain, summary > .fold-title, th, label, dt';
  const cut = [...document.querySelectorAll<HTMLElement>(words)].filter(
    (element) =>
      visible(element) &&
      element.clientWidth > 1 &&
      (element.scrollWidth > element.clientWidth + 1 || element.scrollHeight > element.clientHeight + 4),
  );
  // A number, or the text shown for a missing one, has to be visible completely.
  const context = document.createElement('canvas').getContext('2d')!;
  const fields = [...document.querySelectorAll<HTMLInputElement>('.number input')].filter((field) => {
    const style = getComputedStyle(field);
    context.font = `${style.fontSize} ${style.fontFamily}`;
    const text = [field.value, field.placeholder].map((one) => context.measureText(one).width);
    const room =
      field.clientWidth - Number.parseFloat(style.paddingLeft) - Number.parseFloat(style.paddingRight);
    return visible(field) && Math.max(...text) > room;
  });
  scrollTo({ top: 0, behavior: 'instant' });
  return {
    wider: Math.max(document.scrollingElement!.scrollWidth, document.body.scrollWidth) - innerWidth,
    beyond: beyond.slice(0, 10).map(name),
    unreachable: unreachable.slice(0, 10).map(name),
    cut: [...cut, ...fields].slice(0, 10).map(name),
  };
}

export { CONTROLS };
