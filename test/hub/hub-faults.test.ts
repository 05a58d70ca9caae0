/** What a network, a server, a disk and a killed process can do to a download. Nothing half-written may look complete. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { statSync } from 'node:fs'
import { open, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { join } from 'node:path'
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { InputError, openCheckpoint, snapshotDownload } from '../../hub/index.ts'
import { withLock } from '../../hub/node-lock.ts'
import { hash } from './local-hub/repository.ts'
import type { LocalHub } from './local-hub.ts'
import { hasPython, runPython } from './python.ts'
import { temporaryFolder } from './temporary-folder.ts'
import { failure, id, isolateEnvironment, model, setup, weights } from './tiny-model.ts'

beforeEach(isolateEnvironment)

const etag = hash('sha256', weights)

/** Where an answer to this request begins. */
const beginOf = (request: IncomingMessage): number =>
  Number(/^bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0)

/** Answers for the weights in place of the second host, in ranges as it does. */
function answerWeights(
  hub: LocalHub,
  answer: (begin: number, response: ServerResponse, request: IncomingMessage) => boolean | undefined,
) {
  hub.intercept((request, response, host) => {
    if (host !== 'store') return false
    return answer(beginOf(request), response, request) ?? true
  })
}

function head(response: ServerResponse, begin: number, length = weights.length - begin): void {
  const range = { 'Content-Range': `bytes ${begin}-${weights.length - 1}/${weights.length}` }
  response.writeHead(begin > 0 ? 206 : 200, { ...(begin > 0 && range), 'Content-Length': String(length) })
}

/**
 * Sends bytes up to `end`, then cuts the connection: not before they are on the disk, since a cut takes with it what the
 * reader has not read yet.
 */
function cutAt(repo: string, end: number, begin: number, response: ServerResponse): undefined {
  head(response, begin)
  if (end === begin) response.flushHeaders()
  else response.write(weights.subarray(begin, end))
  const partial = join(repo, 'blobs', `${etag}.tunesmith.incomplete`)
  const timer = setInterval(() => {
    if ((statSync(partial, { throwIfNoEntry: false })?.size ?? 0) < end) return
    clearInterval(timer)
    response.destroy()
  }, 20)
}

const rangesOfWeights = (hub: LocalHub) =>
  hub.requests.filter(({ host }) => host === 'store').map(({ range }) => range)

/** Nothing that a reader of the cache would take for the weights, or for a model. */
async function expectNothingComplete(repo: string): Promise<void> {
  const files = await readdir(repo, { recursive: true })
  expect(files.filter((path) => /model\.safetensors$|^refs|\.tmp$|blobs.[0-9a-f]{64}$/.test(path))).toEqual(
    [],
  )
}

async function expectComplete(folder: string): Promise<void> {
  expect(new Uint8Array(await readFile(join(folder, 'model.safetensors')))).toEqual(weights)
  await using reader = await openCheckpoint(folder)
  expect(reader.tensors.size).toBe(1)
}

const tenths = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map((n) => Math.floor((weights.length * n) / 10))

describe('a connection that is cut', () => {
  test.each(tenths)('after %i bytes: the next run asks for the tail alone', async (bytes) => {
    const { hub, settings, repo } = await setup()
    answerWeights(hub, (begin, response) => cutAt(repo, bytes, begin, response))
    expect(await failure(snapshotDownload(id, { ...settings, retries: 0 }))).toMatch(
      new RegExp(
        `model\\.safetensors ended after ${bytes} of ${weights.length} bytes \\(.*\\); what came is kept`,
      ),
    )
    await expectNothingComplete(repo)
    hub.intercept(() => false)
    hub.requests.length = 0
    await expectComplete(await snapshotDownload(id, settings))
    expect(rangesOfWeights(hub)).toEqual([bytes === 0 ? undefined : `bytes=${bytes}-`])
  })

  test('at every tenth within one run: each request begins where the last one ended', async () => {
    const { hub, settings, repo } = await setup()
    answerWeights(hub, (begin, response) =>
      cutAt(repo, tenths.find((end) => end > begin) ?? weights.length, begin, response),
    )
    // The last tenth comes whole, so the cut after it is no loss.
    await expectComplete(await snapshotDownload(id, { ...settings, retries: 1 }))
    expect(rangesOfWeights(hub)).toEqual([undefined, ...tenths.slice(1).map((bytes) => `bytes=${bytes}-`)])
  })

  test('by a server without ranges: it begins anew, and gives up when that never gets further', async () => {
    const { hub, settings, repo } = await setup()
    const always = (end: number) => (_: number, response: ServerResponse) => cutAt(repo, end, 0, response)
    answerWeights(hub, always(1000))
    expect(await failure(snapshotDownload(id, { ...settings, retries: 2 }))).toContain('ended after')
    expect(rangesOfWeights(hub)).toHaveLength(4) // the first got further than nothing
    await expectNothingComplete(repo)
    answerWeights(hub, (_, response) => {
      head(response, 0)
      response.end(weights)
    })
    await expectComplete(await snapshotDownload(id, settings))
  })

  test('and stays silent', async () => {
    vi.stubEnv('HF_HUB_DOWNLOAD_TIMEOUT', '0.2')
    const { hub, settings } = await setup()
    answerWeights(hub, (begin, response) => {
      if (begin > 0) return false
      head(response, 0)
      response.write(weights.subarray(0, 3000))
    })
    await expectComplete(await snapshotDownload(id, settings))
    expect(rangesOfWeights(hub)).toEqual([undefined, 'bytes=3000-'])
  })

  test('of one file of several: the others stop, and what came of them is kept', async () => {
    const other = weights.slice().fill(7, 100)
    const files = { 'config.json': '{}', 'a.safetensors': weights, 'b.safetensors': other }
    const { hub, settings, repo } = await setup({ files })
    let started: (() => void) | undefined
    const bothStarted = new Promise<void>((resolve) => (started = resolve))
    answerWeights(hub, (_, response, request) => {
      head(response, 0)
      if (request.url?.includes(etag)) bothStarted.then(() => response.destroy())
      else response.write(other.subarray(0, 5000), () => setTimeout(() => started?.(), 50)) // and no end to it
    })
    expect(await failure(snapshotDownload(id, { ...settings, retries: 0 }))).toContain(
      'a.safetensors ended after 0',
    )
    await expectNothingComplete(repo)
    hub.intercept(() => false)
    hub.requests.length = 0
    await snapshotDownload(id, settings)
    expect(rangesOfWeights(hub).sort()).toEqual(['bytes=5000-', undefined])
  })
})

describe('a content that is not the one announced', () => {
  const damaged = weights.slice()
  damaged[5000] ^= 1

  test.each<[string, Uint8Array]>([
    ['with another byte', damaged],
    ['of zeros', new Uint8Array(weights.length)],
  ])('%s is refused by its hash, and nothing of it is kept', async (_, content) => {
    const { hub, settings, repo } = await setup()
    answerWeights(hub, (_, response) => void response.end(content))
    const message = await failure(snapshotDownload(id, settings))
    expect(message).toMatch(
      /model\.safetensors came from 127\.0\.0\.1:\d+ with the hash [0-9a-f]{12}… instead of/,
    )
    await expectNothingComplete(repo)
    hub.intercept(() => false)
    hub.requests.length = 0
    await expectComplete(await snapshotDownload(id, settings))
    expect(rangesOfWeights(hub)).toEqual([undefined])
  })

  test('small files have git hashes', async () => {
    const { hub, settings, repo } = await setup()
    hub.intercept((request, response) => {
      if (!request.url?.endsWith('/config.json')) return false
      response.end(model['config.json'].replace('bert', 'evil'))
      return true
    })
    expect(await failure(snapshotDownload(id, settings))).toContain('config.json came from')
    expect((await readdir(repo, { recursive: true })).filter((path) => path.endsWith('config.json'))).toEqual(
      [],
    )
  })

  test('a body that is too short, whole as far as HTTP knows', async () => {
    const { hub, settings, repo } = await setup()
    answerWeights(hub, (begin, response) => {
      response.writeHead(begin > 0 ? 206 : 200, {
        'Content-Range': `bytes ${begin}-${weights.length - 1}/${weights.length}`,
      })
      response.end(weights.subarray(begin, 1000))
    })
    expect(await failure(snapshotDownload(id, { ...settings, retries: 1 }))).toContain(
      'model.safetensors ended after 1000 of',
    )
    await expectNothingComplete(repo)
  })

  test('a body that is too long', async () => {
    const { hub, settings, repo } = await setup()
    answerWeights(hub, (_, response) => void response.end(Buffer.concat([weights, Buffer.from('x')])))
    expect(await failure(snapshotDownload(id, settings))).toContain(
      `model.safetensors came with more than its ${weights.length} bytes`,
    )
    await expectNothingComplete(repo)
  })

  test('a part of another range, or of another file', async () => {
    const { hub, settings, repo } = await setup()
    answerWeights(hub, (begin, response) => cutAt(repo, 2000, begin, response))
    await failure(snapshotDownload(id, { ...settings, retries: 0 }))
    for (const range of ['bytes 1999-20000/20000', `bytes 2000-2999/3000`]) {
      answerWeights(hub, (_, response) => {
        response.writeHead(206, { 'Content-Range': range })
        response.end(weights.subarray(2000))
      })
      expect(await failure(snapshotDownload(id, settings))).toContain(
        'sent another part of model.safetensors',
      )
      await expectNothingComplete(repo)
    }
  })

  test('a part that was damaged on the disk is thrown away, and all is fetched again', async () => {
    const { hub, settings, repo } = await setup()
    answerWeights(hub, (begin, response) => cutAt(repo, 8000, begin, response))
    await failure(snapshotDownload(id, { ...settings, retries: 0 }))
    const file = await open(join(repo, 'blobs', `${etag}.tunesmith.incomplete`), 'r+')
    await file.write(Buffer.from('power failed'), 0, 12, 4000)
    await file.close()
    hub.intercept(() => false)
    hub.requests.length = 0
    await expectComplete(await snapshotDownload(id, settings))
    expect(rangesOfWeights(hub)).toEqual(['bytes=8000-', undefined])
  })

  test('a part that is longer than the file', async () => {
    const { hub, settings, repo } = await setup()
    answerWeights(hub, (begin, response) => cutAt(repo, 8000, begin, response))
    await failure(snapshotDownload(id, { ...settings, retries: 0 }))
    await truncate(join(repo, 'blobs', `${etag}.tunesmith.incomplete`), weights.length + 1)
    hub.intercept(() => false)
    await expectComplete(await snapshotDownload(id, settings))
  })
})

describe('a server in trouble', () => {
  test.each([500, 502, 503, 504, 408])('status %i three times, then as usual', async (status) => {
    const { hub, settings } = await setup()
    const left = new Map<string, number>()
    hub.intercept((request, response, host) => {
      if (request.url?.endsWith(`/resolve/${hub.commit}/model.safetensors`)) return false // its other host fails
      const key = `${host}${request.url}`
      const times = left.get(key) ?? 3
      left.set(key, times - 1)
      if (times <= 0) return false
      response.writeHead(status).end('in trouble')
      return true
    })
    const notices: string[] = []
    const onNotice = (text: string) => void notices.push(text)
    await expectComplete(await snapshotDownload(id, { ...settings, onNotice }))
    expect(notices[0]).toMatch(new RegExp(`answered ${status} for owner/tiny-model.*; trying again$`))
  })

  test('the other host refuses: its name is told, and none of the secrets of its address', async () => {
    const { hub, settings } = await setup()
    answerWeights(hub, (_, response) => void response.writeHead(403).end('<Error>AccessDenied</Error>'))
    expect(await failure(snapshotDownload(id, settings))).toMatch(
      /^\[hub\] localhost:\d+, which keeps files of 127\.0\.0\.1:\d+, answered 403 for owner\/tiny-model; try again$/,
    )
  })

  test('status 500 for ever', async () => {
    const { hub, settings, repo } = await setup()
    answerWeights(hub, (_, response) => void response.writeHead(500).end())
    expect(await failure(snapshotDownload(id, { ...settings, retries: 2 }))).toContain('answered 500')
    expect(rangesOfWeights(hub)).toHaveLength(3)
    await expectNothingComplete(repo)
  })

  test.each<[string, Record<string, string>]>([
    ['Retry-After in seconds', { 'Retry-After': '1' }],
    ["the Hub's RateLimit", { RateLimit: '"resolvers";r=0;t=1' }],
  ])('429 with %s: waits as long as it says', async (_, headers) => {
    const { hub, settings } = await setup()
    let refused: number | undefined
    let waited = 0
    answerWeights(hub, (_, response) => {
      if (refused !== undefined) {
        waited = performance.now() - refused
        return false
      }
      refused = performance.now()
      response.writeHead(429, headers).end()
    })
    const notices: string[] = []
    const onNotice = (text: string) => void notices.push(text)
    await expectComplete(await snapshotDownload(id, { ...settings, onNotice }))
    expect(notices).toEqual([
      expect.stringMatching(/asks to slow down \(429\), for 1 s; .*; trying again in 1 s$/),
    ])
    expect(waited).toBeGreaterThan(900) // what the server asked for, not how fast anything is
  })

  test('429 for longer than anyone waits is told at once', async () => {
    const { hub, settings } = await setup()
    const date = new Date(Date.now() + 3_600_000).toUTCString()
    hub.intercept((_, response) => {
      response.writeHead(429, { 'Retry-After': date }).end()
      return true
    })
    expect(await failure(snapshotDownload(id, settings))).toMatch(
      /asks to slow down \(429\), for 3[56]\d\d s; wait/,
    )
    expect(hub.requests).toHaveLength(1)
  })

  test('slow bytes are waited for', async () => {
    const { hub, settings } = await setup()
    answerWeights(hub, (begin, response) => {
      head(response, begin)
      let at = begin
      const timer = setInterval(() => {
        response.write(weights.subarray(at, (at += 1000)))
        if (at < weights.length) return
        clearInterval(timer)
        response.end()
      }, 2)
    })
    await expectComplete(await snapshotDownload(id, settings))
  })

  test('no answer in time: the cache serves', async () => {
    const { hub, settings } = await setup()
    const folder = await snapshotDownload(id, settings)
    vi.stubEnv('HF_HUB_ETAG_TIMEOUT', '0.1')
    hub.intercept(() => true)
    const notices: string[] = []
    expect(await snapshotDownload(id, { ...settings, onNotice: (text) => void notices.push(text) })).toBe(
      folder,
    )
    expect(notices).toEqual([
      expect.stringMatching(/did not answer within 0\.1 s; owner\/tiny-model is taken from the cache/),
    ])
  })
})

describe('an aborted download', () => {
  test('ends with the reason of the signal, and goes on where it was', async () => {
    const { hub, settings, repo } = await setup()
    const abort = new AbortController()
    answerWeights(hub, (_, response) => {
      head(response, 0)
      response.write(weights.subarray(0, 1000))
    })
    const onProgress = ({ file, fileLoaded }: { file: string; fileLoaded: number }) => {
      if (file === 'model.safetensors' && fileLoaded === 1000) abort.abort(new Error('stop now'))
    }
    const download = () => snapshotDownload(id, { ...settings, signal: abort.signal, onProgress })
    await expect(download()).rejects.toThrow('stop now')
    await expectNothingComplete(repo)
    await expect(download()).rejects.toThrow('stop now')
    hub.intercept(() => false)
    hub.requests.length = 0
    await expectComplete(await snapshotDownload(id, settings))
    expect(rangesOfWeights(hub)).toEqual(['bytes=1000-'])
  })

  test('also while it waits for a server that asked to wait', async () => {
    const { hub, settings } = await setup()
    hub.intercept((_, response) => {
      response.writeHead(429, { 'Retry-After': '200' }).end()
      return true
    })
    const abort = new AbortController()
    const onNotice = () => abort.abort(new Error('stop now'))
    const promise = snapshotDownload(id, { ...settings, signal: abort.signal, onNotice })
    await expect(promise).rejects.toThrow('stop now')
  })
})

describe('processes', () => {
  function start(hub: LocalHub, cacheDir: string): ChildProcess & { folder: Promise<string> } {
    const script = join(import.meta.dirname, 'download-process.ts')
    const child = spawn(process.execPath, [script, id, hub.endpoint, cacheDir], {
      env: { ...process.env, HF_HUB_DOWNLOAD_TIMEOUT: '300' }, // a busy machine is no stalled server
    })
    onTestFinished(() => void child.kill('SIGKILL'))
    let text = ''
    child.stdout.on('data', (chunk) => (text += chunk))
    let errors = ''
    child.stderr.on('data', (chunk) => (errors += chunk))
    const folder = new Promise<string>((resolve, reject) =>
      child.on('exit', (code) =>
        code === 0 ? resolve(text.trim()) : reject(new Error(`${code}: ${errors}`)),
      ),
    )
    folder.catch(() => {})
    return Object.assign(child, { folder })
  }

  test('two that want the same file: one downloads it', async () => {
    const { hub, cacheDir, repo } = await setup()
    let finish: (() => void) | undefined
    answerWeights(hub, (begin, response) => {
      if (finish) return false // a second request would be answered, and counted
      head(response, begin)
      response.write(weights.subarray(0, 5000))
      finish = () => response.end(weights.subarray(5000))
    })
    const children = [start(hub, cacheDir), start(hub, cacheDir)]
    // Both have listed the files, and one is at the weights: the other comes to the lock.
    await vi.waitFor(
      () => expect(hub.requests.filter(({ path }) => path.includes('/revision/'))).toHaveLength(2),
      { timeout: 20_000 },
    )
    await vi.waitFor(() => expect(finish).toBeDefined(), { timeout: 20_000 })
    await new Promise((resolve) => setTimeout(resolve, 500))
    finish?.()
    const [one, other] = await Promise.all(children.map(({ folder }) => folder))
    expect(one).toBe(other)
    await expectComplete(one)
    expect(rangesOfWeights(hub)).toEqual([undefined])
    expect((await readdir(join(repo, 'blobs'))).filter((name) => /incomplete|tmp/.test(name))).toEqual([])
  })

  test('one is killed in the middle: the next asks for the tail alone', async () => {
    const { hub, cacheDir, settings, repo } = await setup()
    answerWeights(hub, (begin, response) => {
      head(response, begin)
      response.write(weights.subarray(0, 12_000))
    })
    const child = start(hub, cacheDir)
    const partial = join(repo, 'blobs', `${etag}.tunesmith.incomplete`)
    await vi.waitFor(async () => expect((await stat(partial)).size).toBe(12_000), { timeout: 20_000 })
    child.kill('SIGKILL')
    await expect(child.folder).rejects.toThrow()
    await expectNothingComplete(repo)
    hub.intercept(() => false)
    hub.requests.length = 0
    await expectComplete(await snapshotDownload(id, settings))
    expect(rangesOfWeights(hub)).toEqual(['bytes=12000-'])
  })

  test.runIf(hasPython('filelock'))(
    "a Python process that holds huggingface_hub's lock is waited for",
    async () => {
      const { hub, cacheDir, settings } = await setup()
      await snapshotDownload(id, { ...settings, include: 'config.json' })
      const lock = join(cacheDir, '.locks/models--owner--tiny-model', `${etag}.lock`)
      const program = `
import json, os, sys, time
from filelock import FileLock
os.makedirs(os.path.dirname(sys.argv[1]), exist_ok=True)
with FileLock(sys.argv[1], mode=0o664):
    open(sys.argv[2], 'w').close()
    time.sleep(0.7)
    released = time.time()
print(json.dumps(released * 1000))`
      const flag = join(await temporaryFolder(), 'held')
      const python = runPython(program, lock, flag)
      await vi.waitFor(() => stat(flag), { timeout: 20_000 })
      let asked = 0
      answerWeights(hub, () => {
        asked = Date.now()
        return false
      })
      await expectComplete(await snapshotDownload(id, settings))
      expect(asked).toBeGreaterThanOrEqual(Math.floor((await python) as number))
    },
  )

  test.each([true, false])(
    'a lock has one holder (flock: %s), and waiting can be aborted',
    async (native) => {
      const path = join(await temporaryFolder(), 'locks', 'a.lock')
      let holders = 0
      let most = 0
      const work = async () => {
        most = Math.max(most, ++holders)
        await new Promise((resolve) => setTimeout(resolve, 20))
        holders--
      }
      await Promise.all([1, 2, 3].map(() => withLock(path, work, undefined, native)))
      expect(most).toBe(1)
      await withLock(
        path,
        async () => {
          const waiting = withLock(path, work, AbortSignal.timeout(100), native)
          await expect(waiting).rejects.toThrow(/timeout/)
        },
        undefined,
        native,
      )
      await expect(
        withLock(path, async () => Promise.reject(new Error('work failed')), undefined, native),
      ).rejects.toThrow('work failed')
      await withLock(path, work, undefined, native)
    },
  )
})

const canMount = process.platform === 'linux' && process.getuid?.() === 0
if (!canMount) console.log('a full disk is not tested: mounting a small one needs root on Linux')

describe.runIf(canMount)('a disk that is full', () => {
  /** A disk of 64 kB. */
  async function smallDisk(): Promise<string | undefined> {
    const folder = await temporaryFolder()
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', folder], { stdio: 'ignore' })
    } catch {
      console.log('a full disk is not tested: mounting is not allowed here')
      return undefined
    }
    onTestFinished(() => void execFileSync('umount', ['-l', folder]))
    return folder
  }

  test('is told before anything of the file is written', async ({ skip }) => {
    const { settings, hub } = await setup()
    const cacheDir = await smallDisk()
    if (!cacheDir) return skip()
    await writeFile(join(cacheDir, 'filler'), new Uint8Array(48_000))
    const message = await failure(snapshotDownload(id, { ...settings, cacheDir }))
    expect(message).toMatch(
      /^\[hub\] \S+models--owner--tiny-model has \S+ \S+ of room, 20 kB are needed: the disk is full; .*HF_HOME/,
    )
    expect(rangesOfWeights(hub)).toEqual([])
    await expectNothingComplete(join(cacheDir, 'models--owner--tiny-model'))
  })

  test('in the middle: what came is kept, and the next run goes on', async ({ skip }) => {
    const { settings, hub } = await setup()
    const cacheDir = await smallDisk()
    if (!cacheDir) return skip()
    const repo = join(cacheDir, 'models--owner--tiny-model')
    await snapshotDownload(id, { ...settings, cacheDir, include: '*.json' })
    const filler = join(cacheDir, 'filler')
    answerWeights(hub, (begin, response) => {
      head(response, begin)
      response.write(weights.subarray(0, 4000))
      // Somebody else fills the disk meanwhile.
      vi.waitFor(async () =>
        expect((await stat(join(repo, 'blobs', `${etag}.tunesmith.incomplete`))).size).toBe(4000),
      )
        .then(() => writeFile(filler, new Uint8Array(64_000)).catch(() => {}))
        .then(() => response.end(weights.subarray(4000)))
    })
    const error = await snapshotDownload(id, { ...settings, cacheDir }).catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(InputError)
    expect((error as Error).message).toMatch(/^\[hub\] cannot write \S+: the disk is full; make room/)
    expect(
      (await readdir(repo, { recursive: true })).filter((path) => path.endsWith('model.safetensors')),
    ).toEqual([])
    await truncate(filler, 0)
    hub.intercept(() => false)
    hub.requests.length = 0
    await expectComplete(await snapshotDownload(id, { ...settings, cacheDir }))
    expect(rangesOfWeights(hub)).toEqual([expect.stringMatching(/^bytes=[1-9]\d*-$/)])
  })

  test('that may only be read serves what it has', async ({ skip }) => {
    const { settings, hub } = await setup()
    const cacheDir = await smallDisk()
    if (!cacheDir) return skip()
    const folder = await snapshotDownload(id, { ...settings, cacheDir })
    // as an older huggingface_hub leaves it, and behind the branch
    await rm(join(cacheDir, 'models--owner--tiny-model', 'trees'), { recursive: true })
    await writeFile(join(cacheDir, 'models--owner--tiny-model', 'refs', 'main'), 'c'.repeat(40))
    execFileSync('mount', ['-o', 'remount,ro', cacheDir])
    expect(await snapshotDownload(id, { ...settings, cacheDir })).toBe(folder)
    const more = snapshotDownload(id, { ...settings, cacheDir, include: 'README.md' })
    await expect(more).rejects.toThrow(/^\[hub\] cannot write /)
    expect(hub.requests.some(({ path }) => path.includes('/revision/'))).toBe(true)
  })
})
