/** How much of a text is copied from another. */

/** Copies shorter than this are words and phrases, and are not looked for. */
const SEED_LENGTH = 16

/**
 * For each text, the longest stretch that is also in the corpus; empty below 16 characters. White space of any kind counts as
 * one space. Every stretch of 16 characters of the texts is looked up while the corpus goes by once.
 */
export function longestCopies(texts: readonly string[], corpus: string): string[] {
  const own = texts.map(plain)
  const seeds = new Map<string, { text: number; at: number }[]>()
  for (const [text, characters] of own.entries())
    for (let at = 0; at + SEED_LENGTH <= characters.length; at++) {
      const seed = characters.slice(at, at + SEED_LENGTH)
      const places = seeds.get(seed)
      if (places) places.push({ text, at })
      else seeds.set(seed, [{ text, at }])
    }
  const longest = own.map(() => '')
  const other = plain(corpus)
  for (let i = 0; i + SEED_LENGTH <= other.length; i++)
    for (const { text, at } of seeds.get(other.slice(i, i + SEED_LENGTH)) ?? []) {
      const length = commonLength(own[text], at, other, i)
      if (length > longest[text].length) longest[text] = own[text].slice(at, at + length)
    }
  return longest
}

/** How many characters agree from two places on. */
function commonLength(a: string, i: number, b: string, j: number): number {
  let n = 0
  while (i + n < a.length && j + n < b.length && a[i + n] === b[j + n]) n++
  return n
}

const plain = (text: string): string => text.replace(/\s+/g, ' ')
