import { type FileHandle, mkdir, open, stat } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isMainThread } from 'node:worker_threads'

/** Milliseconds between two looks at a lock that another holds. */
const POLL = 50
/** Of proper-lockfile: a lock whose holder has not renewed it for so long is taken over. */
const STALE = 15_000

/** Takes a lock and gives what releases it; undefined where another holds it. */
type TryLock = (path: string) => Promise<(() => Promise<void>) | undefined>

/**
 * Runs `action` while nobody else holds the lock file `path`.
 *
 * On Linux and macOS this is `flock(2)`, the lock of Python's filelock: the two keep each other out, and the system releases
 * it when a process dies. It is called through koffi, which works on the main thread alone; elsewhere, and where koffi or the
 * file system does not have it, proper-lockfile keeps a folder beside the file, which outlives a killed process by 15 seconds.
 *
 * @param native whether flock may be used
 * @throws the signal's reason if it is aborted while waiting.
 */
export async function withLock<T>(
  path: string,
  action: () => Promise<T>,
  signal?: AbortSignal,
  native = true,
): Promise<T> {
  await mkdir(dirname(path), { recursive: true })
  const release = await acquire(path, signal, native)
  try {
    return await action()
  } finally {
    await release().catch(() => {}) // the work is done; a lock that was lost does not undo it
  }
}

async function acquire(path: string, signal: AbortSignal | undefined, native: boolean) {
  let byFlock = native ? await (flock ??= findFlock()) : undefined
  for (;;) {
    signal?.throwIfAborted()
    try {
      const release = await (byFlock ?? byFolder)(path)
      if (release) return release
    } catch (error) {
      if (!byFlock) throw error
      byFlock = undefined
    }
    await sleep(POLL, undefined, { signal }).catch(() => signal?.throwIfAborted())
  }
}

/** From <sys/file.h>, the same on Linux and macOS. */
const LOCK_EX = 2
const LOCK_NB = 4

/** Undefined where there is none. */
let flock: Promise<TryLock | undefined> | undefined

async function findFlock(): Promise<TryLock | undefined> {
  if (!isMainThread || !['linux', 'darwin'].includes(process.platform)) return undefined
  try {
    // not by an import, which bundlers of pages would follow to a package that may not be there
    const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi')
    const call = koffi.load(null).func('int flock(int fd, int operation)')
    const { EAGAIN, EINTR } = koffi.os.errno
    return async (path) => {
      const file = await open(path, 'a', 0o664) // for a group that shares a cache, as in Python
      let mine = false
      try {
        const locked = call(file.fd, LOCK_EX | LOCK_NB) === 0
        if (!locked && ![EAGAIN, EINTR].includes(koffi.errno()))
          throw new Error('no flock on this file system')
        // A lock on a file that somebody removed meanwhile locks nothing.
        mine = locked && (await isAt(file, path))
      } finally {
        if (!mine) await file.close()
      }
      return mine ? () => file.close() : undefined
    }
  } catch {
    return undefined // not installed, or not built for this system
  }
}

async function isAt(file: FileHandle, path: string): Promise<boolean> {
  const [mine, there] = await Promise.all([file.stat(), stat(path).catch(() => undefined)])
  return mine.ino === there?.ino && mine.dev === there.dev
}

const byFolder: TryLock = async (path) => {
  const { default: lockfile } = await import('proper-lockfile')
  try {
    return await lockfile.lock(path, {
      realpath: false,
      stale: STALE,
      update: STALE / 3,
      onCompromised: () => {}, // both then write, and the hash finds it out
    })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ELOCKED') return undefined
    throw error
  }
}
