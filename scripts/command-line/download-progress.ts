import { formatBytes } from '../../hub/format-bytes.ts'
import type { DownloadProgress } from '../../hub/index.ts'
import { notice } from './output.ts'
import { makeProgress, type Progress } from './progress.ts'

/** What a command shows of a download: options for the functions of the hub. */
export interface DownloadDisplay {
  onProgress(progress: DownloadProgress): void
  onNotice(text: string): void
  /** Ends the bar, if there is one. */
  stop(): void
}

/** A bar over all bytes, which begins with the first file that does not come in one piece: what is cached shows nothing. */
export async function downloadDisplay(label: string): Promise<DownloadDisplay> {
  const bar: Progress = await makeProgress(label, formatBytes)
  let begun = false
  return {
    onProgress({ file, fileBytes, fileLoaded, bytes, totalBytes }) {
      begun ||= fileLoaded < fileBytes
      if (begun) bar.update(bytes, totalBytes, file)
    },
    onNotice: notice,
    stop: () => bar.stop(),
  }
}
