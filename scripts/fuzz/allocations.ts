/** What a program asks memory for: typed arrays and buffers of a given length are counted as they are made. */

const NAMES = [
  'ArrayBuffer',
  'SharedArrayBuffer',
  'Uint8Array',
  'Int8Array',
  'Uint16Array',
  'Int16Array',
  'Uint32Array',
  'Int32Array',
  'Float32Array',
  'Float64Array',
  'BigInt64Array',
  'BigUint64Array',
] as const

let largest = 0
let limit = Number.POSITIVE_INFINITY
let isInstalled = false

function note(bytes: number): void {
  largest = Math.max(largest, bytes)
  // what would be too much is not made, or the machine would suffer for it
  if (bytes > limit) throw new RangeError(`an array of ${bytes} bytes is over the limit ${limit}`)
}

function install(): void {
  isInstalled = true
  const scope = globalThis as unknown as Record<string, new (...args: unknown[]) => object>
  for (const name of NAMES) {
    const original = scope[name]
    const width = (original as { BYTES_PER_ELEMENT?: number }).BYTES_PER_ELEMENT ?? 1
    scope[name] = new Proxy(original, {
      construct(target, args, newTarget) {
        if (typeof args[0] === 'number') note(args[0] * width)
        return Reflect.construct(target, args, newTarget)
      },
    })
  }
}

/** Begins to count. @returns what gives the largest array asked for since, in bytes */
export function countAllocations(newLimit: number): () => number {
  if (!isInstalled) install()
  largest = 0
  limit = newLimit
  return () => largest
}
