/** Runs optimizer trajectories, learning rate schedules and gradient clipping on the goldens. */
import { tensor } from '../../core/index.ts'
import type { ModelFolder } from '../../hub/index.ts'
import { Parameter } from '../../nn/index.ts'
import * as optim from '../../nn/optim/index.ts'
import { entries } from './folder.ts'
import { type GoldenFile, openGolden, type TensorRef } from './golden.ts'
import type { CaseResult } from './safetensors.ts'

type Arguments = Record<string, unknown>
type References = Record<string, TensorRef>

interface OptimizerCase {
  kind: 'optimizer'
  name: string
  optimizer: string
  arguments: Arguments
  parameters: string[]
  expected: References
}

interface ClippingCase {
  kind: 'clip_grad_norm' | 'clip_grad_value'
  name: string
  max_norm: number
  norm_type: number | { $float: string }
  clip_value: number
  total_norm: number
  expected: References
}

interface ScheduleCase {
  kind?: undefined
  name: string
  family: string
  schedule: string
  base_lr: number
  arguments: Arguments
  lr: number[]
}

type OptimCase = OptimizerCase | ClippingCase | ScheduleCase

interface OptimFile {
  init: References
  grads: References
  optimizer: { lr: number; momentum: number }
  cases: OptimCase[]
}

/** The goldens' tolerances: `|got - expected| <= tolerance * (1 + |expected|)`. */
const WEIGHTS = 1e-5
const RATES = 1e-9

/** Thrown by a case that asks for what is not built. */
class NotBuilt extends Error {}

/** Runs the suite over a folder in the format of `goldens/optim`. */
export async function* runOptim(
  folder: ModelFolder,
  { wanted }: { wanted: (path: string) => boolean },
): AsyncIterable<CaseResult> {
  for (const file of (await entries(folder)).filter((name) => name.endsWith('.json'))) {
    const golden = await openGolden(folder, file)
    const contents = golden.json as unknown as OptimFile
    for (const c of contents.cases) {
      const path = `${file.replace(/\.json$/, '')}/${c.name}`
      if (!wanted(path)) continue
      try {
        await runCase(golden, contents, c)
        yield { case: path, status: 'passed' }
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error)
        yield { case: path, status: error instanceof NotBuilt ? 'skipped' : 'failed', reason }
      }
    }
  }
}

function runCase(golden: GoldenFile, file: OptimFile, c: OptimCase): Promise<void> | void {
  if (c.kind === 'optimizer') return runOptimizer(golden, file, c)
  if (c.kind === undefined) return runSchedule(file, c)
  return runClipping(golden, file, c)
}

/** Python's keyword arguments as options: camelCase, without those that are null. */
function optionsOf(args: Arguments): Arguments {
  const camel = (name: string) => name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase())
  const given = Object.entries(args).filter(([, value]) => value !== null)
  return Object.fromEntries(given.map(([name, value]) => [camel(name), value]))
}

type OptimizerClass = new (
  params: Parameter[],
  options: Arguments,
) => { step(): Promise<void>; zeroGrad(): void }

async function runOptimizer(golden: GoldenFile, file: OptimFile, c: OptimizerCase): Promise<void> {
  const found = (optim as unknown as Record<string, OptimizerClass | undefined>)[c.optimizer]
  if (!found) throw new NotBuilt(`no optimizer ${c.optimizer}`)
  const parameters = c.parameters.map((name) => parameterOf(golden, file.init[name]))
  const optimizer = new found(parameters, optionsOf(c.arguments))
  const steps = file.grads[c.parameters[0]].shape[0]
  for (let step = 0; step < steps; step++) {
    for (const [i, name] of c.parameters.entries())
      parameters[i].grad = stepTensor(golden, file.grads[name], step)
    await optimizer.step()
    for (const [i, name] of c.parameters.entries())
      close(
        `${name} after step ${step}`,
        await parameters[i].data(),
        stepOf(golden, c.expected[name], step),
        WEIGHTS,
      )
    optimizer.zeroGrad()
  }
}

async function runClipping(golden: GoldenFile, file: OptimFile, c: ClippingCase): Promise<void> {
  const names = Object.keys(c.expected)
  const parameters = names.map((name) => {
    const parameter = parameterOf(golden, file.grads[name])
    parameter.grad = tensorOf(golden, file.grads[name])
    return parameter
  })
  if (c.kind === 'clip_grad_norm') {
    const normType = typeof c.norm_type === 'number' ? c.norm_type : Number.POSITIVE_INFINITY
    const norm = optim.clipGradNorm_(parameters, c.max_norm, { normType })
    close('total norm', [await norm.item()], [c.total_norm], WEIGHTS)
  } else optim.clipGradValue_(parameters, c.clip_value)
  for (const [i, name] of names.entries())
    close(name, await parameters[i].grad!.data(), golden.numbers(c.expected[name]), WEIGHTS)
}

function runSchedule(file: OptimFile, c: ScheduleCase): void {
  if (c.family !== 'transformers') throw new NotBuilt(`no schedule ${c.schedule}`)
  if (!optim.schedulerNames.includes(c.schedule)) throw new NotBuilt(`no schedule ${c.schedule}`)
  const optimizer = new optim.SGD([new Parameter([1])], { lr: c.base_lr, momentum: file.optimizer.momentum })
  const { schedulerSpecificKwargs, ...options } = optionsOf(c.arguments)
  const schedule = optim.getScheduler(c.schedule, optimizer, {
    ...options,
    ...(schedulerSpecificKwargs
      ? { schedulerSpecificKwargs: optionsOf(schedulerSpecificKwargs as Arguments) }
      : {}),
  })
  const rates = c.lr.map(() => {
    const [rate] = schedule.getLastLr()
    schedule.step()
    return rate
  })
  close('rates', rates, c.lr, RATES)
}

function tensorOf(golden: GoldenFile, ref: TensorRef) {
  return tensor(Float32Array.from(golden.numbers(ref)), ref.shape)
}

function parameterOf(golden: GoldenFile, ref: TensorRef): Parameter {
  return new Parameter(tensorOf(golden, ref))
}

/** Part `step` of a tensor whose first dimension counts the steps. */
function stepOf(golden: GoldenFile, ref: TensorRef, step: number): ArrayLike<number> {
  const size = ref.shape.slice(1).reduce((a, b) => a * b, 1)
  return golden.numbers(ref).subarray(step * size, (step + 1) * size)
}

function stepTensor(golden: GoldenFile, ref: TensorRef, step: number) {
  return tensor(Float32Array.from(stepOf(golden, ref, step)), ref.shape.slice(1))
}

function close(what: string, got: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number): void {
  if (got.length !== expected.length)
    throw new Error(`${what}: ${got.length} elements, expected ${expected.length}`)
  for (let i = 0; i < expected.length; i++)
    if (!(Math.abs(got[i] - expected[i]) <= tolerance * (1 + Math.abs(expected[i]))))
      throw new Error(`${what}: element ${i} is ${got[i]}, expected ${expected[i]}`)
}
