import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';

// `npm run dev` serves the page itself and hands everything else to a running `sluice dev`.
const server = process.env['SLUICE_URL'] ?? 'http://127.0.0.1:7880';

export default defineConfig({
  // The page is embedded in the server's binary: relative URLs let it live under any prefix.
  base: './',
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  // The SDK is taken from its sources: building the page needs no other build before it.
  resolve: {
    alias: { '@sluice-calls/client': fileURLToPath(new URL('./sdk/src/index.ts', import.meta.url)) },
  },
  build: {
    target: 'es2022',
    sourcemap: false,
    chunkSizeWarningLimit: 800,
  },
  server: {
    host: '127.0.0.1',
    proxy: {
      '/dev': server,
      '/demo': server,
      '/calls': { target: server, ws: true },
      '/rtc': { target: server, ws: true },
    },
  },
});
