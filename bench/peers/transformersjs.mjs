/** transformers.js with onnxruntime-node: embeds sentences as its users do, mean pooling, batches of 32. */
import { readFileSync } from 'node:fs'
import { env, pipeline } from '@huggingface/transformers'
import { options, serve } from './serve.mjs'

const BATCH = 32

env.localModelPath = options.onnxModels
env.allowRemoteModels = false
const embed = await pipeline('feature-extraction', options.model, {
  dtype: 'fp32',
  session_options: { intraOpNumThreads: options.threads ?? 2 },
})
const texts = JSON.parse(readFileSync(options.texts, 'utf8')).map(({ text }) => text)
const embedAll = async () => {
  for (let i = 0; i < texts.length; i += BATCH)
    await embed(texts.slice(i, i + BATCH), { pooling: 'mean', normalize: true })
}
await embedAll()

await serve(`transformers.js ${env.version}`, async () => {
  const start = performance.now()
  await embedAll()
  return { value: (texts.length / (performance.now() - start)) * 1000 }
})
