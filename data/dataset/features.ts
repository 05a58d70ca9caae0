/** One row of a data set: values by column. */
export type Row = Record<string, unknown>

/** What a column holds. */
export interface Feature {
  /** `string`, `int64`, `float64`, `bool`, `timestamp`, `binary`, `list`, `struct`, `null`; `mixed` where rows disagree. */
  readonly dtype: string
  /** For classes stored as numbers: their names. */
  readonly names?: readonly string[]
}

/** Columns by name, in the order of the file. */
export type Features = Readonly<Record<string, Feature>>

function dtypeOf(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return 'string'
    case 'boolean':
      return 'bool'
    case 'bigint':
      return 'int64'
    case 'number':
      return Number.isInteger(value) ? 'int64' : 'float64'
    default:
      if (value === null || value === undefined) return 'null'
      if (Array.isArray(value)) return 'list'
      if (value instanceof Date) return 'timestamp'
      return ArrayBuffer.isView(value) ? 'binary' : 'struct'
  }
}

function join(a: string, b: string): string {
  if (a === b || b === 'null') return a
  if (a === 'null') return b
  const numbers = ['int64', 'float64']
  return numbers.includes(a) && numbers.includes(b) ? 'float64' : 'mixed'
}

/** Features that the values of rows show. */
export function inferFeatures(rows: Iterable<Row>): Features {
  const dtypes = new Map<string, string>()
  for (const row of rows)
    for (const name of Object.keys(row)) {
      const known = dtypes.get(name)
      if (known !== 'mixed')
        dtypes.set(name, known === undefined ? dtypeOf(row[name]) : join(known, dtypeOf(row[name])))
    }
  return Object.fromEntries(Array.from(dtypes, ([name, dtype]) => [name, { dtype }]))
}
