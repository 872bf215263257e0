/** Bounds that turn a slip of a finger into an error instead of hours of work. */

/** Sides of pictures, in pixels, and their product. */
export const MAX_SIDE = 2 ** 14;
export const MAX_PIXELS = 2 ** 26;

/** Characters (UTF-16 units) of a prompt: some 1,600 windows of CLIP where each is a token. */
export const MAX_PROMPT = 120_000;

export const MAX_STEPS = 1000;
