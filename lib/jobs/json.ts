/** What JSON can say. */
export type { Json } from '../options/json.js';
