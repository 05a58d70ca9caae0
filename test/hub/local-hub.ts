import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { onTestFinished } from 'vitest'

/** What one request asked for, as tests want to look at it. */
export interface SeenRequest {
  host: 'hub' | 'store'
  method: string
  path: string
  authorization: string | undefined
}

export interface LocalHub {
  endpoint: string
  /** The commit of `main`. */
  commit: string
  requests: SeenRequest[]
  /** Changes the content and so the commit of `main`. */
  update(files: Record<string, string | Uint8Array>): void
  /** Makes the Hub answer in another way; the listener returns false to leave a request to the usual routes. */
  intercept(listener: (request: IncomingMessage, response: ServerResponse) => boolean): void
  /** Takes the Hub from the network. */
  stop(): void
}

export interface LocalHubOptions {
  id: string
  files: Record<string, string | Uint8Array>
  /** Only requests with this token may read. */
  token?: string
  /** Files in a page of the tree listing. */
  pageSize?: number
}

interface StoredFile {
  path: string
  bytes: Uint8Array
  /** As the Hub names it: sha256 for safetensors (LFS), git's blob id for the rest. */
  etag: string
  lfs: boolean
}

/**
 * A Hub with one model on the loopback interface: revision, tree and paths-info, `resolve` with a redirect of large
 * files to a second host, the error codes of the real one. Goes away when the test ends.
 */
export async function localHub(options: LocalHubOptions): Promise<LocalHub> {
  const requests: SeenRequest[] = []
  let files: StoredFile[] = []
  let intercept: (request: IncomingMessage, response: ServerResponse) => boolean = () => false
  const note = (host: SeenRequest['host'], { method = '', url = '', headers }: IncomingMessage) =>
    requests.push({ host, method, path: decodeURIComponent(url), authorization: headers.authorization })

  const store = await listen((request, response) => {
    note('store', request)
    const file = files.find(({ etag }) => request.url === `/${etag}`)
    send(request, response, file ? 200 : 404, {}, file?.bytes ?? 'gone')
  })

  const hub = await listen((request, response) => {
    note('hub', request)
    if (intercept(request, response)) return
    const refuse = (status: number, code: string) =>
      send(request, response, status, { 'X-Error-Code': code }, code)
    if (options.token && request.headers.authorization !== `Bearer ${options.token}`)
      return refuse(401, 'RepoNotFound') // as the Hub does, so that nobody learns which private models there are
    const url = new URL(request.url ?? '/', hub.endpoint)
    const route = matchRoute(decodeURIComponent(url.pathname), options.id)
    if (!route) return refuse(404, 'RepoNotFound')
    if (!['main', 'HEAD', result.commit].includes(route.revision)) return refuse(404, 'RevisionNotFound')
    if (route.kind === 'revision') {
      const siblings = files.map(({ path }) => ({ rfilename: path }))
      return json(request, response, {
        _id: '1',
        id: options.id,
        sha: result.commit,
        siblings,
        private: false,
      })
    }
    if (route.kind === 'tree') return sendTree(request, response, url)
    const file = files.find(({ path }) => path === route.path)
    if (!file) return refuse(404, 'EntryNotFound')
    const headers = { ETag: `"${file.etag}"`, 'X-Repo-Commit': result.commit }
    if (!file.lfs) return send(request, response, 200, headers, file.bytes)
    const linked = { 'X-Linked-ETag': `"${file.etag}"`, 'X-Linked-Size': String(file.bytes.length) }
    const location = `${store.endpoint}/${file.etag}`
    send(request, response, 302, { ...headers, ...linked, Location: location }, '')
  })

  function sendTree(request: IncomingMessage, response: ServerResponse, url: URL): void {
    const pageSize = options.pageSize ?? 1000
    const cursor = Number(url.searchParams.get('cursor') ?? 0)
    const entries = files.slice(cursor, cursor + pageSize).map(({ path, bytes, etag, lfs }) => ({
      type: 'file',
      path,
      size: bytes.length,
      oid: lfs ? gitBlobId(new TextEncoder().encode(`pointer to ${etag}`)) : etag,
      ...(lfs && { lfs: { oid: etag, size: bytes.length, pointerSize: 130 } }),
    }))
    const folders = cursor === 0 ? [{ type: 'directory', path: 'onnx', size: 0, oid: '0'.repeat(40) }] : []
    url.searchParams.set('cursor', String(cursor + pageSize))
    const more = cursor + pageSize < files.length
    json(request, response, [...folders, ...entries], more ? { Link: `<${url.href}>; rel="next"` } : {})
  }

  const result: LocalHub = {
    endpoint: hub.endpoint,
    commit: '',
    requests,
    update(contents) {
      files = Object.entries(contents).map(([path, content]) => {
        const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content
        const lfs = path.endsWith('.safetensors')
        return { path, bytes, lfs, etag: lfs ? hash('sha256', bytes) : gitBlobId(bytes) }
      })
      result.commit = hash('sha1', new TextEncoder().encode(files.map(({ etag }) => etag).join()))
    },
    intercept(listener) {
      intercept = listener
    },
    stop: hub.stop,
  }
  result.update(options.files)
  return result
}

type Route = { kind: 'revision' | 'tree' | 'resolve'; revision: string; path: string }

function matchRoute(path: string, id: string): Route | undefined {
  for (const kind of ['revision', 'tree', 'resolve'] as const) {
    const prefix = kind === 'resolve' ? `/${id}/resolve/` : `/api/models/${id}/${kind}/`
    if (!path.startsWith(prefix)) continue
    const [revision, ...rest] = path.slice(prefix.length).split('/')
    return { kind, revision, path: rest.join('/') }
  }
  return undefined
}

async function listen(listener: RequestListener): Promise<{ endpoint: string; stop(): void }> {
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const stop = () => {
    server.close()
    server.closeAllConnections()
  }
  onTestFinished(stop)
  return { endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, stop }
}

function json(request: IncomingMessage, response: ServerResponse, value: unknown, headers = {}): void {
  send(request, response, 200, { 'Content-Type': 'application/json', ...headers }, JSON.stringify(value))
}

function send(
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  headers: Record<string, string>,
  body: string | Uint8Array,
): void {
  response.writeHead(status, { ...headers, 'Content-Length': String(Buffer.byteLength(body)) })
  response.end(request.method === 'HEAD' ? undefined : body)
}

function hash(algorithm: string, bytes: Uint8Array): string {
  return createHash(algorithm).update(bytes).digest('hex')
}

function gitBlobId(bytes: Uint8Array): string {
  return createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex')
}
