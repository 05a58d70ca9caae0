const isPage = typeof (globalThis as { process?: unknown }).process === 'undefined'

/**
 * Lets the event loop turn, so that timers, signals and drawing get their chance. In browsers by a message: they delay
 * timers, by 4 ms at least and in pages in the background by a second.
 */
export const turn = (): Promise<void> =>
  new Promise((resolve) => {
    if (!isPage) {
      setTimeout(resolve, 0)
      return
    }
    const { port1, port2 } = new MessageChannel()
    port1.onmessage = () => {
      port1.close()
      resolve()
    }
    port2.postMessage(null)
  })
