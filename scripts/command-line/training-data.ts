/** The texts of the finetune command. */
import {
  DataError,
  formatOf,
  type LabelSet,
  labelSet,
  readTextDataset,
  readTextFile,
  type TextRow,
} from '../../data/index.ts'
import type { TrainingText } from '../../transformers/trainer/task.ts'

export interface DataArguments {
  train: string
  eval?: string
  textColumn?: string
  labelColumn?: string
  /** Only the first texts of each file. */
  limit?: number
}

export interface TrainingData {
  train: TrainingText[]
  eval?: TrainingText[]
  labels?: LabelSet
}

/**
 * Texts with their classes. The classes are those of all the training file's rows, before the limit, or the model's own.
 * @param known classes that the model was trained for
 * @throws DataError with file and line
 */
export async function readClassificationData(
  args: DataArguments,
  known: Readonly<Record<number, string>> | undefined,
): Promise<TrainingData & { labels: LabelSet }> {
  const { textColumn, labelColumn } = args
  const read = (path: string) => readTextDataset(path, { labels: 'required', textColumn, labelColumn })
  const train = await read(args.train)
  const evaluation = args.eval === undefined ? undefined : await read(args.eval)
  const labels = labelSet(train, { id2label: known })
  const encode = (rows: TextRow[]) =>
    rows.map((row) => ({ text: row.text, label: labels.encode(row) })).slice(0, args.limit)
  return { train: encode(train), eval: evaluation && encode(evaluation), labels }
}

/**
 * Texts alone: a txt file is one text with its line breaks, the rows of other files are one each.
 * @throws DataError with the file
 */
export async function readLanguageData(args: DataArguments): Promise<TrainingData> {
  if (args.labelColumn !== undefined)
    throw new DataError('[finetune] --label-column has no meaning for the task causal-lm; leave it out')
  const read = async (path: string): Promise<TrainingText[]> => {
    if (path.endsWith('.parquet') || formatOf(path) !== 'txt') {
      const rows = await readTextDataset(path, { labels: 'ignored', textColumn: args.textColumn })
      return rows.slice(0, args.limit).map(({ text }) => ({ text }))
    }
    if (args.textColumn !== undefined)
      throw new DataError(`[data] ${path}: a txt file has no columns to choose from`)
    const text = await readTextFile(path)
    if (text.trim() === '') throw new DataError(`[data] ${path} is empty`)
    return [{ text: args.limit === undefined ? text : text.split('\n').slice(0, args.limit).join('\n') }]
  }
  return { train: await read(args.train), eval: args.eval === undefined ? undefined : await read(args.eval) }
}
