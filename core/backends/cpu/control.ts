/**
 * The first bytes of the shared memory: words by which threads agree, and the table of compiled code. Words that several
 * threads write are 64 bytes (a cache line) apart. Numbers are indices of 32-bit words; so are places in the memory, unsigned,
 * which reaches 16 GiB.
 */
export const CONTROL = {
  /** The dispatch being run: epoch << 8 | open ? 128 : 0 | number of workers that joined. */
  state: 16,
  /** The next unit to take. */
  next: 32,
  /** Workers that are done with the dispatch. */
  left: 48,
  /** 1 while the leader sleeps until workers are done. */
  leaderWaits: 64,
  /** Raised to wake workers; the number of those that sleep. */
  wake: 80,
  sleepers: 96,
  /** 1 while a plan with parallel dispatches runs: workers spin longer before they sleep. */
  active: 112,
  /** Not 0 when a worker failed. */
  failed: 113,
  /** Workers that are up. */
  ready: 114,
  /** 1: workers return. */
  stop: 115,
  /** Place of the program entry of the dispatch being run. */
  entry: 116,
  /** Thread-local scratch: place of the first thread's, bytes per thread. */
  localBase: 117,
  localStride: 118,
  /** Size of the memory: a worker that knows a smaller one renews its views. */
  pages: 119,
  /** A program for worker 1 to lead: raised per request; place and number of its entries. */
  leadRequest: 120,
  leadProgram: 121,
  leadCount: 122,
  /** 1 while a system library computes on threads of its own: workers sleep at once and leave it the cores. */
  yielded: 123,
  /** Above 0 for so many dispatches after a thread was seen to lose its core: idle workers sleep almost at once. */
  contended: 124,
} as const

/** Where place and size in bytes of module i are. */
const CODE_TABLE = 128
export const CODE_LIMIT = 32768
export const codeWord = (index: number): number => CODE_TABLE + 2 * index

export const CONTROL_BYTES = 4 * (CODE_TABLE + 2 * CODE_LIMIT)

/** A program is a list of entries of this many words: what to call, with what. */
export const ENTRY_WORDS = 8
export const ENTRY = {
  /** Number of a module, or `NATIVE_CODE`. */
  code: 0,
  /** Place of the argument block. */
  args: 1,
  units: 2,
  grain: 3,
  /** 1 where several threads may share the units. */
  parallel: 4,
  /** Of a group, the number of its members. */
  members: 5,
} as const

/** In place of a module's number: the entry is a call of a system library. */
export const NATIVE_CODE = -1
/**
 * In place of a module's number: the entry is a group of entries that run side by side. Its arguments are, for each member, the
 * place of its entry and the number of its first grain; its units are all their grains.
 */
export const GROUP_CODE = -2
