/** Scrolling to what was asked for, where the page is longer than the window. */

/**
 * Scrolls the page to the image that was chosen, unless most of it is in sight.
 * @param block where in the window it comes to lie
 */
export function revealStage(block: ScrollLogicalPosition = 'start'): void {
  // After the stage has drawn itself: a job's frame has the proportions of its own image.
  requestAnimationFrame(() => {
    const frame = document.querySelector('.stage .frame, .looked-at');
    if (!frame) return;
    const { top, bottom, height } = frame.getBoundingClientRect();
    const seen = Math.min(bottom, innerHeight) - Math.max(top, 0);
    if (seen >= Math.min(height, innerHeight) * 0.8) return;
    const still = matchMedia('(prefers-reduced-motion: reduce)').matches;
    frame.scrollIntoView({ block, behavior: still ? 'auto' : 'smooth' });
  });
}
