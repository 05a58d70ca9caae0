import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { labelSet, type TextRow } from '../../data/index.ts'

const rowsOf = (...labels: (string | undefined)[]): TextRow[] =>
  labels.map((label, i) => ({
    text: 'x',
    file: 'train.tsv',
    line: i + 1,
    ...(label !== undefined && { label }),
  }))
const [unknown] = rowsOf('maybe').map((row) => ({ ...row, file: 'eval.tsv', line: 9 }))

describe('labelSet', () => {
  test('numbers keep their order, and 0 to n - 1 their values', () => {
    const set = labelSet(rowsOf('10', '2', '0', '1', '9', '3', '8', '4', '7', '5', '6'))
    expect(set.names).toEqual(['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '10'])
    expect(rowsOf('10', '0').map((row) => set.encode(row))).toEqual([10, 0])
    expect(labelSet(rowsOf('1', '-1')).names).toEqual(['-1', '1'])
  })

  test('names are sorted and go both ways', () => {
    const set = labelSet(rowsOf('spam', 'ham', 'spam'))
    expect(set.id2label).toEqual({ 0: 'ham', 1: 'spam' })
    expect(set.label2id).toEqual({ ham: 0, spam: 1 })
    expect(set.encode(rowsOf('spam')[0])).toBe(1)
    expect(() => set.encode(rowsOf('1')[0])).toThrow('label "1" is none of "ham", "spam"')
  })

  test('ids do not depend on the order of the rows', () => {
    const labels = fc.uniqueArray(fc.stringMatching(/^[a-z]{1,5}$/), { minLength: 2 })
    const both = labels.chain((labels) =>
      fc.tuple(fc.constant(labels), fc.shuffledSubarray(labels, { minLength: labels.length })),
    )
    fc.assert(
      fc.property(both, ([labels, shuffled]) => {
        expect(labelSet(rowsOf(...shuffled)).names).toEqual(labelSet(rowsOf(...labels)).names)
      }),
    )
  })

  test.each<[string, (string | undefined)[], string]>([
    [
      'a word among numbers',
      ['0', '1', 'oops', '1'],
      '[data] train.tsv:3: label "oops" is not a number, as the other labels are',
    ],
    [
      'a number among words',
      ['a', 'b', 'a', '1'],
      '[data] train.tsv:4: label "1" is a number, where the other labels are names',
    ],
    ['a missing label', ['0', undefined], '[data] train.tsv:2: the line has no label'],
    ['a single class', ['a', 'a'], 'needs at least 2 different labels, there is only "a"'],
  ])('refuses %s', (_, labels, message) => {
    expect(() => labelSet(rowsOf(...labels))).toThrow(message)
  })

  test('a label that training did not have is an error with its line', () => {
    const numbers = labelSet(rowsOf('0', '1'))
    expect(() => numbers.encode(unknown)).toThrow('[data] eval.tsv:9: label "maybe" is none of "0", "1"')
    expect(() => numbers.encode(rowsOf('2')[0])).toThrow('label "2" is none of')
    expect(() => labelSet(rowsOf('toString', 'b')).encode(rowsOf('constructor')[0])).toThrow('is none of')
  })
})

describe("a model's own labels", () => {
  const options = { id2label: { 1: 'POSITIVE', 0: 'NEGATIVE' } }

  test('are used by name or by id', () => {
    const set = labelSet(rowsOf('POSITIVE', '0'), options)
    expect(set.names).toEqual(['NEGATIVE', 'POSITIVE'])
    expect(rowsOf('POSITIVE', '0', '1').map((row) => set.encode(row))).toEqual([1, 0, 1])
  })

  test('and no others', () => {
    expect(() => labelSet([...rowsOf('0'), unknown], options)).toThrow(
      'eval.tsv:9: label "maybe" is none of "NEGATIVE", "POSITIVE"',
    )
    expect(() => labelSet(rowsOf('2'), options)).toThrow('label "2" is none of')
    expect(() => labelSet(rowsOf('0'), { id2label: { 0: '5', 1: '6' } })).toThrow(
      'label "0" is none of "5", "6"',
    )
    expect(() => labelSet(rowsOf('a'), { id2label: { 1: 'a', 2: 'b' } })).toThrow('none with id 0')
  })
})
