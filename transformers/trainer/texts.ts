import {
  type ColumnChoice,
  chooseColumns,
  DataError,
  Dataset,
  IterableDataset,
  type Row,
} from '../../data/index.ts'
import type { TrainingText } from './task.ts'

/** What the Trainer learns from: texts, or a data set with a column of texts, and one of labels where the task needs them. */
export type TrainingTexts = readonly TrainingText[] | Dataset | IterableDataset

/**
 * Texts and labels of a data set by the usual names of their columns, or those given. Classes that are numbers with names
 * go by their names where the model knows these, else by their numbers.
 *
 * @throws DataError if there is no such column, or a text is no text
 */
export async function trainingTexts(
  texts: TrainingTexts,
  {
    needsLabel,
    label2id,
    ...choice
  }: ColumnChoice & { needsLabel: boolean; label2id: Readonly<Record<string, number>> },
): Promise<readonly TrainingText[]> {
  if (!(texts instanceof Dataset || texts instanceof IterableDataset)) return texts
  const dataset: Dataset<Row> = texts instanceof Dataset ? texts : await texts.toDataset()
  const { text, label } = chooseColumns(dataset.columnNames, 'the data set', choice, needsLabel)
  const names = label === undefined ? undefined : dataset.features[label].names
  return Array.from(dataset, (row, i) => {
    const value = row[text]
    if (typeof value !== 'string')
      throw new DataError(`[Trainer] row ${i} of the data set: "${text}" is no text`)
    if (!needsLabel || label === undefined) return { text: value }
    const given = row[label]
    const name = names?.[Number(given)]
    if (name !== undefined && Object.hasOwn(label2id, name)) return { text: value, label: name }
    return { text: value, label: typeof given === 'boolean' ? Number(given) : (given as string | number) }
  })
}
