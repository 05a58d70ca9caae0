import { expect, test } from 'vitest'
import { Dataset, IterableDataset } from '../../data/index.ts'
import { trainingTexts } from '../../transformers/trainer/texts.ts'

const rows = [
  { sentence: 'a', label: 1 },
  { sentence: 'b', label: 0 },
]
const named = new Dataset(rows, {
  sentence: { dtype: 'string' },
  label: { dtype: 'int64', names: ['ham', 'spam'] },
})

test('a data set gives texts by the usual names, and classes by their names where the model knows them', async () => {
  const needsLabel = true
  expect(await trainingTexts(named, { needsLabel, label2id: { spam: 0, ham: 1 } })).toEqual([
    { text: 'a', label: 'spam' },
    { text: 'b', label: 'ham' },
  ])
  const numbers = [
    { text: 'a', label: 1 },
    { text: 'b', label: 0 },
  ]
  expect(await trainingTexts(named, { needsLabel, label2id: { LABEL_0: 0, LABEL_1: 1 } })).toEqual(numbers)
  const stream = new IterableDataset(async function* () {
    yield* rows
  })
  expect(await trainingTexts(stream, { needsLabel, label2id: {} })).toEqual(numbers)
  expect(await trainingTexts(stream, { needsLabel: false, label2id: {} })).toEqual([
    { text: 'a' },
    { text: 'b' },
  ])
})

test('other columns are named, and what is no text is told', async () => {
  const other = new Dataset([{ x: 'a', y: true, n: 1 }])
  const options = { needsLabel: true, label2id: {} }
  expect(await trainingTexts(other, { ...options, textColumn: 'x', labelColumn: 'y' })).toEqual([
    { text: 'a', label: 1 },
  ])
  await expect(trainingTexts(other, options)).rejects.toThrow('which column holds the text?')
  await expect(trainingTexts(other, { ...options, textColumn: 'n', labelColumn: 'y' })).rejects.toThrow(
    'row 0 of the data set: "n" is no text',
  )
})
