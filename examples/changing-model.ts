/**
 * A model that changes while it trains: plain JavaScript decides at every step what is computed. Run it with
 * `node examples/changing-model.ts`. (Outside this repository the imports are 'tunesmith', 'tunesmith/nn' and 'tunesmith/optim'.)
 *
 * - a layer is added once the loss falls below a bound, and skipped at random before that;
 * - every step has another sequence length, and nothing is padded or disposed;
 * - a hook edits a gradient on its way back;
 * - `console.log(x)` inside `forward` shows values (try a breakpoint there as well).
 */
import { cat, evaluate, manualSeed, memory, randn, setDefaultDevice, type Tensor } from '../core/index.ts'
import { functional as F, Linear, Module, ModuleList } from '../nn/index.ts'
import { AdamW } from '../nn/optim/index.ts'

const WIDTH = 16

class Residual extends Module<[x: Tensor], Tensor> {
  inner = new Linear(WIDTH, WIDTH)

  forward(x: Tensor): Tensor {
    return x.add(this.inner(x).gelu()) // [T, C]
  }
}

class Net extends Module<[x: Tensor, options: { skip: boolean; show: boolean }], Tensor> {
  first = new Linear(4, WIDTH)
  blocks = new ModuleList([new Residual(), new Residual()])
  out = new Linear(WIDTH, 1)

  forward(x: Tensor, { skip, show }: { skip: boolean; show: boolean }): Tensor {
    let h = this.first(x) // [T, C]
    for (const [i, block] of [...this.blocks].entries()) {
      if (skip && i === 1) continue
      h = block(h)
    }
    if (show) console.log('first row inside forward:', h.at(0, [0, 4]))
    return this.out(h.mean(0, { keepdim: true })) // [1, 1]
  }
}

await setDefaultDevice('cpu')
manualSeed(0)
const net = new Net()
let optimizer = new AdamW(net.parameters(), { lr: 0.01 })
let grown = false

for (let step = 1; step <= 120; step++) {
  // a batch of four sequences, each of its own length
  const texts = Array.from({ length: 4 }, (_, i) => randn([3 + ((step * 7 + i * 5) % 23), 4]))
  const targets = cat(texts.map((t) => t.square().mean([0, 1], { keepdim: true })))
  const predicted = cat(
    texts.map((t) => net(t, { skip: step % 3 === 0, show: step === 60 && t === texts[0] })),
  )
  if (step % 40 === 0) predicted.registerHook((g) => g.clamp(-0.1, 0.1))

  const loss = F.mseLoss(predicted, targets)
  optimizer.zeroGrad()
  loss.backward()
  await optimizer.step()

  const value = await loss.item()
  if (!grown && value < 0.05) {
    net.blocks.append(new Residual())
    optimizer = new AdamW(net.parameters(), { lr: 0.003 })
    await evaluate()
    grown = true
    console.log(`step ${step}: loss ${value.toFixed(4)} is low, a layer was added`)
  }
  if (step % 20 === 0)
    console.log(`step ${step}: loss ${value.toFixed(4)}, state ${memory.stats().state} bytes`)
}
