/** A JSON value. */
export type { Json } from '../options/json.js';
