/** One finding of the doctor. */
export interface Check {
  name: string
  /** `note` is worth knowing, `problem` is worth mending, `broken` makes results or commands wrong. */
  status: 'fine' | 'note' | 'problem' | 'broken'
  detail: string
  /** What to do about it. */
  advice?: string
}
