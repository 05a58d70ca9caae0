/** Serves this project's own files to a browser. */
import { readdir } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createServer } from 'vite'

export interface PageServer {
  /** `http://127.0.0.1:PORT`; below it the project's files, and an empty page at `/page`. */
  readonly url: string
  /** The address of a file or folder given to `serve`. */
  addressOf(path: string): string
  close(): Promise<void>
}

/** The folder that holds `core/`, `scripts/` and the others: the repository, or `dist/`. */
const root = fileURLToPath(new URL('../..', import.meta.url))

const PAGE = '<!doctype html><meta charset="utf-8"><title>Tunesmith</title><link rel="icon" href="data:,">'

/**
 * Vite over the sources as they are: it strips types, finds packages, serves workers and WebAssembly files.
 *
 * `/page` is an empty page that may share memory with its workers; `/page?alone` is one that may not, as any page is that
 * comes without the two headers.
 *
 * @param folders what else may be read, such as goldens beside the repository; a folder asked for with `?list` gives the
 * names of its entries as JSON
 */
export async function serve(folders: readonly string[] = []): Promise<PageServer> {
  const allowed = [root, ...folders.map((f) => resolve(f))]
  const server = await createServer({
    root,
    configFile: false,
    appType: 'custom',
    logLevel: 'error',
    server: {
      host: '127.0.0.1',
      port: 0,
      hmr: false,
      ws: false,
      watch: null,
      fs: { allow: allowed },
    },
    // packages as they are: a cache of bundles would be shared by tests that run at the same time
    optimizeDeps: { noDiscovery: true },
    plugins: [
      {
        name: 'tunesmith-pages',
        configureServer: ({ middlewares }) => {
          middlewares.use((request, response, next) => {
            answer(request, response, allowed).then((done) => done || next(), next)
          })
        },
      },
    ],
  })
  await server.listen()
  const { port } = server.httpServer!.address() as AddressInfo
  const url = `http://127.0.0.1:${port}`
  return {
    url,
    addressOf: (path) => `${url}/@fs/${resolve(path).replaceAll('\\', '/').replace(/^\//, '')}`,
    close: () => server.close(),
  }
}

/** What Vite does not do: the page, its headers, and lists of folders. True if the request was answered. */
async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  allowed: readonly string[],
): Promise<boolean> {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost')
  const isAlone = pathname === '/page' && searchParams.has('alone')
  if (!isAlone) {
    response.setHeader('Cross-Origin-Opener-Policy', 'same-origin')
    response.setHeader('Cross-Origin-Embedder-Policy', 'require-corp')
  }
  if (pathname === '/page') {
    response.setHeader('Content-Type', 'text/html')
    response.end(PAGE)
    return true
  }
  if (!searchParams.has('list')) return false
  const folder = resolve(decodeURIComponent(pathname).replace(/^\/@fs/, ''))
  const isAllowed = allowed.some((f) => folder === f || folder.startsWith(`${f}/`))
  const names = isAllowed ? await readdir(folder).catch(() => []) : []
  response.setHeader('Content-Type', 'application/json')
  response.end(JSON.stringify(names))
  return true
}
