/** Bounds that turn a slip of a finger into an error instead of hours of work. */

/** Sides of pictures, in pixels, and their product. */
export const MAX_SIDE = 2 ** 14;
export const MAX_PIXELS = 2 ** 26;

/** Characters of a prompt. */
export const MAX_PROMPT = 1_000_000;

export const MAX_STEPS = 1000;
