/** Downloads a model in a process of its own: `node download-process.ts ID ENDPOINT CACHE`. Prints its folder. */
import { snapshotDownload } from '../../hub/index.ts'

const [, , id, endpoint, cacheDir] = process.argv
console.log(await snapshotDownload(id, { endpoint, cacheDir, retryDelay: 1 }))
