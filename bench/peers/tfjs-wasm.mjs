/** TensorFlow.js: float32 matrix products with its WebAssembly backend. */
import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import { options, random, serve, time } from './serve.mjs'

// its builds for Node are CommonJS
const require = createRequire(import.meta.url)
const tf = require('@tensorflow/tfjs-core')
const wasm = require('@tensorflow/tfjs-backend-wasm')

wasm.setWasmPaths(`${dirname(require.resolve('@tensorflow/tfjs-backend-wasm'))}/`)
wasm.setThreadsCount(options.threads ?? 2)
await tf.setBackend('wasm')
await tf.ready()

await serve(`tfjs-wasm ${tf.version_core}`, async ({ m, k, n, transposed }) => {
  const a = tf.tensor2d(random(m * k), transposed === 'a' ? [k, m] : [m, k])
  const b = tf.tensor2d(random(k * n), transposed === 'b' ? [n, k] : [k, n])
  // its kernels run to their end within the call
  const seconds = await time(
    () => tf.dispose(tf.matMul(a, b, transposed === 'a', transposed === 'b')),
    options.seconds,
  )
  tf.dispose([a, b])
  return { value: (2 * m * k * n) / seconds / 1e9, threads: wasm.getThreadsCount() }
})
