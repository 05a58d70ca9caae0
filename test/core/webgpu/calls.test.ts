import { callCases, type KernelCase } from '../../helpers/kernels.ts'
import { describeCases } from './compare.ts'

/**
 * A software adapter compiles an attention kernel for seconds, so the suite has one of each shape of code;
 * TUNESMITH_ALL_KERNELS=1 runs them all.
 */
const chosen = (c: KernelCase): boolean => {
  if (process.env.TUNESMITH_ALL_KERNELS || !c.name.startsWith('attention ')) return true
  if (c.name.includes('"D":5,') || c.name.includes('"D":5}')) return false
  const [mask, dropout, packed] = ['"mask"', '"dropout"', '"cuSeqlens"'].map((t) => c.name.includes(t))
  return packed ? !dropout : mask === dropout
}

await describeCases('webgpu calls', callCases().filter(chosen))
