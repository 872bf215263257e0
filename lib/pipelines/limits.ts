/** Bounds that turn a slip of a finger into an error instead of hours of work. */

/** Sides of pictures, in pixels, and their product. */
export const MAX_SIDE = 2 ** 14;
export const MAX_PIXELS = 2 ** 26;

/** Characters (UTF-16 units) of a prompt: up to some 1,300 windows of the text encoder, which the U-Net attends to at each step. */
export const MAX_PROMPT = 100_000;

export const MAX_STEPS = 1000;
