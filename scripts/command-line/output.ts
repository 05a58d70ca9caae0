/** Notices go to stderr, results to stdout. */

/** One line on stderr. */
export function notice(text: string): void {
  process.stderr.write(`${text}\n`)
}

/** The result for programs: one line of JSON, the last of stdout. Numbers that JSON lacks become null. */
export function printJson(value: object): void {
  process.stdout.write(`${JSON.stringify(value)}\n`)
}

/** Rows as aligned columns; numbers stand right. */
export function table(rows: readonly (readonly (string | number)[])[]): string {
  const widths: number[] = []
  for (const row of rows)
    for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, String(cell).length)
  const pad = (cell: string | number, i: number) =>
    typeof cell === 'number' ? String(cell).padStart(widths[i]) : cell.padEnd(widths[i])
  return rows.map((row) => row.map(pad).join('  ').trimEnd()).join('\n')
}

/** The largest resident size of this process so far, in bytes. */
export const peakMemoryBytes = (): number => process.resourceUsage().maxRSS * 1024
