/** Official MCP clients for tests, over HTTP and over the stdio of a real process. */
import { type CallToolResult, Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { MAIN } from './cli.js';

/** `legacy` speaks revisions with sessions, `modern` the revision 2026-07-28 without them. */
export type Revision = 'legacy' | 'modern';

function clientOf(revision: Revision): Client {
  const mode = revision === 'modern' ? { pin: '2026-07-28' } : 'legacy';
  return new Client({ name: 'test', version: '1.0.0' }, { versionNegotiation: { mode } });
}

export interface HttpClient {
  readonly client: Client;
  readonly transport: StreamableHTTPClientTransport;
}

export async function connectHttp(
  url: string,
  revision: Revision,
  headers: Record<string, string> = {},
): Promise<HttpClient> {
  const transport = new StreamableHTTPClientTransport(new URL('/mcp', url), { requestInit: { headers } });
  const client = clientOf(revision);
  await client.connect(transport);
  return { client, transport };
}

export interface StdioClient {
  readonly client: Client;
  readonly transport: StdioClientTransport;
  /** Returns the text on stderr so far. */
  readonly stderr: () => string;
}

/** Starts `safelight mcp` with its default data folder below `folder`. */
export async function connectStdio(
  folder: string,
  revision: Revision = 'legacy',
  args: readonly string[] = [],
): Promise<StdioClient> {
  const transport = new StdioClientTransport({
    ...{ command: process.execPath, args: [MAIN, 'mcp', '--threads', '1', ...args], stderr: 'pipe' },
    env: { XDG_DATA_HOME: folder, HOME: folder },
  });
  let stderr = '';
  transport.stderr?.on('data', (data: Buffer) => {
    stderr += data.toString();
  });
  const client = clientOf(revision);
  await client.connect(transport);
  return { client, transport, stderr: () => stderr };
}

/** Structured content of the tools that generate images. */
export interface JobResult {
  readonly job: string;
  readonly model: string;
  readonly images: readonly {
    readonly uri: string;
    readonly type: string;
    readonly width: number;
    readonly height: number;
    readonly seed?: number;
    readonly parameters: string;
    readonly file?: string;
    readonly shown?: string;
  }[];
  readonly warnings: readonly object[];
}

export function jobResultOf(result: CallToolResult): JobResult {
  if (result.isError) throw new Error(textOf(result));
  return result.structuredContent as unknown as JobResult;
}

/** Returns the bytes of the images in a result. */
export function imagesOf({ content }: CallToolResult): Buffer[] {
  return content.flatMap((block) => (block.type === 'image' ? [Buffer.from(block.data, 'base64')] : []));
}

/** Returns the text of a result. */
export function textOf({ content }: CallToolResult): string {
  return content.flatMap((block) => (block.type === 'text' ? [block.text] : [])).join('\n');
}
