/** Scrolling to the current image. */

/** Scrolls to the current image, unless at least 80% of it is visible. @param block alignment in the window */
export function revealStage(block: ScrollLogicalPosition = 'start'): void {
  // Waits until the stage is rendered, because the frame has the proportions of the image.
  requestAnimationFrame(() => {
    const frame = document.querySelector('.stage .frame, .grid-view, .inspected-image');
    if (!frame) return;
    const { top, bottom, height } = frame.getBoundingClientRect();
    const visible = Math.min(bottom, innerHeight) - Math.max(top, 0);
    if (visible >= Math.min(height, innerHeight) * 0.8) return;
    const reducedMotion = matchMedia('(prefers-reduced-motion: reduce)').matches;
    frame.scrollIntoView({ block, behavior: reducedMotion ? 'auto' : 'smooth' });
  });
}
