/** Weights go straight into the memory of a device that is chosen, and are the same as where they cannot. */
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, test } from 'vitest'
import { type DeviceName, memory, setDefaultDevice, shutdown } from '../../core/index.ts'
import { LlamaForCausalLM } from '../../transformers/index.ts'
import { temporaryFolder } from '../hub/temporary-folder.ts'

const LLAMA = fileURLToPath(new URL('../goldens/models/llama-tiny/causal_lm', import.meta.url))

afterAll(shutdown)

type DType = 'float32' | 'float16' | 'bfloat16' | 'auto'

async function load(folder: string, dtype: DType, device: DeviceName) {
  await shutdown()
  await setDefaultDevice(device)
  const model = await LlamaForCausalLM.fromPretrained(folder, { dtype })
  return { model, resident: memory.stats().state }
}

const contents = async (model: LlamaForCausalLM) => {
  const weights: Record<string, unknown> = {}
  for (const [name, p] of model.namedParameters())
    weights[name] = { dtype: p.dtype, data: await p.detach().data() }
  return weights
}

describe.each<DType>(['float32', 'bfloat16'])('a checkpoint in %s', (stored) => {
  test.each<DType>(['float32', 'bfloat16', 'float16', 'auto'])('as %s', async (dtype) => {
    const folder = await temporaryFolder()
    await (await load(LLAMA, stored, 'reference')).model.savePretrained(folder)
    const elsewhere = await contents((await load(folder, dtype, 'reference')).model)
    const { model, resident } = await load(folder, dtype, 'cpu')
    const parameters = [...model.parameters()]
    // narrowing has a copy on the host, which goes to the device at its first use
    if (dtype === 'float32' || dtype === 'auto' || dtype === stored) {
      expect(parameters.every((p) => p.device === 'cpu')).toBe(true)
      // before anything was evaluated
      expect(resident).toBeGreaterThanOrEqual(parameters.reduce((sum, p) => sum + p.state.bytes, 0))
    }
    expect(await contents(model)).toEqual(elsewhere)
  })
})
