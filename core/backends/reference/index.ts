export { createReferenceBackend, ReferenceBackend, type ReferenceOptions } from './backend.ts'
