import { describe, expect, it } from 'vitest'
import { BagOfWords, words } from '../../scripts/start/bag-of-words.ts'
import { type Mail, parseMail, splitMails, textOf, withoutDuplicates } from '../../scripts/start/mails.ts'

const RAW = [
  'From someone@example.org  Thu Aug 22 14:23:39 2002',
  'Received: from a (b [127.0.0.1])',
  '\tby c for <d@e>',
  'Subject: Re: a long',
  '    subject',
  'X-Spam-Flag: YES',
  '',
  'First line.',
  '',
  '<b>Second</b> line. Subject: not this one',
  '',
].join('\n')

describe('mails', () => {
  it('keeps the unfolded subject and the body, and no other header', () => {
    const mail = parseMail({ group: 'easy-ham-1', text: RAW })
    expect(mail).toEqual({
      subject: 'Re: a long subject',
      body: 'First line.\n\n<b>Second</b> line. Subject: not this one',
      label: 'ham',
    })
    expect(textOf(mail)).toBe('Re: a long subject First line. <b>Second</b> line. Subject: not this one')
  })

  it('reads line ends of mail, mails without subject, and mails without body', () => {
    const crlf = parseMail({ group: 'spam-2', text: 'Subject: Buy\r\nX: y\r\n\r\nnow\r\n' })
    expect(crlf).toEqual({ subject: 'Buy', body: 'now', label: 'spam' })
    expect(parseMail({ group: 'spam-1', text: 'X: y\n\nnow' }).subject).toBe('')
    expect(parseMail({ group: 'spam-1', text: 'Subject: Buy' })).toEqual({
      subject: 'Buy',
      body: '',
      label: 'spam',
    })
  })

  it('takes circulars that differ in subject, spacing and numbers for one mail', () => {
    const mail = (subject: string, body: string): Mail => ({ subject, body, label: 'spam' })
    const kept = withoutDuplicates([
      mail('A', 'Offer no 12 for you'),
      mail('B', 'offer  no 7\nFOR you'),
      mail('A', 'Another offer'),
      mail('only a subject', ''),
      mail('only a subject', ''),
      mail('', ''),
    ])
    expect(kept.map(({ subject, body }) => subject + body)).toEqual([
      'AOffer no 12 for you',
      'AAnother offer',
      'only a subject',
    ])
  })

  it('splits the same way each time, without a mail on both sides', () => {
    const mails = Array.from({ length: 50 }, (_, i): Mail => ({ subject: `${i}`, body: '', label: 'ham' }))
    const { train, heldOut } = splitMails(mails, { train: 30, heldOut: 20 })
    expect(new Set([...train, ...heldOut]).size).toBe(50)
    expect(splitMails(mails, { train: 30, heldOut: 20 })).toEqual({ train, heldOut })
    expect(() => splitMails(mails, { train: 31, heldOut: 20 })).toThrow('too few')
  })
})

describe('bag of words', () => {
  it('splits into words and the marks of spam', () => {
    expect(words('FREE!! Büro 100%, no.')).toEqual(['free', '!', '!', 'büro', '100', '%', 'no'])
  })

  it('learns which words tell the classes apart, not their order', () => {
    const spam = ['win money now', 'money for free now', 'free money win', 'now win free']
    const ham = [
      'see the meeting notes',
      'notes of the meeting',
      'the linker fails see',
      'see notes the linker',
    ]
    const bag = new BagOfWords([...spam, ...ham], [1, 1, 1, 1, 0, 0, 0, 0])
    expect(
      ['money win', 'the notes', 'unheard of free money', 'meeting the linker'].map((t) => bag.predict(t)),
    ).toEqual([1, 0, 1, 0])
  })
})
