/** What shapes the distribution before sampling: temperature and the filters that cut its tail. */
import type { LogitsProcessor } from './processors.ts'
import { argsort, entropy, kthLargest, probabilities } from './scores.ts'

const REMOVED = Number.NEGATIVE_INFINITY

export const temperature =
  (t: number): LogitsProcessor =>
  (scores) => {
    for (let i = 0; i < scores.length; i++) scores[i] /= t
  }

/** Keeps the k best tokens, and those equal to the last of them (Fan et al. 2018). */
export const topK =
  (k: number, minTokensToKeep = 1): LogitsProcessor =>
  (scores) => {
    const limit = kthLargest(scores, Math.max(k, minTokensToKeep))
    for (let i = 0; i < scores.length; i++) if (scores[i] < limit) scores[i] = REMOVED
  }

/** Keeps the smallest set of best tokens whose probabilities add up to p (Holtzman et al. 2019). */
export const topP =
  (p: number, minTokensToKeep = 1): LogitsProcessor =>
  (scores) => {
    const order = argsort(scores)
    const prob = probabilities(scores)
    let sum = 0
    for (let i = 0; i < order.length - minTokensToKeep; i++) {
      sum += prob[order[i]]
      if (sum > 1 - p) break
      scores[order[i]] = REMOVED
    }
  }

/** Keeps tokens at least `minP` times as likely as the best one. */
export const minP =
  (limit: number, minTokensToKeep = 1): LogitsProcessor =>
  (scores) => {
    const prob = probabilities(scores)
    const order = argsort(prob)
    const cut = limit * prob[order[order.length - 1]]
    for (let i = 0; i < order.length - minTokensToKeep; i++)
      if (prob[order[i]] < cut) scores[order[i]] = REMOVED
  }

/** Keeps tokens whose information is close to the entropy, up to a mass (Meister et al. 2022). */
export const typicalP =
  (mass: number, minTokensToKeep = 1): LogitsProcessor =>
  (scores) => {
    const prob = probabilities(scores)
    const h = entropy(prob)
    const distance = Float64Array.from(prob, (p) => Math.abs(-Math.log(p) - h))
    const order = argsort(distance)
    let sum = 0
    let count = 0
    while (count < order.length && (sum += prob[order[count]]) < mass) count++
    const cut = distance[order[Math.min(count, order.length - 1)]]
    for (let i = minTokensToKeep; i < order.length; i++)
      if (distance[order[i]] > cut) scores[order[i]] = REMOVED
  }

/** Removes tokens below a probability; the best `minTokensToKeep` stay. */
const below = (scores: Float32Array, prob: Float64Array, cut: number, minTokensToKeep: number): void => {
  const best = kthLargest(scores, minTokensToKeep)
  for (let i = 0; i < scores.length; i++) if (prob[i] < cut && scores[i] < best) scores[i] = REMOVED
}

export const epsilonCutoff =
  (epsilon: number, minTokensToKeep = 1): LogitsProcessor =>
  (scores) =>
    below(scores, probabilities(scores), epsilon, minTokensToKeep)

/** A cutoff that falls with the entropy (Hewitt et al. 2022). */
export const etaCutoff =
  (epsilon: number, minTokensToKeep = 1): LogitsProcessor =>
  (scores) => {
    const prob = probabilities(scores)
    below(scores, prob, Math.min(epsilon, Math.sqrt(epsilon) * Math.exp(-entropy(prob))), minTokensToKeep)
  }

/** log-softmax, so that scores add up to probability 1. */
export const renormalize: LogitsProcessor = (scores) => {
  let top = -Infinity
  for (const s of scores) if (s > top) top = s
  let sum = 0
  for (const s of scores) sum += Math.exp(s - top)
  const shift = top + Math.log(sum)
  for (let i = 0; i < scores.length; i++) scores[i] -= shift
}
