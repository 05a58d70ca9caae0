/** Receivers of tokens while they are generated. */

export interface Streamer {
  /** The prompt first, then each new token, of one sequence. */
  put(ids: readonly number[]): void
  end(): void
}

/** What `TextStreamer` needs of a tokenizer. */
interface StreamingTokenizer {
  textStream(options: { skipSpecialTokens?: boolean }): {
    push(ids: readonly number[]): string
    flush(): string
  }
}

export interface TextStreamerOptions {
  /** Leave the prompt out. */
  skipPrompt?: boolean
  /** Leave special tokens out; true unless given. */
  skipSpecialTokens?: boolean
  /** Where text goes; standard output unless given. */
  onText?: (text: string) => void
}

const toStandardOutput = (text: string): void => {
  const process = (globalThis as { process?: { stdout: { write(s: string): void } } }).process
  if (process) process.stdout.write(text)
  else console.log(text)
}

/** Prints text as soon as it is complete: never half a character. */
export class TextStreamer implements Streamer {
  private readonly stream: { push(ids: readonly number[]): string; flush(): string }
  private readonly onText: (text: string) => void
  private promptIsNext: boolean

  constructor(tokenizer: StreamingTokenizer, options: TextStreamerOptions = {}) {
    this.stream = tokenizer.textStream({ skipSpecialTokens: options.skipSpecialTokens ?? true })
    this.onText = options.onText ?? toStandardOutput
    this.promptIsNext = options.skipPrompt ?? false
  }

  put(ids: readonly number[]): void {
    if (this.promptIsNext) {
      this.promptIsNext = false
      return
    }
    const text = this.stream.push(ids)
    if (text) this.onText(text)
  }

  end(): void {
    const rest = this.stream.flush()
    if (rest) this.onText(rest)
  }
}
