import type { Storage } from './torch-objects.ts'
import type { PickleValue } from './unpickler.ts'

/** A pickle describes tensors in some hundred bytes each; one beyond this is no model's. */
export const MAX_PICKLE_BYTES = 256 * 1024 * 1024

/** What a file of torch.save holds, and where its storages lie. */
export interface TorchContents {
  value: PickleValue
  /** Where the bytes of a storage begin. @throws TorchFileError if the file has no such storage, or one of another size. */
  place(storage: Storage): Promise<number>
}
