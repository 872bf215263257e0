export { type ErrorCode, SafelightError } from './errors.js';
