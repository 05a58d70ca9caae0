/** A worker of `TokenizerPool`. */
import type { FromWorker, ToWorker } from './pool.ts'
import { ownPort } from './threads.ts'
import { Tokenizer } from './tokenizer.ts'

const port = ownPort()
let tokenizer: Promise<Tokenizer> | undefined

port.onMessage((message) => void handle(message as ToWorker))

async function handle(message: ToWorker): Promise<void> {
  if ('json' in message) {
    tokenizer = Tokenizer.fromString(message.json)
    if (message.encodeSpecialTokens) (await tokenizer).setEncodeSpecialTokens(true)
    return
  }
  try {
    const made = await tokenizer!
    const { status, bytes } = made.encodeToBytes(message.portion, message.request)
    port.post({ status, bytes } satisfies FromWorker, [bytes.buffer as ArrayBuffer])
  } catch (error) {
    port.post({ error: error instanceof Error ? error.message : String(error) } satisfies FromWorker, [])
  }
}
