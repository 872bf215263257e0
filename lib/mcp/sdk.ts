/** Loads the official SDK of the Model Context Protocol when a client first needs it. */

/** Protocol, server and streamable HTTP. */
export type McpSdk = typeof import('@modelcontextprotocol/server');
/** Transport over stdin and stdout. */
export type StdioSdk = typeof import('@modelcontextprotocol/server/stdio');

export function loadSdk(): Promise<McpSdk> {
  return import('@modelcontextprotocol/server');
}

export function loadStdioSdk(): Promise<StdioSdk> {
  return import('@modelcontextprotocol/server/stdio');
}
