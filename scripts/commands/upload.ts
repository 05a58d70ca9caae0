import type { Command } from 'commander'
import { jsonOption, repeated } from '../command-line/options.ts'
import { notice, printJson } from '../command-line/output.ts'
import { repoTypeOption } from './download.ts'

interface UploadArguments {
  message?: string
  revision?: string
  include?: string[]
  exclude?: string[]
  private?: boolean
  createPr?: boolean
  repoType?: 'model' | 'dataset' | 'space'
  json?: boolean
}

export function registerUpload(program: Command): void {
  program
    .command('upload')
    .description(
      'uploads a folder to the Hub as one commit, and prints its address; the token is in HF_TOKEN',
    )
    .argument('<id>', 'such as me/my-classifier; made where it does not exist')
    .argument('<folder>', 'what finetune wrote, or any other')
    .option('--message <text>', 'of the commit')
    .option('--revision <branch>', 'where to (default: main)')
    .option('--include <pattern>', 'which files; may be repeated (default: all)', repeated)
    .option('--exclude <pattern>', 'which of them not; may be repeated', repeated)
    .option('--private', 'a repository that is made is seen by its owner alone')
    .option('--create-pr', 'opens a pull request instead of writing to the branch')
    .addOption(repoTypeOption())
    .addOption(jsonOption())
    .action(upload)
}

async function upload(id: string, folder: string, args: UploadArguments): Promise<void> {
  const { json, private: isPrivate, ...options } = args
  const hub = await import('../../hub/index.ts')
  const { uploadFolder } = await import('../../hub/node-upload-folder.ts')
  const files = await uploadFolder(folder) // a wrong folder is told before anything is made
  const { downloadDisplay } = await import('../command-line/download-progress.ts')
  const { stop, ...display } = await downloadDisplay(`to ${id}`)
  try {
    const { repoType } = options
    const page = await hub.createRepo(id, {
      repoType,
      private: isPrivate,
      existOk: true,
      onNotice: display.onNotice,
    })
    const { commit, url, pullRequestUrl, uploaded, deleted } = await hub.upload(idOf(page), files, {
      ...options,
      ...display,
    })
    stop()
    if (json) printJson({ commit, url, pullRequestUrl: pullRequestUrl ?? null, uploaded, deleted })
    else {
      notice(
        uploaded.length > 0 ? `${uploaded.length} files uploaded` : 'nothing differs, so there is no commit',
      )
      process.stdout.write(`${pullRequestUrl ?? url}\n`)
    }
  } finally {
    stop()
  }
}

/** The id of the repository of a page: with its owner, if the one that was given had none. */
const idOf = (page: string): string => page.split('/').slice(-2).join('/')
