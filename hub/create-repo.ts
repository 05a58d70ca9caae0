import { connect } from './connection.ts'
import { hubSettings } from './environment.ts'
import { HubError } from './errors.ts'
import type { ConnectionOptions } from './options.ts'
import { checkRepo, repoPath } from './repo-id.ts'
import { modelInfo } from './repo-info.ts'

export interface CreateRepoOptions extends Omit<ConnectionOptions, 'revision'> {
  /** Who may see it. Default: as the owner's settings say, in most cases everyone. */
  private?: boolean
  /** Whether a repository that is there already is fine. Default false. */
  existOk?: boolean
  /** Of a space: what runs it. */
  spaceSdk?: 'gradio' | 'docker' | 'static'
}

/**
 * Makes an empty repository, and gives the address of its page. An id without an owner belongs to the token's.
 *
 * @throws HubError if it exists, or the token may not make it.
 */
export async function createRepo(id: string, options: CreateRepoOptions = {}): Promise<string> {
  const repo = checkRepo(id, options.repoType)
  if (repo.type === 'space' && !options.spaceSdk)
    throw new HubError('[hub] a space needs spaceSdk: gradio, docker or static')
  const settings = await hubSettings(options)
  const { endpoint, fetch } = connect(repo, settings, options)
  if (settings.token === undefined)
    throw new HubError(
      `[hub] making ${id} needs a token that may write: make one at ${endpoint}/settings/tokens and set HF_TOKEN`,
    )
  const [name, organization] = repo.id.split('/').reverse()
  const body = {
    name,
    organization,
    type: repo.type,
    ...(options.private !== undefined && { visibility: options.private ? 'private' : 'public' }),
    ...(options.spaceSdk && { sdk: options.spaceSdk }),
  }
  try {
    const response = await fetch(`${endpoint}/api/repos/create`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
    })
    const { url } = (await response.json()) as { url?: unknown }
    return typeof url === 'string' ? url : `${endpoint}/${repoPath(repo)}`
  } catch (error) {
    if (!(error instanceof HubError)) throw error
    // A token that may write to one repository may not make any.
    const mayExist = [401, 402, 403, 409].includes(error.status ?? 0)
    if (options.existOk && mayExist && (await exists(id, options))) return `${endpoint}/${repoPath(repo)}`
    if (error.status !== 409) throw error
    throw new HubError(`[hub] there is a ${repo.type} ${id} already; choose another name, or set existOk`, {
      status: 409,
    })
  }
}

const exists = (id: string, options: CreateRepoOptions): Promise<boolean> =>
  modelInfo(id, options).then(
    () => true,
    () => false,
  )
