import { isNode } from '../../hub/environment.ts'
import { HubError } from '../../hub/errors.ts'
import { type HubOptions, openInput, type RandomAccess } from '../../hub/index.ts'
import { looksLikePath } from '../../hub/repo-id.ts'
import { DataError } from '../errors.ts'
import { dataFormatOf } from './formats.ts'

/** The files that a data set may be made of. */
export interface DataSource {
  /** For messages. */
  name: string
  /** Paths relative to the source, with `/`. */
  paths: string[]
  /** Opens one of them; the caller closes it. */
  open(path: string): Promise<RandomAccess>
}

/**
 * In Node a file, a folder or an id of the Hub; in a page a URL, which may be relative to it, or an id.
 *
 * @throws DataError, HubError where there is no such file, folder or data set
 */
export async function findSource(
  source: string,
  options: HubOptions & { streaming?: boolean },
): Promise<DataSource> {
  if (/^https?:\/\//i.test(source)) return urlSource(source)
  const local = isNode ? await (await import('./node-source.ts')).localSource(source) : undefined
  if (local) return local
  const { location } = globalThis as { location?: { href: string } }
  const isPath = looksLikePath(source) || dataFormatOf(source) !== undefined
  if (!isNode && location && isPath) return urlSource(new URL(source, location.href).href)
  if (isPath) throw new DataError(`[data] there is no file or folder ${source}`)
  return (await import('./hub-source.ts')).hubSource(source, options)
}

function urlSource(url: string): DataSource {
  const { pathname } = new URL(url)
  return {
    name: url.replace(/[?#].*$/s, ''),
    paths: [pathname.slice(pathname.lastIndexOf('/') + 1)],
    open: () => openUrlWhole(url),
  }
}

/** In ranges; whole, where a server gives no ranges. */
async function openUrlWhole(url: string): Promise<RandomAccess> {
  try {
    return await openInput(url)
  } catch (error) {
    if (!(error instanceof HubError && error.status === 200)) throw error
  }
  const response = await fetch(url)
  const name = url.replace(/[?#].*$/s, '')
  if (!response.ok) throw new DataError(`[data] ${name}: the server answered ${response.status}`)
  const { blobAccess } = await import('../../hub/index.ts')
  return blobAccess(await response.blob(), name)
}
