import { LayerNorm, type Module, type Parameter, RMSNorm } from '../../nn/index.ts'

/** Parameters of one weight decay. */
export interface DecayGroup {
  params: Parameter[]
  weightDecay: number
}

/**
 * The trainable parameters in two groups, as transformers' Trainer makes them: biases and the weights of norms are not
 * decayed, since shrinking them does not make a model simpler.
 */
export function decayGroups(
  model: Pick<Module<never[], unknown>, 'namedModules' | 'namedParameters'>,
  weightDecay: number,
): DecayGroup[] {
  const norms = new Set<Parameter>()
  for (const [, module] of model.namedModules())
    if (module instanceof LayerNorm || module instanceof RMSNorm)
      for (const parameter of module.parameters()) norms.add(parameter)
  const decayed: Parameter[] = []
  const kept: Parameter[] = []
  for (const [path, parameter] of model.namedParameters()) {
    if (!parameter.requiresGrad) continue
    const isBias = (path.split('.').at(-1) ?? '').includes('bias')
    ;(norms.has(parameter) || isBias ? kept : decayed).push(parameter)
  }
  return [
    { params: decayed, weightDecay },
    { params: kept, weightDecay: 0 },
  ].filter(({ params }) => params.length > 0)
}
