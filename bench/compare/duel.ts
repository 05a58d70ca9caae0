/**
 * Two contestants that measure in turns: ours, the peer, ours, the peer. The machine's speed wanders, so a ratio is that of two
 * neighbouring measurements, and the figure of a duel is the median of these.
 */
import { median, type Sample } from '../bench.ts'
import { type Contestant, Running } from './contestant.ts'

export interface DuelPlan {
  readonly ours: Contestant
  readonly peer: Contestant
  readonly cases: readonly { readonly name: string; readonly what: object }[]
}

export interface CaseResult {
  readonly case: string
  readonly ours: Side
  readonly peer: Side
  /** Ours over the peer's by neighbouring runs. */
  readonly ratio: { readonly median: number; readonly least: number; readonly most: number }
}

interface Side {
  readonly name: string
  readonly about: string
  readonly median: number
  readonly samples: readonly Sample[]
}

/** @throws Error where one of the two cannot run */
export async function duel(plan: DuelPlan, rounds: number, python: string): Promise<CaseResult[]> {
  const ours = await Running.start(plan.ours, python)
  try {
    const peer = await Running.start(plan.peer, python)
    try {
      const results: CaseResult[] = []
      for (const one of plan.cases) {
        const samples: { ours: Sample[]; peer: Sample[] } = { ours: [], peer: [] }
        for (let i = 0; i < rounds; i++) {
          samples.ours.push(await ours.measure(one.what))
          samples.peer.push(await peer.measure(one.what))
        }
        const ratios = samples.ours.map(({ value }, i) => value / samples.peer[i].value)
        const side = (contestant: Contestant, { about }: Running, all: Sample[]): Side => ({
          name: contestant.name,
          about,
          median: median(all.map(({ value }) => value)),
          samples: all,
        })
        results.push({
          case: one.name,
          ours: side(plan.ours, ours, samples.ours),
          peer: side(plan.peer, peer, samples.peer),
          ratio: { median: median(ratios), least: Math.min(...ratios), most: Math.max(...ratios) },
        })
      }
      return results
    } finally {
      await peer.end()
    }
  } finally {
    await ours.end()
  }
}
