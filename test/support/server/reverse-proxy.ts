/** A reverse proxy that offers a server below a path, next to other programs, as nginx does. */
import { createServer, request as httpRequest, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface ReverseProxyOptions {
  /** Path below which the server is offered, such as `/safelight`. */
  readonly path: string;
  /** Removes the path from forwarded requests. */
  readonly strips: boolean;
}

export class ReverseProxy {
  private constructor(
    private readonly server: Server,
    /** URL of the offered server. */
    readonly url: string,
    /** URLs of requests for anything but the server. */
    readonly strays: readonly string[],
  ) {}

  static async start(target: string, { path, strips }: ReverseProxyOptions): Promise<ReverseProxy> {
    const { hostname, port } = new URL(target);
    const strays: string[] = [];
    const server = createServer((request, response) => {
      const url = request.url ?? '';
      if (url !== path && !url.startsWith(`${path}/`) && !url.startsWith(`${path}?`)) {
        strays.push(url);
        response.writeHead(404).end('another program');
        return;
      }
      const forwarded = httpRequest({
        ...{ hostname, port, method: request.method, headers: request.headers },
        path: strips ? url.slice(path.length) || '/' : url,
      });
      forwarded.on('response', (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(response);
      });
      forwarded.on('error', () => response.destroy());
      response.on('close', () => forwarded.destroy());
      request.pipe(forwarded);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    return new ReverseProxy(server, origin + path, strays);
  }

  async end(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }
}
