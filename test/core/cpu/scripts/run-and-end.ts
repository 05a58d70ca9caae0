/** Runs a plan on two threads and ends by itself, without shutdown; prints an element, then 1 when Node is about to exit. */
import { createCpuBackend } from '../../../../core/backends/cpu/index.ts'
import { load } from '../../../../core/expr.ts'

const COUNT = 1 << 18
const cpu = createCpuBackend({ threads: 2 })
const buffer = cpu.allocate(4 * COUNT)
cpu.upload(buffer, 0, new Float32Array(COUNT).fill(4))
await cpu.startWorkers()
const operand = { buffer: 0, dtype: 'float32', offset: 0, strides: [1] } as const
const double = { operand, value: load(0, 'f32').mul(2) }
const plan = {
  kernels: [
    { kind: 'map', shape: [COUNT], loads: [operand], scalars: [], stores: [double], label: 'double' },
  ],
  buffers: [{ kind: 'external', bytes: 4 * COUNT, binding: 0, written: true }],
  scalarCount: 0,
} as const
await cpu.prepare(plan).run([{ buffer, offset: 0 }], [])
const result = new Float32Array(1)
await cpu.download(buffer, 4 * (COUNT - 1), result)
process.on('exit', () => console.log(1))
console.log(result[0])
