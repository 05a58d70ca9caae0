/** Functions of `core/math.ts` on four lanes. */
import { load } from '../../../expr.ts'
import { expandMath } from '../../../math.ts'
import type { F32x4, FunctionBuilder } from '../assembler.ts'
import { VectorCode } from '../codegen/vector-code.ts'

const LOG = expandMath(load(0, 'f32').log())

export function logVector(f: FunctionBuilder, x: F32x4): F32x4 {
  const argument = f.let(x)
  const [value] = new VectorCode(f, {}, [LOG], () => 2).evaluate([LOG], () => argument)
  return value as F32x4
}
