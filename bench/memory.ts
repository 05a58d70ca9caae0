/**
 * Training with a length that was never there before at every step, nothing disposed by hand: who holds how many bytes, step by
 * step. The value is how far resident memory goes from that of step 100, in percent, after forced collections.
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { memory, setDefaultDevice, shutdown, tensor } from '../core/index.ts'
import { AdamW, clipGradNorm_ } from '../nn/optim/index.ts'
import { type BenchOptions, type BenchResult, integers, round } from './bench.ts'
import { smallClassifier } from './models.ts'

const STEPS = 300
const SHORTEST = 33
/** From here on memory is compared. */
const SETTLED = 100
const EVERY = 20
const LIMIT_PERCENT = 2

/** One call collects what is garbage, the next what its finalizers let go. */
async function collect(): Promise<void> {
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc') as () => void
  for (let i = 0; i < 3; i++) {
    gc()
    await new Promise<void>((resolve) => setTimeout(resolve, 20))
  }
}

function trainingRun() {
  const model = smallClassifier().train()
  const optimizer = new AdamW(model.parameters(), { lr: 1e-4 })
  const next = integers(3)
  return async (tokens: number): Promise<void> => {
    // several texts of random lengths that come to just so many tokens
    const bounds = [0]
    while (bounds.at(-1)! < tokens) bounds.push(Math.min(tokens, bounds.at(-1)! + 5 + next(30)))
    const { loss } = model({
      inputIds: tensor(
        Int32Array.from({ length: tokens }, () => 1 + next(999)),
        [1, tokens],
      ),
      cuSeqlens: Int32Array.from(bounds),
      labels: tensor(Int32Array.from({ length: bounds.length - 1 }, () => next(2))),
    })
    loss!.backward()
    clipGradNorm_(model.parameters(), 1)
    await optimizer.step()
    optimizer.zeroGrad()
    await loss!.item()
  }
}

/** Lengths in mixed order, each once. */
function lengths(): number[] {
  const stride = 113
  return Array.from({ length: STEPS }, (_, i) => SHORTEST + ((i * stride) % STEPS))
}

export async function run({ device }: BenchOptions): Promise<BenchResult> {
  // what the longest length needs, alone
  await trainingRun()(SHORTEST + STEPS - 1)
  const arenaOfLongest = memory.stats().arena
  await shutdown()
  await collect()
  await setDefaultDevice(device)

  const step = trainingRun()
  const held: number[] = []
  const arenas: number[] = []
  const plans: number[] = []
  const resident: number[] = []
  for (const [i, tokens] of lengths().entries()) {
    await step(tokens)
    const { state, roots, arena, plans: kept } = memory.stats()
    held.push(state + roots)
    arenas.push(arena)
    plans.push(kept)
    if (i + 1 >= SETTLED && (i + 1 - SETTLED) % EVERY === 0) {
      await collect()
      resident.push(process.memoryUsage.rss())
    }
  }
  const percent = Math.max(...resident.map((rss) => Math.abs(rss / resident[0] - 1) * 100))
  const { maxPlans } = memory.stats()
  const meets = {
    // buffers for the rows of a table's gradient double until the longest batch has come
    sameStateAndRoots: held.slice(SETTLED).every((bytes) => bytes === held.at(-1)),
    arenaWithinLongest: arenas.every((bytes) => bytes <= arenaOfLongest),
    residentWithinLimit: percent <= LIMIT_PERCENT,
    plansWithinBound: plans.every((count) => count <= maxPlans),
  }
  return {
    value: round(percent),
    unit: '% of resident memory',
    detail: {
      meets,
      steps: STEPS,
      lengths: `${SHORTEST} to ${SHORTEST + STEPS - 1} tokens, each once`,
      stateAndRootsBytes: { least: Math.min(...held), most: Math.max(...held) },
      arenaBytes: { most: Math.max(...arenas), longestAlone: arenaOfLongest },
      residentBytes: resident,
      plans: { most: Math.max(...plans), bound: maxPlans },
    },
  }
}
