/** The text of a message's body: its first text part, with the encoding of the transport undone (RFC 2045, 2046). */

/** Header lines unfolded, and what follows the first empty line. */
export function splitMessage(message: string): { headers: string; body: string } {
  const end = message.startsWith('\n') ? -1 : message.indexOf('\n\n')
  if (message.startsWith('\n')) return { headers: '', body: message.slice(1) }
  const headers = (end < 0 ? message : message.slice(0, end)).replace(/\n[ \t]+/g, ' ')
  return { headers, body: end < 0 ? '' : message.slice(end + 2) }
}

/** The value of a header, or an empty text. */
export function header(headers: string, name: string): string {
  return new RegExp(`^${name}:(.*)$`, 'im').exec(headers)?.[1].trim() ?? ''
}

/** Of several parts the first with text; what cannot be decoded stays as it is. */
export function textOfBody(headers: string, body: string): string {
  const type = header(headers, 'content-type')
  const boundary = /boundary="?([^";\n]+)"?/i.exec(type)?.[1].trim()
  if (/^multipart\//i.test(type) && boundary) {
    // before the first boundary is a note to programs that know no parts
    const [, ...parts] = body.split(`--${boundary}`)
    for (const part of parts) {
      const { headers: own, body: content } = splitMessage(part.replace(/^[ \t]*\n/, ''))
      const text = isText(own) ? textOfBody(own, content).trim() : ''
      if (text !== '') return text
    }
    return parts.length > 0 ? '' : body
  }
  const encoding = header(headers, 'content-transfer-encoding').toLowerCase()
  if (encoding === 'quoted-printable') return fromQuotedPrintable(body)
  if (encoding === 'base64') return fromBase64(body)
  return body
}

/** A part without a type is plain text. */
function isText(headers: string): boolean {
  const type = header(headers, 'content-type')
  return type === '' || /^(text|multipart|message)\//i.test(type)
}

/** Line ends after `=` are none; `=3D` is a byte, read as Latin-1, which is what these mails mostly are. */
function fromQuotedPrintable(text: string): string {
  return text
    .replace(/=[ \t]*\n/g, '')
    .replace(/=([0-9a-f]{2})/gi, (_, byte: string) => String.fromCharCode(Number.parseInt(byte, 16)))
}

function fromBase64(text: string): string {
  const letters = /^[A-Za-z0-9+/=\s]+/.exec(text)?.[0] ?? ''
  return Buffer.from(letters, 'base64').toString('latin1').replaceAll('\r\n', '\n')
}
