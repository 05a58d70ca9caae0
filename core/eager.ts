/** Eager mode and anomaly detection: both look at every op right where it is called. */
import { evaluateSync } from './evaluate.ts'
import type { Node } from './graph.ts'
import { modes } from './modes.ts'
import { onNode, Tensor } from './tensor.ts'
import './read.ts'

function findAnomaly(node: Node, t: Tensor): void {
  const values = t.dataSync()
  const at = values.findIndex((x) => Number.isNaN(x) || Math.abs(x) === Infinity)
  if (at < 0) return
  const what = Number.isNaN(values[at]) ? 'NaN' : 'Inf'
  throw new Error(
    `[${node.op.name}] made the first ${what}, at element ${at} of [${node.outputs[0].shape}]${node.where ? `, called at ${node.where}` : ''}`,
  )
}

/** Set while an op is being evaluated eagerly: what evaluation itself records is not evaluated again. */
let inside = false

onNode((node) => {
  const { anomaly, eager } = modes()
  if (inside || (!eager && !anomaly) || node.writes.length > 0) return
  inside = true
  try {
    const outputs = node.outputs.map((v) => new Tensor(v))
    evaluateSync(...outputs)
    if (anomaly && node.op.kind !== 'view')
      for (const t of outputs) if (t.dtype === 'float32') findAnomaly(node, t)
  } finally {
    inside = false
  }
})
