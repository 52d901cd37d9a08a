// Serves the test page from a real 127.0.0.1 address: browsers let no other page open ws:// to it.
import { build } from 'esbuild';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { WEB } from './settings.ts';

export interface PageServer {
  url: string;
  stop(): Promise<void>;
}

const HTML = '<!doctype html><meta charset="utf-8"><title>test page</title><body><script src="client.js"></script>';

let bundle: Promise<string> | undefined;

function bundled(): Promise<string> {
  bundle ??= build({
    entryPoints: [join(WEB, 'e2e/page/client.ts')],
    bundle: true,
    write: false,
    format: 'iife',
    target: 'es2022',
    logLevel: 'error',
  }).then((result) => result.outputFiles[0]?.text ?? '');
  return bundle;
}

export async function servePage(): Promise<PageServer> {
  const script = await bundled();
  const server = createServer((request, response) => {
    const isScript = request.url === '/client.js';
    response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html');
    response.end(isScript ? script : HTML);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (typeof address !== 'object' || !address) throw new Error('the page server has no address');
  return {
    url: `http://127.0.0.1:${address.port}/`,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
