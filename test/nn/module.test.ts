import { inspect } from 'node:util'
import { beforeAll, describe, expect, test } from 'vitest'
import { evaluate, noGrad, setDefaultDevice, type Tensor, tensor } from '../../core/index.ts'
import { Embedding, Linear, Module, ModuleList, Parameter, ReLU, Sequential } from '../../nn/index.ts'

beforeAll(async () => {
  await setDefaultDevice('reference')
})

class Block extends Module {
  proj: Linear
  constructor(width: number) {
    super()
    this.proj = new Linear(width, width)
  }
  forward(x: Tensor): Tensor {
    return this.proj(x).relu()
  }
}

class Net extends Module<[x: Tensor], { logits: Tensor; parts: Tensor[] }> {
  scale = new Parameter(tensor([2]))
  layers = new ModuleList([new Block(3), new Block(3)])
  head: Linear

  constructor() {
    super()
    this.head = new Linear(3, 2, { bias: false })
    this.registerBuffer('table', tensor([1, 2, 3]))
    this.registerBuffer('scratch', tensor([0]), { persistent: false })
  }

  forward(x: Tensor) {
    let h = x.mul(this.scale)
    for (const layer of this.layers) h = layer(h)
    return { logits: this.head(h), parts: [h] }
  }
}

const NAMES = [
  'scale',
  'layers.0.proj.weight',
  'layers.0.proj.bias',
  'layers.1.proj.weight',
  'layers.1.proj.bias',
  'head.weight',
]

describe('a module', () => {
  test('is called like a function and is an instance of its class', () => {
    const net = new Net()
    expect(typeof net).toBe('function')
    expect(net).toBeInstanceOf(Net)
    expect(net).toBeInstanceOf(Module)
    expect(net.name).toBe('Net')
    expect(net(tensor([[1, 2, 3]])).logits.shape).toEqual([1, 2])
  })

  test('names its parameters and buffers by path, own ones first', () => {
    const net = new Net()
    expect([...net.namedParameters()].map(([name]) => name)).toEqual(NAMES)
    expect([...net.namedBuffers()].map(([name]) => name)).toEqual(['table', 'scratch'])
    expect(Object.keys(net.stateDict()).sort()).toEqual([...NAMES, 'table'].sort())
    expect(net.getParameter('layers.1.proj.bias')).toBe(net.layers[1].proj.bias)
    expect(net.getSubmodule('layers.0')).toBe(net.layers.at(0))
    expect(() => net.getParameter('layers.2.proj.bias')).toThrow('Net has no parameter layers.2.proj.bias')
  })

  test('gives a tied parameter once, under its first name, and loads it under any', async () => {
    const net = new Sequential(new Linear(2, 2, { bias: false }), new Linear(2, 2, { bias: false }))
    const [first, second] = [net[0] as Linear, net[1] as Linear]
    second.weight = first.weight
    expect([...net.namedParameters()].map(([name]) => name)).toEqual(['0.weight'])
    net.loadStateDict({
      '1.weight': tensor([
        [1, 2],
        [3, 4],
      ]),
    })
    expect(await first.weight.tolist()).toEqual([
      [1, 2],
      [3, 4],
    ])
  })

  test('lists everything that does not fit in one error, and writes nothing', async () => {
    const net = new Net()
    const before = await net.head.weight.data()
    const dict = {
      scale: tensor([1, 2]),
      'head.weight': tensor([
        [1, 1, 1],
        [1, 1, 1],
      ]),
      'heads.weight': tensor([1]),
    }
    expect(() => net.loadStateDict(dict)).toThrow(
      /scale has shape \[2\], not \[1\]; missing keys: layers\.0\.proj\.weight, .*table; unexpected keys: heads\.weight/,
    )
    expect(await net.head.weight.data()).toEqual(before)
    const { 'head.weight': weight } = dict
    const result = net.loadStateDict({ 'head.weight': weight, extra: weight }, { strict: false })
    expect(result.unexpectedKeys).toEqual(['extra'])
    expect(result.missingKeys).toContain('scale')
    expect([...(await net.head.weight.data())]).toEqual([1, 1, 1, 1, 1, 1])
  })

  test('copies another of its kind through the state dict', async () => {
    const [a, b] = [new Net(), new Net()]
    b.loadStateDict(a.stateDict())
    const x = tensor([[1, -2, 3]])
    expect(await b(x).logits.data()).toEqual(await a(x).logits.data())
  })

  test('switches modes, gradients and hooks', async () => {
    const net = new Net()
    net.eval()
    expect([...net.modules()].every((m) => !m.training)).toBe(true)
    net.train()
    expect(net.layers[1].proj.training).toBe(true)
    net.requiresGrad_(false)
    expect([...net.parameters()].some((p) => p.requiresGrad)).toBe(false)

    const seen: string[] = []
    const pre = net.head.registerForwardPreHook((_, [x]) => {
      seen.push('pre')
      return [x.mul(0)]
    })
    const post = net.head.registerForwardHook((_, __, out) => {
      seen.push('post')
      return out.add(5)
    })
    expect(await net(tensor([[1, 2, 3]])).logits.tolist()).toEqual([[5, 5]])
    expect(seen).toEqual(['pre', 'post'])
    pre.remove()
    post.remove()
    await net(tensor([[1, 2, 3]])).logits.data()
    expect(seen).toHaveLength(2)
  })

  test('keeps the outputs of the outermost call readable after the step that computes them', async () => {
    const net = new Net()
    const out = net(tensor([[1, 2, 3]]))
    const hidden = net.layers[0].proj(tensor([[1, 2, 3]]))
    await evaluate(out.logits.sum())
    expect(out.logits.value.storage).not.toBeNull()
    expect(out.parts[0].value.storage).not.toBeNull()
    expect(hidden.value.storage).toBeNull()
  })

  test('applies a function to children first', () => {
    const order: string[] = []
    new Sequential(new Linear(1, 1), new ReLU()).apply((m) => void order.push(m.constructor.name))
    expect(order).toEqual(['Linear', 'ReLU', 'Sequential'])
  })

  test('prints as a nested list, equal neighbours folded', () => {
    const text = `Net(
  (layers): ModuleList(
    (0-1): 2 x Block(
      (proj): Linear(inFeatures=3, outFeatures=3, bias=true)
    )
  )
  (head): Linear(inFeatures=3, outFeatures=2, bias=false)
)`
    expect(String(new Net())).toBe(text)
    expect(inspect(new Net())).toBe(text)
  })

  test('moves to another device with its buffers', async () => {
    const net = new Net()
    const x = tensor([[1, -2, 3]])
    const before = await net(x).logits.data()
    await net.to('cpu')
    const tensors = [...net.parameters(), ...[...net.namedBuffers()].map(([, buffer]) => buffer)]
    expect(tensors.map((t) => t.device)).toEqual(tensors.map(() => 'cpu'))
    const { logits } = net(x)
    const after = await logits.data()
    for (const [i, v] of before.entries()) expect(after[i]).toBeCloseTo(v, 5)
    await net.to('reference')
    expect(net.head.weight.device).toBe('reference')
  })

  test('moves to another storage dtype and back', async () => {
    const net = new Linear(4, 4)
    const exact = tensor(
      Float32Array.from({ length: 16 }, (_, i) => (i - 8) / 4),
      [4, 4],
    )
    noGrad(() => net.weight.copy_(exact))
    await net.to('bfloat16')
    expect(net.weight.dtype).toBe('bfloat16')
    expect(net.weight.requiresGrad).toBe(false)
    expect(net.bias?.dtype).toBe('float32')
    expect(await net.weight.data()).toEqual(await exact.data())
    await net.to('float16')
    expect(await net.weight.data()).toEqual(await exact.data())
    await net.to('float32')
    expect(await net.weight.data()).toEqual(await exact.data())
    // @ts-expect-error no such device
    await expect(net.to('tpu')).rejects.toThrow('"tpu" is neither a device nor a dtype')
  })
})

describe('layers', () => {
  test('a padding row starts as zeros and gets no gradient', async () => {
    const layer = new Embedding(4, 2, { paddingIdx: 1 })
    expect(await layer.weight.select(0, 1).tolist()).toEqual([0, 0])
    layer(tensor([[0, 1, 1, 3, 3]], { dtype: 'int32' }))
      .sum()
      .backward()
    expect(await layer.weight.grad?.tolist()).toEqual([
      [1, 1],
      [0, 0],
      [0, 0],
      [2, 2],
    ])
  })

  test('ModuleList is no function of its own', () => {
    // @ts-expect-error it takes no arguments at all
    expect(() => new ModuleList([new ReLU()])(tensor([1]))).toThrow('call its modules one by one')
  })
})
