/** The model file of sentencepiece, a protocol buffer: `ModelProto` of its `sentencepiece_model.proto`. */
import { PbfReader } from 'pbf'

export const pieceTypes = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const

export interface Piece {
  piece: string
  score: number
  /** One of `pieceTypes`. */
  type: number
}

export interface SentencePieceModel {
  pieces: Piece[]
  /** 1 Unigram, 2 BPE, 3 words, 4 characters. */
  modelType: number
  byteFallback: boolean
  unkId: number
  unkPiece: string
  /** Empty where there is none. */
  precompiledCharsmap: Uint8Array
  addDummyPrefix: boolean
  removeExtraWhitespaces: boolean
  escapeWhitespaces: boolean
}

/** @throws for bytes that are no such file */
export function readSentencePiece(bytes: Uint8Array): SentencePieceModel {
  const model: SentencePieceModel = {
    pieces: [],
    modelType: 1,
    byteFallback: false,
    unkId: 0,
    unkPiece: '<unk>',
    precompiledCharsmap: new Uint8Array(),
    addDummyPrefix: true,
    removeExtraWhitespaces: true,
    escapeWhitespaces: true,
  }
  try {
    const file = new PbfReader(bytes)
    file.readFields((field, _, reader) => {
      if (field === 1) model.pieces.push(readPiece(reader))
      else if (field === 2) readMessage(reader, readTrainerSpec, model)
      else if (field === 3) readMessage(reader, readNormalizerSpec, model)
    }, undefined)
    if (file.pos !== bytes.length) throw new Error('it ends in the middle of a field')
  } catch (cause) {
    throw new Error('[tokenizer] the sentencepiece model is damaged: download it again', { cause })
  }
  if (model.pieces.length === 0)
    throw new Error('[tokenizer] this is no sentencepiece model: it has no pieces')
  return model
}

function readPiece(reader: PbfReader): Piece {
  const piece: Piece = { piece: '', score: 0, type: pieceTypes.normal }
  readMessage(
    reader,
    (field, made) => {
      if (field === 1) made.piece = reader.readString()
      else if (field === 2) made.score = reader.readFloat()
      else if (field === 3) made.type = reader.readVarint()
    },
    piece,
  )
  return piece
}

/** A length that the file does not have would make the reader go on behind its end. */
function readMessage<T>(
  reader: PbfReader,
  read: (field: number, made: T, reader: PbfReader) => void,
  made: T,
): void {
  const start = reader.pos
  const end = reader.readVarint() + reader.pos
  if (!(end <= reader.length)) throw new Error('it claims to be longer than it is')
  reader.pos = start
  reader.readMessage(read, made)
}

function readTrainerSpec(field: number, model: SentencePieceModel, reader: PbfReader): void {
  if (field === 3) model.modelType = reader.readVarint()
  else if (field === 35) model.byteFallback = reader.readBoolean()
  else if (field === 40) model.unkId = reader.readVarint(true)
  else if (field === 45) model.unkPiece = reader.readString()
}

function readNormalizerSpec(field: number, model: SentencePieceModel, reader: PbfReader): void {
  if (field === 2) model.precompiledCharsmap = reader.readBytes().slice()
  else if (field === 3) model.addDummyPrefix = reader.readBoolean()
  else if (field === 4) model.removeExtraWhitespaces = reader.readBoolean()
  else if (field === 5) model.escapeWhitespaces = reader.readBoolean()
}
