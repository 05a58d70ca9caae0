import type { Outcome } from './tokenizers-case.ts'
export async function* runCalls(..._: unknown[]): AsyncIterable<Outcome> {}
