/** A server without the optional SDK. */
import { expect, it, vi } from 'vitest';
import { call, startServer } from '../support/server/test-server.js';

vi.mock('@modelcontextprotocol/server', () => {
  throw new Error('Cannot find package');
});

it('answers 501 at /mcp with the command that installs the SDK, and serves everything else', async () => {
  const server = await startServer();
  try {
    for (let attempt = 0; attempt < 2; attempt++) {
      const { status, body } = await call(`${server.url}/mcp`, { method: 'POST', json: {} });
      expect({ status, body }).toMatchObject({
        status: 501,
        body: {
          error: {
            code: 'PACKAGE_NOT_FOUND',
            message: expect.stringContaining('npm install @modelcontextprotocol/server@2'),
          },
        },
      });
    }
    expect((await fetch(`${server.url}/v1/models`)).status).toBe(200);
  } finally {
    await server.end();
  }
});
