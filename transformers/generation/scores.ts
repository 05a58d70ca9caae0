/** Small numerics on one row of scores. Probabilities are summed in float64. */

/** softmax of a row. */
export function probabilities(scores: Float32Array): Float64Array {
  let top = -Infinity
  for (const s of scores) if (s > top) top = s
  const p = new Float64Array(scores.length)
  let sum = 0
  for (let i = 0; i < p.length; i++) sum += p[i] = Math.exp(scores[i] - top)
  for (let i = 0; i < p.length; i++) p[i] /= sum
  return p
}

/** Entropy in nats; terms of probability 0 count as 0. */
export function entropy(p: Float64Array): number {
  let h = 0
  for (const x of p) if (x > 0) h -= x * Math.log(x)
  return h
}

/** Positions in ascending order of the key, equal ones in order of position. */
export function argsort(keys: ArrayLike<number>): Uint32Array {
  const order = new Uint32Array(keys.length)
  for (let i = 0; i < order.length; i++) order[i] = i
  return order.sort((a, b) => keys[a] - keys[b] || a - b)
}

/** The k-th largest score (k from 1): found by a heap of size k, since k is small beside the vocabulary. */
export function kthLargest(scores: ArrayLike<number>, k: number): number {
  const size = Math.min(k, scores.length)
  const heap = new Float64Array(size).fill(-Infinity)
  for (let i = 0; i < scores.length; i++) {
    const s = scores[i]
    if (!(s > heap[0])) continue
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= size) break
      if (child + 1 < size && heap[child + 1] < heap[child]) child++
      if (heap[child] >= s) break
      heap[at] = heap[child]
      at = child
    }
    heap[at] = s
  }
  return heap[0]
}

/** Position of the largest score, the first of equals. */
export function best(scores: ArrayLike<number>): number {
  let at = 0
  for (let i = 1; i < scores.length; i++) if (scores[i] > scores[at]) at = i
  return at
}

/** Draws a position by its probability; `u` is uniform on [0, 1). */
export function draw(p: Float64Array, u: number): number {
  let sum = 0
  let last = 0
  for (let i = 0; i < p.length; i++) {
    if (p[i] === 0) continue
    sum += p[i]
    last = i
    if (u < sum) return i
  }
  return last
}
