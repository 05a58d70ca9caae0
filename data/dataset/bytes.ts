import { messageOf } from '../../hub/errors.ts'
import type { RandomAccess } from '../../hub/index.ts'
import { DataError } from '../errors.ts'

/** Bytes read at a time: what streaming holds of a file. */
const CHUNK = 256 * 1024

/** A file from front to back; unpacked if its name ends in `.gz`. */
export async function* readChunks(file: RandomAccess): AsyncGenerator<Uint8Array> {
  if (/\.gz$/i.test(file.name)) yield* unzip(file)
  else yield* plainChunks(file)
}

async function* plainChunks(file: RandomAccess): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  for (let at = 0; at < file.size; at += CHUNK)
    yield new Uint8Array(await file.read(at, Math.min(CHUNK, file.size - at)))
}

async function* unzip(file: RandomAccess): AsyncGenerator<Uint8Array> {
  const chunks = plainChunks(file)
  const packed = new ReadableStream<Uint8Array<ArrayBuffer>>({
    async pull(controller) {
      const { done, value } = await chunks.next()
      if (done) controller.close()
      else controller.enqueue(value)
    },
  })
  const reader = packed.pipeThrough(new DecompressionStream('gzip')).getReader()
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      yield value
    }
  } catch (error) {
    throw new DataError(`[data] ${file.name} cannot be unpacked: ${messageOf(error)}`)
  } finally {
    await reader.cancel().catch(() => {})
  }
}

/**
 * The lines of a UTF-8 text with their numbers from 1, without line ends; a byte order mark is dropped.
 *
 * @throws DataError with the line that is not UTF-8, or too long for memory
 */
export async function* readLines(
  chunks: AsyncIterable<Uint8Array>,
  name: string,
): AsyncGenerator<{ line: number; text: string }> {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  let line = 1
  let rest = '' // of a line that goes on in the next chunk
  for await (const bytes of chunks) {
    const text = decodePart(decoder, bytes, `${name}:${line}`)
    let begin = 0
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', begin)) {
      yield { line: line++, text: withoutReturn(rest + text.slice(begin, end)) }
      rest = ''
      begin = end + 1
    }
    rest += text.slice(begin)
    if (rest.length > MAX_LINE)
      throw new DataError(`[data] ${name}:${line}: the line has over 256 million characters`)
  }
  rest += decodePart(decoder, undefined, `${name}:${line}`)
  if (rest !== '') yield { line, text: withoutReturn(rest) }
}

const MAX_LINE = 2 ** 28

const withoutReturn = (text: string): string => (text.endsWith('\r') ? text.slice(0, -1) : text)

function decodePart(decoder: TextDecoder, bytes: Uint8Array | undefined, place: string): string {
  try {
    return bytes ? decoder.decode(bytes, { stream: true }) : decoder.decode()
  } catch {
    throw new DataError(
      `[data] ${place}: not valid UTF-8 here or in the lines that follow; save the file as UTF-8`,
    )
  }
}
