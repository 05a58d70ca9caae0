import { type Answer, json, refuse } from './http.ts'
import {
  addCommit,
  type Context,
  findCommit,
  hash,
  isLarge,
  newRepository,
  pointerTo,
  type Repository,
  repositoryKey,
  type StoredFile,
  storeFile,
} from './repository.ts'

/** Undefined where a token may write. */
function refuseWriting(access: string): Answer | undefined {
  if (access === 'write') return undefined
  return access === 'none'
    ? refuse(401, undefined, 'Invalid username or password.')
    : refuse(403, undefined, 'Forbidden: pass a write token')
}

interface NewRepository {
  name: string
  organization?: string
  type?: Repository['type']
  visibility?: string
}

export function createRepository(context: Context, access: string, asked: NewRepository): Answer {
  const refused = refuseWriting(access)
  if (refused) return refused
  const id = `${asked.organization ?? 'me'}/${asked.name}`
  const type = asked.type ?? 'model'
  const url = `${context.endpoint()}/${type === 'model' ? '' : `${type}s/`}${id}`
  const key = repositoryKey(type, id)
  if (context.repositories.has(key)) {
    const conflict = refuse(409, undefined, `You already created this ${type} repo`)
    return { ...conflict, body: JSON.stringify({ error: `You already created this ${type} repo`, url }) }
  }
  const repository = newRepository(type, id)
  repository.private = asked.visibility === 'private'
  const attributes = storeFile(context.objects, '.gitattributes', '*.safetensors filter=lfs\n')
  addCommit(repository, 'main', 'initial commit', new Map([['.gitattributes', attributes]]))
  context.repositories.set(key, repository)
  return json({ url, name: id, id })
}

/** Which files go through LFS, and what is there under their names. */
export function preupload(access: string, files: Map<string, StoredFile>, body: Buffer): Answer {
  const refused = refuseWriting(access)
  if (refused) return refused
  const asked = JSON.parse(String(body)) as { files: { path: string }[] }
  return json({
    commitOid: '0'.repeat(40),
    files: asked.files.map(({ path }) => ({
      path,
      uploadMode: isLarge(path) ? 'lfs' : 'regular',
      shouldIgnore: false,
      oid: files.get(path)?.lfs ?? files.get(path)?.oid ?? null,
    })),
  })
}

/** https://github.com/git-lfs/git-lfs/blob/main/docs/api/batch.md, and the Hub's uploads in parts. */
export function batch(context: Context, access: string, body: Buffer): Answer {
  const refused = refuseWriting(access)
  if (refused) return refused
  const { objects } = JSON.parse(String(body)) as { objects: { oid: string; size: number }[] }
  const store = context.storeEndpoint()
  return json(
    {
      transfer: context.partSize ? 'multipart' : 'basic',
      objects: objects.map(({ oid, size }) => {
        if (context.objects.has(oid)) return { oid, size, authenticated: true }
        if (!context.partSize)
          return { oid, size, actions: { upload: { href: `${store}/${oid}?signature=secret` } } }
        const header: Record<string, string> = { chunk_size: String(context.partSize) }
        for (let part = 1; (part - 1) * context.partSize < size; part++)
          header[String(part).padStart(5, '0')] = `${store}/${oid}/${part}?signature=secret`
        const href = `${context.endpoint()}/api/complete_multipart?oid=${oid}`
        return { oid, size, actions: { upload: { href, header } } }
      }),
    },
    { 'Content-Type': 'application/vnd.git-lfs+json' },
  )
}

/** Takes a large file, or a part of one. */
export function receive(context: Context, oid: string, part: string | undefined, bytes: Buffer): Answer {
  if (part === undefined && hash('sha256', bytes) !== oid) return { status: 400, body: 'BadDigest' }
  context.objects.set(part === undefined ? oid : `${oid}/${part}`, bytes)
  return { status: 200, headers: { ETag: `"${hash('md5', bytes)}"` } }
}

export function completeMultipart(
  context: Context,
  query: URLSearchParams,
  { parts }: { parts: { partNumber: number }[] },
): Answer {
  const oid = query.get('oid')!
  const bytes = Buffer.concat(
    parts.map(({ partNumber }) => Buffer.from(context.objects.get(`${oid}/${partNumber}`)!)),
  )
  if (hash('sha256', bytes) !== oid) return refuse(400, undefined, 'the parts have another hash')
  context.objects.set(oid, bytes)
  return json({})
}

type Line =
  | { key: 'header'; value: { summary: string; parentCommit?: string } }
  | { key: 'file'; value: { path: string; content: string } }
  | { key: 'lfsFile'; value: { path: string; oid: string; size: number } }
  | { key: 'deletedFile' | 'deletedFolder'; value: { path: string } }

/** A commit comes as lines of JSON: a header, then what it changes. */
export function commit(
  context: Context,
  access: string,
  repository: Repository,
  revision: string,
  query: URLSearchParams,
  body: Buffer,
): Answer {
  const refused = refuseWriting(access)
  if (refused) return refused
  const parent = findCommit(repository, revision)!
  const files = new Map(repository.commits.get(parent)!.files)
  let title = ''
  const lines = String(body).split('\n').filter(Boolean)
  for (const { key, value } of lines.map((line) => JSON.parse(line) as Line)) {
    if (key === 'header') {
      title = value.summary
      if (value.parentCommit !== undefined && value.parentCommit !== parent)
        return refuse(412, undefined, 'A commit has happened since. Please refresh and try again.')
    } else if (key === 'file')
      files.set(value.path, storeFile(context.objects, value.path, Buffer.from(value.content, 'base64')))
    else if (key === 'lfsFile') {
      const content = context.objects.get(value.oid)
      if (!content) return refuse(400, undefined, `LFS object ${value.oid} does not exist`)
      files.set(value.path, pointerTo(value.path, value.oid, content.length))
    } else if (key === 'deletedFile') files.delete(value.path)
    else
      for (const path of [...files.keys()])
        if (path.startsWith(`${value.path.replace(/\/$/, '')}/`)) files.delete(path)
  }
  const isPullRequest = query.get('create_pr') === '1'
  const branch = isPullRequest ? `refs/pr/${++repository.pullRequests}` : revision
  if (isPullRequest) repository.branches.set(branch, parent)
  const commitOid = addCommit(repository, branch, title, files)
  const page = `${context.endpoint()}/${repository.type === 'model' ? '' : `${repository.type}s/`}${repository.id}`
  return json({
    success: true,
    commitOid,
    commitUrl: `${page}/commit/${commitOid}`,
    hookOutput: '',
    ...(isPullRequest && { pullRequestUrl: `${page}/discussions/${repository.pullRequests}` }),
  })
}
