// @ts-check
/**
 * `npm run docs:api`: writes the API reference from the docstrings of lib/ to .build/api with TypeDoc, as typedoc.json
 * configures it. Arguments are passed on to TypeDoc.
 *
 * TypeDoc calls the JavaScript compiler API, which TypeScript 7 does not have. A resolve hook replaces its `typescript` by
 * the dev dependency typescript-6, for this process only.
 */
import { spawnSync } from 'node:child_process';
import { register } from 'node:module';
import { root } from './files.mjs';

const hook = `
export function resolve(specifier, context, next) {
  return next(specifier === 'typescript' ? 'typescript-6' : specifier, context);
}`;
register(`data:text/javascript,${encodeURIComponent(hook)}`);

process.chdir(root);
// Links to sources need a remote; without one TypeDoc warns, and warnings are errors.
if (spawnSync('git', ['remote', 'get-url', 'origin']).status !== 0) process.argv.push('--disableSources');
await import(new URL('../node_modules/typedoc/dist/cli.js', import.meta.url).href);
