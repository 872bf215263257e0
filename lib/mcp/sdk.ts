/** Loads the official SDK of the Model Context Protocol, an optional package, when a client first needs it. */
import { SafelightError } from '../errors.js';

/** Protocol, server and streamable HTTP. */
export type McpSdk = typeof import('@modelcontextprotocol/server');
/** Transport over stdin and stdout. */
export type StdioSdk = typeof import('@modelcontextprotocol/server/stdio');

const PACKAGE = '@modelcontextprotocol/server';

/** @throws PACKAGE_NOT_FOUND if the SDK is not installed */
export function loadSdk(): Promise<McpSdk> {
  return orNotFound(import('@modelcontextprotocol/server'));
}

/** @throws PACKAGE_NOT_FOUND if the SDK is not installed */
export function loadStdioSdk(): Promise<StdioSdk> {
  return orNotFound(import('@modelcontextprotocol/server/stdio'));
}

async function orNotFound<T>(loading: Promise<T>): Promise<T> {
  try {
    return await loading;
  } catch (error) {
    throw new SafelightError(
      'PACKAGE_NOT_FOUND',
      `MCP requires the package ${PACKAGE} 2, which is not installed; run npm install ${PACKAGE}@2 (with -g if safelight is installed globally)`,
      { cause: error },
    );
  }
}
