/** Whether a case's path begins as one of the globs says; without any, every case does. */
export function casesLike(globs: readonly string[] | undefined): (path: string) => boolean {
  if (!globs || globs.length === 0) return () => true
  const patterns = globs.map((glob) => {
    const escaped = glob.replace(/[.+^${}()|[\]\\]/g, '\\$&')
    return new RegExp(`^${escaped.replaceAll('*', '.*').replaceAll('?', '.')}`)
  })
  return (path) => patterns.some((pattern) => pattern.test(path))
}
