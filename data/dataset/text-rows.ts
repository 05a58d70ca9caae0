import type { RandomAccess } from '../../hub/index.ts'
import { DataError } from '../errors.ts'
import { readChunks, readLines } from './bytes.ts'
import type { Row } from './features.ts'

/** A jsonl file, one object a line; or a JSON array of objects, which is read whole. */
export async function* jsonRows(file: RandomAccess): AsyncGenerator<Row> {
  const { name } = file
  let isArray: boolean | undefined
  const whole: string[] = []
  for await (const { line, text } of readLines(readChunks(file), name)) {
    if (text.trim() === '') continue
    isArray ??= text.trimStart().startsWith('[')
    if (isArray) whole.push(text)
    else
      yield objectOf(
        parse(text, `${name}:${line}`, 'a jsonl file holds one object a line'),
        `${name}:${line}`,
      )
  }
  if (!isArray) return
  const rows = parse(whole.join('\n'), name, 'a file that begins with [ holds one array of objects')
  for (const [i, row] of (rows as unknown[]).entries()) yield objectOf(row, `${name}, item ${i}`)
}

function parse(text: string, place: string, expected: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new DataError(`[data] ${place}: not valid JSON; ${expected}`)
  }
}

function objectOf(value: unknown, place: string): Row {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Row
  throw new DataError(`[data] ${place}: not a JSON object`)
}

/** One row a line, in the column `text`; empty lines are rows too. */
export async function* textRows(file: RandomAccess): AsyncGenerator<Row> {
  for await (const { text } of readLines(readChunks(file), file.name)) yield { text }
}
