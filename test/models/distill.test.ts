import { beforeAll, describe, expect, it } from 'vitest'
import { manualSeed, setDefaultDevice } from '../../core/index.ts'
import { type DistillOptions, distill, embed, meanCosine } from '../../models/distill.ts'
import { BertConfig, BertModel } from '../../transformers/models/bert.ts'

beforeAll(async () => {
  await setDefaultDevice('reference')
})

const SIZES = { hidden_size: 8, num_attention_heads: 2, intermediate_size: 16, max_position_embeddings: 16 }

/** A student of one layer, with the embeddings of a teacher of two, and a smaller vocabulary. */
function pair(): { teacher: BertModel; student: BertModel; teacherIds: number[] } {
  manualSeed(3)
  const wide = { ...SIZES, initializer_range: 0.3 }
  const teacher = new BertModel(new BertConfig({ ...wide, vocab_size: 24, num_hidden_layers: 2 }))
  const student = new BertModel(new BertConfig({ ...wide, vocab_size: 12, num_hidden_layers: 1 }))
  return { teacher, student, teacherIds: Array.from({ length: 12 }, (_, i) => 2 * i) }
}

const TEXTS = Array.from({ length: 64 }, (_, i) =>
  Array.from({ length: 3 + (i % 5) }, (_, t) => (i * 7 + t * t) % 12),
)

describe('distill', () => {
  it.each<DistillOptions['objective']>(['layers', 'embedding'])(
    'brings a student closer: %s',
    async (objective) => {
      const { teacher, student, teacherIds } = pair()
      const words = await student.embeddings.word_embeddings.weight.data()
      const targets = await embed(
        teacher,
        TEXTS.map((ids) => ids.map((id) => teacherIds[id])),
      )
      const before = meanCosine(await embed(student, TEXTS), targets)
      let steps = 0
      const { losses, tokens } = await distill({
        teacher,
        student,
        texts: TEXTS,
        teacherIds,
        objective,
        tokensPerStep: 24,
        lr: 1e-2,
        warmupRatio: 0.1,
        seed: 1,
        onStep: ({ step }) => {
          steps = step
        },
      })
      expect(steps).toBe(losses.length)
      expect(tokens).toBe(TEXTS.flat().length)
      expect(losses.at(-1)).toBeLessThan(0.7 * losses[0])
      expect(meanCosine(await embed(student, TEXTS), targets)).toBeGreaterThan(before + 0.2)
      expect(await student.embeddings.word_embeddings.weight.data()).toEqual(words)
    },
  )
})
