/** jax-js: float32 matrix products with its WebAssembly backend. */
import { defaultDevice, init, numpy as np } from '@jax-js/jax'
import { options, random, serve, time } from './serve.mjs'

await init('wasm')
defaultDevice('wasm')
const matrix = (rows, columns) => np.array(random(rows * columns), { shape: [rows, columns] })

await serve('jax-js', async ({ m, k, n, transposed }) => {
  const a = transposed === 'a' ? matrix(k, m) : matrix(m, k)
  const b = transposed === 'b' ? matrix(n, k) : matrix(k, n)
  // every use of an array takes a reference away
  const left = () => (transposed === 'a' ? np.transpose(a.ref) : a.ref)
  const right = () => (transposed === 'b' ? np.transpose(b.ref) : b.ref)
  const seconds = await time(async () => {
    const c = np.matmul(left(), right())
    await c.blockUntilReady()
    c.dispose()
  }, options.seconds)
  a.dispose()
  b.dispose()
  return { value: (2 * m * k * n) / seconds / 1e9 }
})
