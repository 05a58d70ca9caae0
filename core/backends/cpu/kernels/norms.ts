import type { CallKernel } from '../../../plan/kernel.ts'
import { Address, F32, F32x4, type FunctionBuilder, I32, ModuleBuilder } from '../assembler.ts'
import { type Dispatch, type LowerContext, scalarSlot } from '../dispatch.ts'
import { argumentBlock, grainOf, operandAddress, rowsOf } from './arguments.ts'
import { sumLanes } from './elements.ts'
import { RowLoops } from './row-loops.ts'

/** Layer norm subtracts the mean; RMS norm does not. */
type Norm = 'layer' | 'rms'

interface NormCode {
  readonly norm: Norm
  readonly weight: boolean
  readonly bias: boolean
  readonly relaxedSimd: boolean
}

const codeKey = (name: string, code: NormCode) =>
  `${name}.${code.norm}.${code.weight}.${code.bias}.${code.relaxedSimd}`

const forwardBlock = argumentBlock({
  x: 'address',
  weight: 'address',
  bias: 'address',
  y: 'address',
  mean: 'address',
  rstd: 'address',
  columns: 'i32',
  eps: 'f32',
})

/** Calls the row body with the row number, its offset in bytes and the number of columns as a float. */
function eachRow(
  f: FunctionBuilder,
  p: { start: I32; end: I32; columns: I32 },
  body: (row: I32, at: Address, count: F32) => void,
): void {
  const count = f.let(p.columns.toF32())
  f.for(p.start, p.end, 1, (row) => body(row, f.let(Address.of(row.mul(p.columns)).shl(2)), count))
}

/** Unit: one row. The variance is summed about the mean, in a second pass. */
function emitForward(code: NormCode): ModuleBuilder {
  const module = new ModuleBuilder(code)
  const rows = new RowLoops(module)
  module.function('run', { args: Address, start: I32, end: I32 }, (f, { args, start, end }) => {
    const p = forwardBlock.read(f, args)
    eachRow(f, { start, end, columns: p.columns }, (row, at, count) => {
      const x = f.let(p.x.add(at))
      const sums = [f.let(F32x4.const(0)), f.let(F32x4.const(0))]
      const total = () => sumLanes(f, sums[0].add(sums[1]))
      const mean = f.let(F32.const(0))
      if (code.norm === 'layer') {
        rows.each(f, p.columns, [x], {}, ([v], _keep, part) => sums[part].set(sums[part].add(v)))
        mean.set(total().div(count))
        f.storeF32(p.mean.at(row, 4), mean)
        for (const sum of sums) sum.set(F32x4.const(0))
      }
      const center = f.let(mean.splat())
      rows.each(f, p.columns, [x], {}, ([v], keep, part) => {
        const d = f.let(keep(v.sub(center)))
        sums[part].set(f.madd(d, d, sums[part]))
      })
      const rstd = f.let(F32.const(1).div(total().div(count).add(p.eps).sqrt()))
      f.storeF32(p.rstd.at(row, 4), rstd)
      const scale = f.let(rstd.splat())
      const reads = [x, ...(code.weight ? [p.weight] : []), ...(code.bias ? [p.bias] : [])]
      rows.each(f, p.columns, reads, { write: p.y.add(at) }, ([v, ...affine]) => {
        const hat = f.let(v.sub(center).mul(scale))
        if (code.weight && code.bias) return f.madd(hat, affine[0], affine[1])
        if (code.weight) return hat.mul(affine[0])
        return code.bias ? hat.add(affine[0]) : hat
      })
    })
  })
  return module
}

const backwardBlock = argumentBlock({
  dy: 'address',
  x: 'address',
  mean: 'address',
  rstd: 'address',
  weight: 'address',
  dx: 'address',
  columns: 'i32',
})

/**
 * Unit: one row. With g = dy * weight and h the normalised row: dx = rstd (g - mean(g) - h mean(g h)), without mean(g) for RMS
 * norm.
 */
function emitBackward(code: NormCode): ModuleBuilder {
  const module = new ModuleBuilder(code)
  const rows = new RowLoops(module)
  module.function('run', { args: Address, start: I32, end: I32 }, (f, { args, start, end }) => {
    const p = backwardBlock.read(f, args)
    const isLayer = code.norm === 'layer'
    eachRow(f, { start, end, columns: p.columns }, (row, at, count) => {
      const mean = isLayer ? f.let(p.mean.at(row, 4).loadSplatF32()) : null
      const rstd = f.let(p.rstd.at(row, 4).loadSplatF32())
      const hat = (x: F32x4) => (mean ? x.sub(mean) : x).mul(rstd)
      const reads = [p.dy.add(at), p.x.add(at), ...(code.weight ? [p.weight] : [])].map((r) => f.let(r))
      const sumsG = [f.let(F32x4.const(0)), f.let(F32x4.const(0))]
      const sumsGH = [f.let(F32x4.const(0)), f.let(F32x4.const(0))]
      rows.each(f, p.columns, reads, {}, ([dy, x, weight], _keep, part) => {
        const g = f.let(weight ? dy.mul(weight) : dy)
        if (isLayer) sumsG[part].set(sumsG[part].add(g))
        sumsGH[part].set(f.madd(g, hat(x), sumsGH[part]))
      })
      const meanG = f.let(sumLanes(f, sumsG[0].add(sumsG[1])).div(count).splat())
      const meanGH = f.let(sumLanes(f, sumsGH[0].add(sumsGH[1])).div(count).splat())
      rows.each(f, p.columns, reads, { write: p.dx.add(at) }, ([dy, x, weight]) => {
        const g = f.let(weight ? dy.mul(weight) : dy)
        const centered = isLayer ? g.sub(meanG) : g
        return f.nmadd(hat(x), meanGH, centered).mul(rstd)
      })
    })
  })
  return module
}

const lowerForward =
  (norm: Norm) =>
  (kernel: CallKernel, ctx: LowerContext): Dispatch[] => {
    const inputs = [...kernel.inputs]
    const x = inputs.shift()!
    const weight = kernel.attrs.weight ? inputs.shift()! : null
    const bias = kernel.attrs.bias ? inputs.shift()! : null
    const outputs = kernel.outputs.map(operandAddress)
    const [y, mean, rstd] = norm === 'layer' ? outputs : [outputs[0], 0, outputs[1]]
    const { rows, columns } = rowsOf(x)
    const code = { norm, weight: weight !== null, bias: bias !== null, relaxedSimd: ctx.features.relaxedSimd }
    const rowCost = columns * 0.8 + 30
    return [
      {
        codeKey: codeKey('norm', code),
        emit: () => emitForward(code),
        args: forwardBlock.words({
          x: operandAddress(x),
          weight: weight ? operandAddress(weight) : 0,
          bias: bias ? operandAddress(bias) : 0,
          y,
          mean,
          rstd,
          columns,
          eps: scalarSlot(kernel.scalars[0].slot, 'f32'),
        }),
        units: rows,
        grain: grainOf(rows, rowCost),
        cost: rows * rowCost,
      },
    ]
  }

const lowerBackward =
  (norm: Norm) =>
  (kernel: CallKernel, ctx: LowerContext): Dispatch[] => {
    const inputs = kernel.inputs.map(operandAddress)
    const [dy, x, mean, rstd, weight] =
      norm === 'layer' ? inputs : [inputs[0], inputs[1], 0, inputs[2], inputs[3]]
    const { rows, columns } = rowsOf(kernel.inputs[1])
    const hasWeight = kernel.attrs.weight === true
    const code = { norm, weight: hasWeight, bias: false, relaxedSimd: ctx.features.relaxedSimd }
    const rowCost = columns * 0.8 + 30
    return [
      {
        codeKey: codeKey('normBackward', code),
        emit: () => emitBackward(code),
        args: backwardBlock.words({
          dy,
          x,
          mean,
          rstd,
          weight: hasWeight ? weight : 0,
          dx: operandAddress(kernel.outputs[0]),
          columns,
        }),
        units: columns === 0 ? 0 : rows,
        grain: grainOf(rows, rowCost),
        cost: rows * rowCost,
      },
    ]
  }

export const lowerLayerNorm = lowerForward('layer')
export const lowerRmsNorm = lowerForward('rms')
export const lowerLayerNormBackward = lowerBackward('layer')
export const lowerRmsNormBackward = lowerBackward('rms')
