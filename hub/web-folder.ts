import { HubError, messageOf } from './errors.ts'
import { blobAccess } from './files/random-access.ts'
import type { ModelFolder } from './model-folder.ts'
import type { HubOptions } from './options.ts'

/**
 * The files of a folder on a web server, fetched whole when they are asked for: a model needs all of its weights. What
 * was fetched lies in a Blob, which browsers keep out of the page's memory.
 */
export function webFolder(url: string, { signal, onProgress }: HubOptions = {}): ModelFolder {
  const folder = url.replace(/\/*$/, '/')
  const get = async (path: string): Promise<Response | undefined> => {
    const file = new URL(path.split('/').map(encodeURIComponent).join('/'), folder).href
    let response: Response
    try {
      response = await fetch(file, { signal })
    } catch (error) {
      signal?.throwIfAborted()
      throw new HubError(
        `[hub] cannot fetch ${file} (${messageOf(error)}); check the address, the network, and that the server lets this page read it (CORS)`,
        { cause: error },
      )
    }
    if (response.ok && !isFallbackPage(path, response)) return response
    await response.body?.cancel()
    if (response.ok || response.status === 404) return undefined
    throw new HubError(`[hub] the server answered ${response.status} for ${file}`, {
      status: response.status,
    })
  }
  return {
    name: url,
    text: async (path) => (await get(path))?.text(),
    async open(path) {
      const response = await get(path)
      return response && blobAccess(await readBlob(response, path, onProgress), `${folder}${path}`)
    },
    list: async () => [],
  }
}

/** Servers of single-page applications answer with their start page where there is no such file. */
function isFallbackPage(path: string, response: Response): boolean {
  return !path.endsWith('.html') && !!response.headers.get('content-type')?.startsWith('text/html')
}

async function readBlob(
  response: Response,
  file: string,
  onProgress: HubOptions['onProgress'],
): Promise<Blob> {
  if (!onProgress || !response.body) return response.blob()
  const fileBytes = Number(response.headers.get('content-length') ?? 0)
  const parts: Uint8Array<ArrayBuffer>[] = []
  let bytes = 0
  for (const reader = response.body.getReader(); ; ) {
    const { done, value } = await reader.read()
    if (done) return new Blob(parts)
    parts.push(value)
    bytes += value.length
    onProgress({ file, fileBytes, fileLoaded: bytes, bytes, totalBytes: fileBytes })
  }
}
