/** Trainers by their names in Python's `tokenizers.trainers`. */
import type {
  MergeTrainerOptions,
  TrainerOptions,
  UnigramTrainerOptions,
  WordLevelTrainerOptions,
} from '../train.ts'

export const BpeTrainer = (options: MergeTrainerOptions = {}): TrainerOptions => ({ ...options, type: 'BPE' })

export const WordPieceTrainer = (options: MergeTrainerOptions = {}): TrainerOptions => ({
  ...options,
  type: 'WordPiece',
})

export const WordLevelTrainer = (options: WordLevelTrainerOptions = {}): TrainerOptions => ({
  ...options,
  type: 'WordLevel',
})

export const UnigramTrainer = (options: UnigramTrainerOptions = {}): TrainerOptions => ({
  ...options,
  type: 'Unigram',
})
