import { DataError } from './errors.ts'

/** JavaScript strings end at 2^29 - 24 characters. */
const MAX_BYTES = 2 ** 29 - 24

/**
 * The text of a file (Node), which must be UTF-8. A byte order mark is dropped, `\r\n` becomes `\n`.
 *
 * @throws DataError if the file cannot be read, is over 512 MB, or is not UTF-8 (with the line where it stops being so).
 */
export async function readTextFile(path: string): Promise<string> {
  const { readFile, stat } = await import('node:fs/promises')
  let bytes: Uint8Array
  try {
    const info = await stat(path)
    if (!info.isFile()) throw new DataError(`[data] ${path} is a folder or device, not a file`)
    if (info.size > MAX_BYTES)
      throw new DataError(`[data] ${path} is over 512 MB; split it into smaller files`)
    bytes = await readFile(path)
  } catch (error) {
    if (error instanceof DataError) throw error
    const { code, message } = error as NodeJS.ErrnoException
    const reason = code === 'ENOENT' || code === 'ENOTDIR' ? 'no such file' : message
    throw new DataError(`[data] cannot read ${path}: ${reason}`)
  }
  return decodeText(bytes, path)
}

/** What `readTextFile` does with the bytes of a file; `name` is for messages. */
export function decodeText(bytes: Uint8Array, name: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes).replaceAll('\r\n', '\n')
  } catch {
    throw new DataError(`[data] ${name}:${firstBadLine(bytes)}: not valid UTF-8; save the file as UTF-8`)
  }
}

function firstBadLine(bytes: Uint8Array): number {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  for (let line = 1, begin = 0; ; line++) {
    const newline = bytes.indexOf(0x0a, begin)
    const end = newline < 0 ? bytes.length : newline
    try {
      decoder.decode(bytes.subarray(begin, end))
    } catch {
      return line
    }
    if (newline < 0) return line
    begin = newline + 1
  }
}
