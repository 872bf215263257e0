/**
 * A1111's resize modes, in its order. `resize` changes the aspect ratio, `crop` covers the size and crops the excess,
 * `fill` fits within the size and extends its edges. `latent` encodes the image at its size and enlarges the latent;
 * for pixels it is `resize`.
 */
export const resizeModes = ['resize', 'crop', 'fill', 'latent'] as const;
export type ResizeMode = (typeof resizeModes)[number];
