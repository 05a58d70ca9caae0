import { onTestFinished } from 'vitest'
import { type Hub, type HubOptions, startHub } from './local-hub/hub.ts'
import { type Content, repositoryKey } from './local-hub/repository.ts'

export interface LocalHubOptions extends Omit<HubOptions, 'tokens'> {
  id: string
  files: Record<string, Content>
  /** Only requests with this token may read; it may write as well. */
  token?: string
}

/** A Hub with one model. */
export interface LocalHub extends Omit<Hub, 'update'> {
  /** The commit of `main`. */
  commit: string
  /** Changes the content and so the commit of `main`. */
  update(files: Record<string, Content>): void
}

/** A Hub with one model, which goes away when the test ends. */
export async function localHub({ id, files, token, ...options }: LocalHubOptions): Promise<LocalHub> {
  const hub = await startHub({ ...options, tokens: token === undefined ? {} : { [token]: 'write' } })
  onTestFinished(hub.stop)
  const local: LocalHub = {
    ...hub,
    commit: hub.update(id, files),
    update: (contents) => {
      local.commit = hub.update(id, contents)
    },
  }
  hub.repositories.get(repositoryKey('model', id))!.private = token !== undefined
  return local
}
