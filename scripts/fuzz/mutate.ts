/** Damages real files, the same way for the same seed. */

/** Uniform in [0, 1); mulberry32 by Tommy Ettinger, over a mixed seed. */
export function randomNumbers(seed: number): () => number {
  let state = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) ^ Math.floor(seed / 2 ** 32)
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Numbers at which programs that trust a length go wrong. */
const LENGTHS = [
  0n,
  1n,
  127n,
  255n,
  65535n,
  2n ** 31n - 1n,
  2n ** 32n - 1n,
  2n ** 53n,
  2n ** 60n,
  2n ** 63n - 1n,
]
const NUMBERS = [
  '0',
  '-1',
  '1e999',
  '4294967296',
  '9007199254740993',
  '1152921504606846976',
  '0.5',
  'null',
  '"x"',
]
const NESTING = ['[', '{"a":', '(', '[[{"x":[', '"']
const MAX_NESTING = 100_000

type Mutation = (bytes: Uint8Array, random: () => number, other: Uint8Array) => Uint8Array

const place = (length: number, random: () => number): number => Math.floor(random() * length)

const join = (...parts: Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts))

/** A part of `bytes`, mostly a short one. */
function range(bytes: Uint8Array, random: () => number): [begin: number, end: number] {
  const begin = place(bytes.length, random)
  return [begin, Math.min(bytes.length, begin + 1 + Math.floor(random() ** 4 * (bytes.length - begin)))]
}

const text = (content: string): Uint8Array => new TextEncoder().encode(content)

const MUTATIONS: readonly Mutation[] = [
  function flipBits(bytes, random) {
    const out = bytes.slice()
    for (let n = 1 + place(8, random); n > 0; n--) out[place(out.length, random)] ^= 1 << place(8, random)
    return out
  },
  function setBytes(bytes, random) {
    const out = bytes.slice()
    for (let n = 1 + place(4, random); n > 0; n--) out[place(out.length, random)] = place(256, random)
    return out
  },
  function truncate(bytes, random) {
    return bytes.slice(0, place(bytes.length, random))
  },
  function cutOut(bytes, random) {
    const [begin, end] = range(bytes, random)
    return join(bytes.subarray(0, begin), bytes.subarray(end))
  },
  function repeat(bytes, random) {
    const [begin, end] = range(bytes, random)
    return join(bytes.subarray(0, end), bytes.subarray(begin))
  },
  function splice(bytes, random, other) {
    const at = place(bytes.length, random)
    const [begin, end] = range(other, random)
    return join(bytes.subarray(0, at), other.subarray(begin, end), bytes.subarray(at))
  },
  function overwrite(bytes, random, other) {
    const out = bytes.slice()
    const [begin, end] = range(other, random)
    const at = place(bytes.length, random)
    out.set(other.subarray(begin, Math.min(end, begin + out.length - at)), at)
    return out
  },
  function setLength(bytes, random) {
    const out = bytes.slice()
    const width = [2, 4, 8][place(3, random)]
    if (out.length < width) return out
    const values = [...LENGTHS, BigInt(out.length), BigInt(out.length) - 1n]
    const value = values[place(values.length, random)]
    // headers are at the ends of files, and their fields at even places
    const at =
      random() < 0.5
        ? place(Math.min(256, out.length - width + 1), random)
        : place(out.length - width + 1, random)
    for (let i = 0; i < width; i++) out[at + i] = Number((value >> BigInt(8 * i)) & 255n)
    return out
  },
  function changeNumber(bytes, random) {
    const start = place(bytes.length, random)
    let begin = start
    while (begin < bytes.length && !isDigit(bytes[begin])) begin++
    let end = begin
    while (end < bytes.length && isDigit(bytes[end])) end++
    return join(bytes.subarray(0, begin), text(NUMBERS[place(NUMBERS.length, random)]), bytes.subarray(end))
  },
  function nest(bytes, random) {
    const at = place(bytes.length, random)
    const unit = NESTING[place(NESTING.length, random)]
    const count = Math.floor(random() ** 3 * MAX_NESTING)
    return join(bytes.subarray(0, at), text(unit.repeat(count)), bytes.subarray(at))
  },
]

const isDigit = (byte: number): boolean => byte >= 48 && byte <= 57

/** A damaged copy of one of `files`, after one to four mutations. */
export function mutant(files: readonly Uint8Array[], seed: number): Uint8Array {
  const random = randomNumbers(seed)
  const pick = () => files[place(files.length, random)]
  let bytes = pick()
  for (let n = 1 + place(4, random); n > 0 && bytes.length > 0; n--)
    bytes = MUTATIONS[place(MUTATIONS.length, random)](bytes, random, pick())
  return bytes
}
