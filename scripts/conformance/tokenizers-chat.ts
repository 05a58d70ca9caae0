import type { Outcome } from './tokenizers-case.ts'
export async function* runChat(..._: unknown[]): AsyncIterable<Outcome> {}
