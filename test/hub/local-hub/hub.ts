import type { IncomingMessage, ServerResponse } from 'node:http'
import { type Answer, type Asked, json, listen, ranged, refuse } from './http.ts'
import {
  addCommit,
  type Content,
  type Context,
  findCommit,
  isLarge,
  newRepository,
  type Objects,
  type Repository,
  repositoryKey,
  type StoredFile,
  storeFile,
  storeLarge,
} from './repository.ts'
import { batch, commit, completeMultipart, createRepository, preupload, receive } from './uploads.ts'

/** What one request asked for, as tests want to look at it. */
export interface SeenRequest {
  host: 'hub' | 'store'
  method: string
  path: string
  authorization: string | undefined
  range: string | undefined
}

export interface Hub {
  endpoint: string
  requests: SeenRequest[]
  repositories: Map<string, Repository>
  objects: Objects
  /** Puts a commit with these files on `main` of a model (or data set); the repository is made where there is none. */
  update(id: string, files: Record<string, Content>, type?: Repository['type']): string
  /** Makes one of the two hosts answer in another way; the listener returns false to leave a request to the usual routes. */
  intercept(
    listener: (request: IncomingMessage, response: ServerResponse, host: SeenRequest['host']) => boolean,
  ): void
  /** Takes the Hub from the network. */
  stop(): void
}

export interface HubOptions {
  /** Tokens that are known, and whether they may write. All others are refused. */
  tokens?: Record<string, 'read' | 'write'>
  /** Files in a page of the tree listing. */
  pageSize?: number
  /** Large uploads come in parts of so many bytes. Default: whole. */
  partSize?: number
}

/**
 * A Hub in memory, on the loopback interface, with a second host for large files: the routes and headers that
 * huggingface_hub 2.4 and @huggingface/hub 2.17 use, which its own tests hold it to.
 */
export async function startHub(options: HubOptions = {}): Promise<Hub> {
  const requests: SeenRequest[] = []
  let intercept: Parameters<Hub['intercept']>[0] = () => false
  const context: Context = {
    endpoint: () => hub.endpoint,
    storeEndpoint: () => store.endpoint,
    repositories: new Map(),
    objects: new Map(),
    tokens: options.tokens ?? {},
    partSize: options.partSize,
  }
  const { repositories, objects } = context
  const handler =
    (host: SeenRequest['host'], answer: (asked: Asked) => Answer | Promise<Answer>) =>
    async (asked: Asked) => {
      const { method = '', url = '', headers } = asked.request
      const { authorization, range } = headers
      requests.push({ host, method, path: decodeURIComponent(url), authorization, range })
      return intercept(asked.request, asked.response, host) ? undefined : answer(asked)
    }
  const store = await listen(
    'localhost',
    handler('store', (asked) => answerStore(context, asked)),
  )
  const hub = await listen(
    '127.0.0.1',
    handler('hub', (asked) => answerHub(context, options, asked)),
  )
  return {
    endpoint: hub.endpoint,
    requests,
    repositories,
    objects,
    update(id, contents, type = 'model') {
      const key = repositoryKey(type, id)
      const repository = repositories.get(key) ?? newRepository(type, id)
      repositories.set(key, repository)
      const files = Object.entries(contents).map(([path, content]): [string, StoredFile] => [
        path,
        isLarge(path)
          ? storeLarge(objects, path, typeof content === 'string' ? Buffer.from(content) : content)
          : storeFile(objects, path, content),
      ])
      return addCommit(repository, 'main', 'update', new Map(files))
    },
    intercept(listener) {
      intercept = listener
    },
    stop: () => {
      hub.stop()
      store.stop()
    },
  }
}

/** Large files: their address is a secret for a while, so no token is asked for. */
async function answerStore(context: Context, { request, url, body }: Asked): Promise<Answer> {
  const [, oid, part] = url.pathname.split('/')
  if (!url.searchParams.has('signature')) return { status: 403, body: '<Error>AccessDenied</Error>' }
  if (request.method === 'PUT') return receive(context, oid, part, await body())
  const content = context.objects.get(oid)
  if (!content) return { status: 404, body: '<Error>NoSuchKey</Error>' }
  return ranged(request, content, { ETag: `"${oid.slice(0, 32)}"` })
}

async function answerHub(context: Context, { pageSize = 1000 }: HubOptions, asked: Asked): Promise<Answer> {
  const { request, url } = asked
  const path = decodeURIComponent(url.pathname)
  const token = /^Bearer (.*)$/.exec(request.headers.authorization ?? '')?.[1]
  const access = token === undefined ? 'none' : context.tokens[token]
  if (access === undefined) return refuse(401, undefined, 'Invalid credentials in Authorization header')
  if (path === '/api/whoami-v2')
    return access === 'none'
      ? refuse(401, undefined, 'Invalid username or password.')
      : json({ type: 'user', name: 'me', auth: { accessToken: { role: access } } })
  if (path === '/api/validate-yaml') return json({ errors: [], warnings: [] })
  if (path === '/api/repos/create')
    return createRepository(context, access, JSON.parse(String(await asked.body())))
  if (path === '/api/complete_multipart')
    return completeMultipart(context, url.searchParams, JSON.parse(String(await asked.body())))

  const route = matchRoute(url)
  if (!route) return refuse(404, undefined, 'Sorry, we can not find the page you are looking for.')
  const repository = context.repositories.get(repositoryKey(route.type, route.id))
  if (!repository || (repository.private && access === 'none'))
    // As the Hub does, so that nobody learns which private repositories there are.
    return access === 'none'
      ? refuse(401, 'RepoNotFound', 'Invalid username or password.')
      : refuse(404, 'RepoNotFound', 'Repository not found')
  if (route.kind === 'batch') return batch(context, access, await asked.body())
  const commitId = findCommit(repository, route.revision)
  if (!commitId) return refuse(404, 'RevisionNotFound', `Invalid rev id: ${route.revision}`)
  const { files } = repository.commits.get(commitId)!
  switch (route.kind) {
    case 'preupload':
      return preupload(access, files, await asked.body())
    case 'commit':
      return commit(context, access, repository, route.revision, url.searchParams, await asked.body())
    case 'revision':
      return json(information(repository, commitId, files, url.searchParams.has('blobs')))
    case 'tree':
      return tree(context, files, route.path, url, pageSize)
    case 'paths-info': {
      const { paths } = JSON.parse(String(await asked.body())) as { paths: string[] }
      return json(paths.flatMap((one) => (files.has(one) ? [entry(files.get(one)!)] : [])))
    }
    default:
      if (repository.gated && access !== 'write')
        return refuse(
          access === 'none' ? 401 : 403,
          'GatedRepo',
          `Access to model ${repository.id} is restricted. You must have access to it and be authenticated to access it.`,
        )
      return resolve(context, asked, commitId, files.get(route.path))
  }
}

interface Route {
  kind: 'revision' | 'tree' | 'paths-info' | 'preupload' | 'commit' | 'batch' | 'resolve' | 'raw'
  type: Repository['type']
  id: string
  revision: string
  path: string
}

function matchRoute({ pathname }: URL): Route | undefined {
  const api =
    /^\/api\/(model|dataset|space)s\/([^/]+(?:\/[^/]+)?)\/(revision|tree|paths-info|preupload|commit)\/([^/]+)\/?(.*)$/.exec(
      pathname,
    ) ?? /^\/api\/(model|dataset|space)s\/([^/]+(?:\/[^/]+)?)$/.exec(pathname)
  const file =
    /^\/(?:(dataset|space)s\/)?([^/]+(?:\/[^/]+)?)\/(resolve|raw)\/([^/]+)\/(.+)$/.exec(pathname) ??
    /^\/(?:(dataset|space)s\/)?([^/]+(?:\/[^/]+)?)\.git\/info\/lfs\/objects\/(batch)$/.exec(pathname)
  const found = api ?? file
  if (!found) return undefined
  const [, type = 'model', id, kind = 'revision', revision = 'main', path = ''] = found
  return {
    type: type as Route['type'],
    id,
    kind: kind as Route['kind'],
    revision: decodeURIComponent(revision),
    path: path.split('/').map(decodeURIComponent).join('/'),
  }
}

function information(
  { type, id, private: isPrivate, gated }: Repository,
  sha: string,
  files: Map<string, StoredFile>,
  blobs: boolean,
) {
  const siblings = [...files.values()].map(({ path, size, oid, lfs }) => ({
    rfilename: path,
    ...(blobs && { size, blobId: oid, ...(lfs && { lfs: { sha256: lfs, size, pointerSize: 130 } }) }),
  }))
  return {
    _id: '621ffdc036468d709f174338',
    id,
    ...(type === 'model' && { modelId: id }),
    author: id.includes('/') ? id.split('/')[0] : undefined,
    sha,
    lastModified: '2026-01-02T03:04:05.000Z',
    createdAt: '2026-01-01T00:00:00.000Z',
    private: isPrivate,
    gated,
    disabled: false,
    downloads: 12,
    likes: 3,
    tags: ['transformers', 'safetensors'],
    pipeline_tag: 'text-classification',
    library_name: 'transformers',
    cardData: { license: 'apache-2.0' },
    siblings,
  }
}

const entry = ({ path, size, oid, lfs }: StoredFile) => ({
  type: 'file',
  oid,
  size,
  path,
  ...(lfs && { lfs: { oid: lfs, size, pointerSize: 130 } }),
})

function tree(
  context: Context,
  files: Map<string, StoredFile>,
  below: string,
  url: URL,
  pageSize: number,
): Answer {
  const prefix = below && `${below.replace(/\/$/, '')}/`
  const isRecursive = /^(true|1)$/i.test(url.searchParams.get('recursive') ?? '')
  const inside = [...files.values()].filter(({ path }) => path.startsWith(prefix))
  if (prefix && inside.length === 0) return refuse(404, 'EntryNotFound', `${below} does not exist`)
  const folders = new Set<string>()
  for (const { path } of inside)
    for (let end = path.indexOf('/', prefix.length); end >= 0; end = path.indexOf('/', end + 1))
      folders.add(path.slice(0, end))
  const isShown = (path: string) => isRecursive || !path.slice(prefix.length).includes('/')
  const entries = [
    ...[...folders].map((path) => ({ type: 'directory', oid: '0'.repeat(40), size: 0, path })),
    ...inside.map(entry),
  ].filter(({ path }) => isShown(path))
  const limit = Number(url.searchParams.get('limit') ?? pageSize)
  const cursor = Number(url.searchParams.get('cursor') ?? 0)
  const page = entries.slice(cursor, cursor + limit)
  if (cursor + limit >= entries.length) return json(page)
  const next = new URL(url.pathname + url.search, context.endpoint())
  next.searchParams.set('cursor', String(cursor + limit))
  return json(page, { Link: `<${next.href}>; rel="next"` })
}

/** The content of a file: a small one here, a large one by way of a signed address on the other host. */
function resolve(
  context: Context,
  { request, url }: Asked,
  commitId: string,
  file: StoredFile | undefined,
): Answer {
  const always = { 'X-Repo-Commit': commitId }
  if (!file) {
    const missing = refuse(404, 'EntryNotFound', 'Entry not found')
    return { ...missing, headers: { ...missing.headers, ...always } }
  }
  const isRaw = /^\/((dataset|space)s\/)?([^/]+\/){1,2}raw\//.test(url.pathname)
  if (!file.lfs || isRaw) {
    const content = file.lfs ? Buffer.from(`oid sha256:${file.lfs}`) : context.objects.get(file.oid)!
    return ranged(request, content, { ...always, ETag: `"${file.oid}"` })
  }
  return {
    status: 302,
    headers: {
      ...always,
      ETag: `"${file.oid}"`,
      'X-Linked-ETag': `"${file.lfs}"`,
      'X-Linked-Size': String(file.size),
      Location: `${context.storeEndpoint()}/${file.lfs}?signature=secret`,
    },
  }
}
