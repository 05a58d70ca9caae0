/**
 * For V8's trace of what it widens: starts three threads; `product` multiplies on them; `other` then runs code of another
 * module until it is optimized.
 */
import { Address, F32x4, ModuleBuilder } from '../../../../core/backends/cpu/assembler.ts'
import { createCpuBackend } from '../../../../core/backends/cpu/index.ts'
import { PlanBuilder, runCase } from '../../../helpers/kernels.ts'

const tasks = process.argv.slice(2)
const cpu = createCpuBackend({ threads: 3, shareAlways: true })
await cpu.startWorkers()

if (tasks.includes('product')) {
  const b = new PlanBuilder()
  const input = (shape: readonly number[]) => b.input('float32', shape, new Float32Array(shape[0] * shape[1]))
  b.call('matmul', [input([200, 100]), input([100, 200])], [b.output('float32', [200, 200])], { bias: false })
  const c = b.build('product')
  for (let i = 0; i < 20; i++) await runCase(cpu, c)
}

if (tasks.includes('other')) {
  const other = new ModuleBuilder()
  other.function('run', { to: Address }, (f, { to }) =>
    f.for(0, 4096, 32, (i) => {
      f.storeVector(to.at(i, 1), F32x4.const(1), 0)
      f.storeVector(to.at(i, 1), F32x4.const(2), 16)
    }),
  )
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true })
  const instance = new WebAssembly.Instance(new WebAssembly.Module(other.bytes()), { env: { memory } })
  const run = instance.exports.run as (to: number) => void
  for (let i = 0; i < 20_000; i++) run(0)
  // optimized code is made in the background
  await new Promise((resolve) => setTimeout(resolve, 200))
}
await cpu.shutdown()
