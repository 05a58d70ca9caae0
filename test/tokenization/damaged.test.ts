import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { Tokenizer } from '../../tokenization/tokenizer.ts'
import { goldenJson, goldenTokenizer } from './goldens.ts'

const text = 'The quick brown fox, 12 naïve cafés 😀.'

/** Values that a damaged or hostile file may hold anywhere. */
const strange = fc.constantFrom<unknown>(
  null,
  -1,
  0,
  0.5,
  2 ** 31,
  2 ** 53,
  '',
  '(',
  '(a+)+$',
  '\ud800',
  [],
  {},
  true,
  'Sequence',
  { type: 'Sequence' },
  { type: 'Fixed' },
)

let json: Record<string, unknown>
let healthy: Tokenizer
let ids: number[]

beforeAll(async () => {
  json = JSON.parse(await goldenJson('padding-truncation')) as Record<string, unknown>
  healthy = await goldenTokenizer('bytelevel-gpt2')
  ids = healthy.encode(text).ids
})

/** An error of one line, or a tokenizer that encodes, or says in one line why not. */
async function tryOut(content: string): Promise<void> {
  try {
    const tokenizer = await Tokenizer.fromString(content)
    tokenizer.encodeBatch([text, text])
    tokenizer.encodeBatch([text], { idsOnly: true })
    tokenizer.decode(ids)
    tokenizer.free()
  } catch (error) {
    expect(error).toBeInstanceOf(Error)
    expect((error as Error).message).toMatch(/^\[\w+\] [^\n]+$/)
  }
  // Whatever happened there, other tokenizers work on.
  expect(healthy.encode(text).ids).toEqual(ids)
}

/** Paths to all fields of the file but the single tokens of its vocabulary. */
function paths(value: unknown, at: string[] = []): string[][] {
  if (typeof value !== 'object' || value === null || at.length > 6) return [at]
  const keys = Object.keys(value).slice(0, at.at(-1) === 'vocab' ? 3 : undefined)
  return [at, ...keys.flatMap((key) => paths((value as Record<string, unknown>)[key], [...at, key]))]
}

function replaced(value: unknown, path: readonly string[], by: unknown): unknown {
  if (path.length === 0) return by
  const copy = structuredClone(value) as Record<string, unknown>
  let parent = copy
  for (const key of path.slice(0, -1)) parent = parent[key] as Record<string, unknown>
  parent[path.at(-1)!] = by
  return copy
}

describe('a damaged tokenizer.json is an error or works, and harms no other', () => {
  it('fields replaced', { timeout: 60_000 }, async () => {
    const all = paths(json).filter((path) => path.length > 0)
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...all), strange, (path, by) =>
        tryOut(JSON.stringify(replaced(json, path, by))),
      ),
      { numRuns: 80 },
    )
  })

  it('bytes changed, or cut off', { timeout: 60_000 }, async () => {
    const bytes = new TextEncoder().encode(JSON.stringify(json))
    const at = fc.nat(bytes.length - 1)
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(at, fc.nat(255)), { maxLength: 4 }), at, (changes, length) => {
        const damaged = bytes.slice(0, changes.length ? bytes.length : length)
        for (const [place, byte] of changes) damaged[place] = byte
        return tryOut(new TextDecoder().decode(damaged))
      }),
      { numRuns: 60 },
    )
  })

  it.each([
    [{ padding: { strategy: { Fixed: 2 ** 50 } } }],
    [{ padding: { strategy: 'BatchLongest', pad_to_multiple_of: 2 ** 50 } }],
    [{ truncation: { max_length: 2 ** 53, stride: 2 ** 53, strategy: 'LongestFirst', direction: 'Left' } }],
    [{ model: { type: 'WordLevel', vocab: { a: 4294967295, the: 7 }, unk_token: 'a' } }],
    [{ model: { type: 'BPE', vocab: { a: 4294967295 }, merges: [] } }],
    [
      {
        pre_tokenizer: { type: 'Split', pattern: { Regex: '(a|aa)+$' }, behavior: 'Isolated', invert: false },
      },
    ],
    [{ pre_tokenizer: { type: 'FixedLength', length: 0 } }],
  ])('sizes and expressions without bounds (%#)', async (fields) => {
    const padding = {
      direction: 'Right',
      pad_to_multiple_of: null,
      pad_id: 0,
      pad_type_id: 0,
      pad_token: 'x',
    }
    const made = 'padding' in fields ? { padding: { ...padding, ...fields.padding } } : fields
    await tryOut(JSON.stringify({ ...json, ...made }))
  })
})
