import { type Command, Option } from 'commander'
import { jsonOption, repeated } from '../command-line/options.ts'
import { notice, printJson } from '../command-line/output.ts'

interface DownloadArguments {
  revision?: string
  include?: string[]
  exclude?: string[]
  repoType?: 'model' | 'dataset' | 'space'
  json?: boolean
}

export function registerDownload(program: Command): void {
  program
    .command('download')
    .description('brings a model or dataset of the Hub into the Hugging Face cache, and prints its folder')
    .argument('<id>', 'such as sentence-transformers/all-MiniLM-L6-v2')
    .option('--revision <name>', 'branch, tag or commit (default: main)')
    .option('--include <pattern>', 'which files; may be repeated (default: what a model needs)', repeated)
    .option('--exclude <pattern>', 'which of them not; may be repeated', repeated)
    .addOption(repoTypeOption())
    .addOption(jsonOption())
    .action(download)
}

export const repoTypeOption = (): Option =>
  new Option('--repo-type <type>', 'what it is (default: model)').choices(['model', 'dataset', 'space'])

async function download(id: string, { json, ...options }: DownloadArguments): Promise<void> {
  const { snapshotOnDisk } = await import('../../hub/download.ts')
  const { formatBytes } = await import('../../hub/format-bytes.ts')
  const { downloadDisplay } = await import('../command-line/download-progress.ts')
  const { stop, ...display } = await downloadDisplay(id)
  try {
    const { folder, files } = await snapshotOnDisk(id, { ...options, ...display })
    stop()
    const bytes = files.reduce((sum, { size }) => sum + size, 0)
    if (json)
      printJson({ snapshot: folder, files: files.length, bytes, paths: files.map(({ path }) => path) })
    else {
      notice(`${files.length} files, ${formatBytes(bytes)}`)
      process.stdout.write(`${folder}\n`)
    }
  } finally {
    stop()
  }
}
