/**
 * A1111's resize modes, in its order. `resize` changes the proportions, `crop` covers the size and cuts off what is too much, `fill` lies
 * within it and draws its edges out. `latent` encodes the image as it is and enlarges its latent; where pixels are needed, it is `resize`.
 */
export const resizeModes = ['resize', 'crop', 'fill', 'latent'] as const;
export type ResizeMode = (typeof resizeModes)[number];
