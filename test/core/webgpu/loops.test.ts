import { loopCases } from '../../helpers/kernels.ts'
import { describeCases } from './compare.ts'

await describeCases('webgpu loops', loopCases())
