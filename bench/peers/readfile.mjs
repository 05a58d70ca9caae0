/** The floor of loading a checkpoint: reading its bytes when the system has them at hand. */
import { readFile } from 'node:fs/promises'
import { options, serve } from './serve.mjs'

await readFile(options.file)
await serve(`Node ${process.versions.node}`, async () => {
  const start = performance.now()
  const { length } = await readFile(options.file)
  return { value: (performance.now() - start) / 1000, bytes: length }
})
