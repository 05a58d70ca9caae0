/** npm tokenizers, the Rust library for Node, or @huggingface/tokenizers, in JavaScript: megabytes a second. */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { options, serve, time } from './serve.mjs'

const texts = JSON.parse(readFileSync(options.texts, 'utf8'))
  .slice(0, 2000)
  .map(({ text }) => text)
const bytes = new TextEncoder().encode(texts.join('')).length
const read = (path) => {
  const json = JSON.parse(readFileSync(path, 'utf8'))
  return { ...json, padding: null, truncation: null }
}

const make = {
  tokenizers: () => {
    const { Tokenizer } = createRequire(import.meta.url)('tokenizers')
    return (json) => {
      const tokenizer = Tokenizer.fromString(JSON.stringify(json))
      return {
        single: async () => {
          for (const text of texts) (await tokenizer.encode(text)).getIds()
        },
        batch: async () => {
          for (const encoding of await tokenizer.encodeBatch(texts)) encoding.getIds()
        },
      }
    }
  },
  '@huggingface/tokenizers': async () => {
    const { Tokenizer } = await import('@huggingface/tokenizers')
    return (json) => {
      const tokenizer = new Tokenizer(json, {})
      const all = () => {
        for (const text of texts) tokenizer.encode(text).ids
      }
      return { single: all, batch: all }
    }
  },
}

const { version } = JSON.parse(
  readFileSync(new URL(`./node_modules/${options.package}/package.json`, import.meta.url), 'utf8'),
)
const from = await make[options.package]()
const tokenizers = Object.fromEntries(
  Object.entries(options.files).map(([name, path]) => [name, from(read(path))]),
)

await serve(`${options.package} ${version}`, async ({ tokenizer, mode }) => {
  const run = tokenizers[tokenizer][mode.startsWith('batch') ? 'batch' : 'single']
  return { value: bytes / (await time(run, options.seconds)) / 1e6 }
})
