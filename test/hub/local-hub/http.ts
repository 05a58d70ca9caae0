import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** An answer, apart from the connection that carries it. */
export interface Answer {
  status: number
  headers?: Record<string, string>
  body?: string | Uint8Array
}

export interface Asked {
  request: IncomingMessage
  response: ServerResponse
  url: URL
  /** Of a POST or PUT. */
  body(): Promise<Buffer>
}

/** As the Hub: pages of other origins may read, and see these headers. */
const CORS = {
  'Access-Control-Allow-Origin': '*',
  'Access-Control-Expose-Headers':
    'X-Repo-Commit,X-Request-Id,X-Error-Code,X-Error-Message,X-Total-Count,ETag,Link,Accept-Ranges,Content-Range,X-Linked-Size,X-Linked-ETag,Retry-After',
  'Access-Control-Allow-Methods': 'GET,HEAD,POST,PUT,OPTIONS',
  'Access-Control-Allow-Headers': 'authorization,range,content-type,accept',
}

/** A server on the loopback interface. An answer of undefined was sent by the handler itself. */
export async function listen(
  hostName: string,
  handle: (asked: Asked) => Answer | undefined | Promise<Answer | undefined>,
): Promise<{ endpoint: string; stop(): void }> {
  const server = createServer(async (request, response) => {
    const url = new URL(request.url ?? '/', 'http://host')
    const body = async () => {
      const chunks: Buffer[] = []
      for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk)
      return Buffer.concat(chunks)
    }
    try {
      const answer =
        request.method === 'OPTIONS' ? { status: 204 } : await handle({ request, response, url, body })
      if (answer) send(request, response, answer)
    } catch (error) {
      send(request, response, { status: 500, body: String(error) })
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    endpoint: `http://${hostName}:${port}`,
    stop: () => {
      server.close()
      server.closeAllConnections()
    },
  }
}

export const json = (value: unknown, headers: Record<string, string> = {}): Answer => ({
  status: 200,
  headers: { 'Content-Type': 'application/json; charset=utf-8', ...headers },
  body: JSON.stringify(value),
})

/** Refusals carry their reason in headers, which HEAD requests see too, and in JSON. */
export const refuse = (status: number, code: string | undefined, message: string): Answer => ({
  status,
  headers: {
    'Content-Type': 'application/json; charset=utf-8',
    'X-Error-Message': message,
    ...(code && { 'X-Error-Code': code }),
  },
  body: JSON.stringify({ error: message }),
})

/** A content, or the part of it that a `Range` header asks for (RFC 9110, section 14; one range). */
export function ranged(request: IncomingMessage, body: Uint8Array, headers: Record<string, string>): Answer {
  const all = { 'Content-Type': 'application/octet-stream', 'Accept-Ranges': 'bytes', ...headers }
  const range = /^bytes=(\d*)-(\d*)$/.exec(request.headers.range ?? '')
  if (!range) return { status: 200, headers: all, body }
  const [, first, last] = range
  const begin = first === '' ? Math.max(0, body.length - Number(last)) : Number(first)
  const end = first === '' || last === '' ? body.length : Math.min(Number(last) + 1, body.length)
  if (begin >= end) return { status: 416, headers: { ...all, 'Content-Range': `bytes */${body.length}` } }
  const contentRange = `bytes ${begin}-${end - 1}/${body.length}`
  return { status: 206, headers: { ...all, 'Content-Range': contentRange }, body: body.subarray(begin, end) }
}

let requestNumber = 0

function send(request: IncomingMessage, response: ServerResponse, { status, headers, body = '' }: Answer) {
  if (response.headersSent) return response.destroy()
  const length = status === 204 ? {} : { 'Content-Length': String(Buffer.byteLength(body)) }
  response.writeHead(status, { 'X-Request-Id': `local-${++requestNumber}`, ...CORS, ...length, ...headers })
  response.end(request.method === 'HEAD' ? undefined : body)
}
