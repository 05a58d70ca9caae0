import { open } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { openSafetensors, openUrl, serializeSafetensors } from '../../hub/index.ts'
import { temporaryFolder } from './temporary-folder.ts'

const GiB = 2 ** 30

/** A file of over 5 GiB that takes a few KiB of the disk: one tensor at each end, and zeros between. */
async function sparseFile(): Promise<string> {
  const path = join(await temporaryFolder(), 'large.safetensors')
  const middle = 5 * GiB
  const header = JSON.stringify({
    first: { dtype: 'F32', shape: [2], data_offsets: [0, 8] },
    middle: { dtype: 'BF16', shape: [middle / 2], data_offsets: [8, 8 + middle] },
    last: { dtype: 'F32', shape: [3], data_offsets: [8 + middle, 20 + middle] },
  })
  const json = Buffer.from(header.padEnd(Math.ceil(header.length / 8) * 8))
  const prefix = Buffer.alloc(8)
  prefix.writeBigUInt64LE(BigInt(json.length))
  const file = await open(path, 'w')
  await file.write(Buffer.concat([prefix, json, Buffer.from(Float32Array.of(1.5, -2).buffer)]))
  const end = 8 + json.length + 8 + middle
  await file.write(Buffer.from(Float32Array.of(7, 8, 9).buffer), 0, 12, end)
  await file.close()
  return path
}

test('a tensor behind 4 GiB is read without what lies before it', async () => {
  await using reader = await openSafetensors(await sparseFile())
  expect(await reader.readFloat32('first')).toEqual(Float32Array.of(1.5, -2))
  const before = process.memoryUsage().arrayBuffers
  expect(await reader.readFloat32('last')).toEqual(Float32Array.of(7, 8, 9))
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 ** 20)
})

interface Server {
  url: string
  etag: string
  /** The ranges asked for, as `[begin, end)`. */
  ranges: [number, number][]
  /** Answers before the usual routes do; false leaves it to them. */
  intercept: (request: IncomingMessage, response: ServerResponse) => boolean
}

/** Serves `bytes` in ranges, with an ETag, over HTTP. */
async function serve(bytes: Uint8Array, options: { ranges?: boolean } = {}): Promise<Server> {
  const seen: Server = { url: '', etag: '"v1"', ranges: [], intercept: () => false }
  const server = createServer((request, response) => {
    if (seen.intercept(request, response)) return
    const match = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '')
    if (!match || options.ranges === false) return void response.writeHead(200).end(bytes)
    const [begin, end] = [Number(match[1]), Math.min(Number(match[2]) + 1, bytes.length)]
    seen.ranges.push([begin, end])
    response.writeHead(206, {
      ETag: seen.etag,
      'Content-Range': `bytes ${begin}-${end - 1}/${bytes.length}`,
    })
    response.end(bytes.subarray(begin, end))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  seen.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/model.safetensors?signature=secret`
  return seen
}

async function modelBytes() {
  const values = Float32Array.from({ length: 300_000 }, (_, i) => i)
  const bytes = new Uint8Array(values.buffer)
  const shape = [values.length]
  return serializeSafetensors([
    { name: 'a', dtype: 'F32', shape, bytes },
    { name: 'b', dtype: 'F32', shape, bytes },
    { name: 'small', dtype: 'U8', shape: [3], bytes: Uint8Array.of(1, 2, 3) },
  ])
}

describe('over HTTP', () => {
  test('one tensor takes its own bytes and the header', async () => {
    const server = await serve(await modelBytes())
    await using reader = await openSafetensors(server.url)
    expect(server.ranges).toHaveLength(1)
    expect((await reader.readFloat32('b')).at(-1)).toBe(299_999)
    expect((await reader.read('small')).bytes).toEqual(Uint8Array.of(1, 2, 3))
    const fetched = server.ranges.slice(1).map(([begin, end]) => end - begin)
    expect(fetched).toEqual([1_200_000, 3])
  })

  test('a cut connection is gone on with, and a busy server asked again', async () => {
    const bytes = await modelBytes()
    const server = await serve(bytes)
    await using reader = await openSafetensors(server.url)
    let failures = 0
    server.intercept = (_, response) => {
      if (failures++ === 0) return !!response.writeHead(503).end()
      if (failures > 2) return false
      const begin = bytes.length - 3 - 1_200_000
      response.writeHead(206, {
        ETag: server.etag,
        'Content-Range': `bytes ${begin}-${bytes.length - 4}/${bytes.length}`,
      })
      response.write(bytes.subarray(begin, begin + 1000), () => response.destroy())
      return true
    }
    const values = await reader.readFloat32('b')
    expect(values.every((value, i) => value === i)).toBe(true)
    const [begin, end] = server.ranges.at(-1)!
    expect(end - begin).toBe(1_199_000)
  })

  test('a server without ranges, a missing file, another version: one line, without the query', async () => {
    const failure = (promise: Promise<unknown>) =>
      promise.then(
        () => '',
        (error: Error) => error.message,
      )
    const whole = await serve(await modelBytes(), { ranges: false })
    const messages = [await failure(openSafetensors(whole.url))]
    expect(messages[0]).toContain('no Range requests')
    const server = await serve(await modelBytes())
    server.intercept = (_, response) => !!response.writeHead(404).end()
    messages.push(await failure(openSafetensors(server.url)))
    expect(messages[1]).toContain('no such file on the server (404)')
    server.intercept = () => false
    await using reader = await openSafetensors(server.url)
    server.etag = '"v2"'
    messages.push(await failure(reader.readFloat32('b')))
    expect(messages[2]).toContain('changed while it was read')
    for (const message of messages) {
      expect(message).toMatch(/^\[hub\] http:[^\n]+$/)
      expect(message).not.toContain('secret')
    }
  })

  test('headers go along, and the signal ends it', async () => {
    const server = await serve(await modelBytes())
    const seen: unknown[] = []
    server.intercept = (request) => {
      seen.push(request.headers.authorization)
      return false
    }
    const abort = new AbortController()
    const file = await openUrl(server.url, {
      headers: { authorization: 'Bearer x' },
      signal: abort.signal,
    })
    expect(seen).toEqual(['Bearer x'])
    abort.abort(new Error('stop now'))
    await expect(file.read(100_000, 100)).rejects.toThrow('stop now')
  })
})

test('a header that claims 2^60 bytes is refused before anything is allocated', async () => {
  const json = (shape: number) => `{"w":{"dtype":"U8","shape":[${shape}],"data_offsets":[0,${shape}]}}`
  const file = (length: bigint, text = '') => {
    const bytes = Buffer.alloc(8 + text.length)
    bytes.writeBigUInt64LE(length)
    bytes.write(text, 8)
    return new Uint8Array(bytes)
  }
  await expect(openSafetensors(file(2n ** 60n))).rejects.toThrow(
    'claims a header of 1152921504606846976 bytes',
  )
  const large = json(2 ** 52)
  await expect(openSafetensors(file(BigInt(large.length), large))).rejects.toThrow(
    'truncated, fetch it again',
  )
  const server = await serve(file(2n ** 60n))
  await expect(openSafetensors(server.url)).rejects.toThrow('claims a header of')
  expect(server.ranges).toHaveLength(1)
})
