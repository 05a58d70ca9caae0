import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  memoryAccess,
  openSafetensors,
  type RandomAccess,
  SafetensorsError,
  serializeSafetensors,
} from '../../hub/index.ts'
import { tensors } from './arbitraries.ts'

function file(header: string, data = 0, claimed?: bigint): Uint8Array {
  const json = new TextEncoder().encode(header)
  const bytes = new Uint8Array(8 + json.length + data)
  new DataView(bytes.buffer).setBigUint64(0, claimed ?? BigInt(json.length), true)
  bytes.set(json, 8)
  return bytes
}

const refusal = async (bytes: Uint8Array) =>
  openSafetensors(bytes).then(
    () => 'accepted',
    (error: unknown) => (error instanceof SafetensorsError ? error.message : `a defect: ${error}`),
  )

const entry = (fields: string) => `{"a":{${fields}}}`

test.each<[string, Uint8Array, string]>([
  ['nothing', new Uint8Array(0), '0 bytes are too few'],
  ['a huge header', file('{}', 0, 2n ** 60n), 'claims a header of 1152921504606846976 bytes'],
  ['a header past the end', file('{}', 0, 50n), 'its header needs 50 bytes, the file ends after 2'],
  [
    'missing data',
    file(entry('"dtype":"U8","shape":[4],"data_offsets":[0,4]'), 3),
    'its tensors need 4 bytes, the file has 3',
  ],
  [
    'data at the end',
    file(entry('"dtype":"U8","shape":[4],"data_offsets":[0,4]'), 5),
    'unknown data at the end',
  ],
  [
    'a wrong size',
    file(entry('"dtype":"F32","shape":[3],"data_offsets":[0,8]'), 8),
    'tensor "a": F32 [3] takes 12 bytes, 8 are reserved',
  ],
  [
    'an unknown dtype',
    file(entry('"dtype":"F33","shape":[],"data_offsets":[0,4]'), 4),
    'tensor "a": unknown dtype "F33"',
  ],
  ['a field given twice', file(entry('"dtype":"U8","dtype":"U8"')), 'tensor "a" has dtype twice'],
  ['a dimension past 2^53', file(entry('"dtype":"U8","shape":[9007199254740993]')), 'which is over 2^53'],
  ['deep nesting', file(entry(`"x":${'['.repeat(1e5)}`)), 'nested more than 128 deep'],
  [
    'a name with line breaks',
    file('{"a\\nb":{"dtype":"F33","shape":[],"data_offsets":[0,0]}}'),
    'tensor "a\\nb"',
  ],
])('refuses %s', async (_, bytes, reason) => {
  const message = await refusal(bytes)
  expect(message).toContain(reason)
  expect(message).toMatch(/^\[safetensors\] memory: [^\n]*$/)
})

test('skips fields that it does not know, of any kind', async () => {
  const extra = '"x":[{"y":[1.5e3,-0,"\\u00e9",null,true,false,{}]},[]]'
  const bytes = file(`\n{ "a" : {${extra},"dtype":"U8","shape":[2],"data_offsets":[0,2]} }\t`, 2)
  const reader = await openSafetensors(bytes)
  expect([...reader.tensors.values()]).toEqual([
    { name: 'a', dtype: 'U8', shape: [2], offset: bytes.length - 2, byteLength: 2 },
  ])
})

/** A source that only pretends to be large, and notes what it was asked for. */
function pretender(prefix: Uint8Array, size: number) {
  const asked: number[] = []
  const inner = memoryAccess(prefix)
  const source: RandomAccess = {
    ...inner,
    size,
    read(offset, length) {
      asked.push(length)
      return inner.read(offset, length)
    },
  }
  return { source, asked }
}

test('a large claim in a large file is refused before anything is read by it', async () => {
  const { source, asked } = pretender(file('{}', 0, 100_000_001n), 2 ** 50)
  await expect(openSafetensors(source)).rejects.toThrow('the limit is 100000000')
  expect(asked).toEqual([8])
})

test('closes what it opened when the header is refused', async () => {
  let closed = 0
  const source = { ...memoryAccess(file('{')), close: async () => void closed++ }
  await expect(openSafetensors(source)).rejects.toThrow(SafetensorsError)
  expect(closed).toBe(1)
})

/** Replaces, removes or doubles a few bytes. */
const damage = fc.array(
  fc.record({
    at: fc.nat(400),
    kind: fc.constantFrom('set', 'cut', 'double'),
    byte: fc.oneof(fc.integer({ min: 0, max: 255 }), fc.constantFrom(...Buffer.from('{}[]",:0919-.eE\\u'))),
  }),
  { minLength: 1, maxLength: 5 },
)

test('a damaged file gives one clear error or tensors that lie inside of it', async () => {
  const outcomes = { refused: 0, accepted: 0 }
  await fc.assert(
    fc.asyncProperty(tensors, damage, async (tensors, changes) => {
      const bytes = [...(await serializeSafetensors(tensors))]
      for (const { at, kind, byte } of changes) {
        if (at >= bytes.length) continue
        if (kind === 'set') bytes[at] = byte
        else bytes.splice(at, 1, ...(kind === 'cut' ? [] : [bytes[at], bytes[at]]))
      }
      const { source, asked } = pretender(Uint8Array.from(bytes), bytes.length)
      try {
        const reader = await openSafetensors(source)
        outcomes.accepted++
        let total = 0
        for (const { name, byteLength } of reader.tensors.values()) {
          expect((await reader.read(name)).bytes.length).toBe(byteLength)
          total += byteLength
        }
        expect(total).toBeLessThan(bytes.length)
      } catch (error) {
        outcomes.refused++
        if (!(error instanceof SafetensorsError)) throw error
        expect(error.message).toMatch(/^\[safetensors\] [^\n]{1,600}$/)
      }
      expect(asked.reduce((sum, length) => sum + length, 0)).toBeLessThanOrEqual(bytes.length)
    }),
    { numRuns: 1500 },
  )
  expect(outcomes.refused).toBeGreaterThan(100)
  expect(outcomes.accepted).toBeGreaterThan(10)
})
