/** Paths of modules in a profile: `encoder.layer.0.attention`, below the module that the program called. */
import type { Origin } from '../core/profile/scope.ts'
import { type AnyModule, walk } from './tree.ts'

/** Of the modules below the outermost one whose `forward` runs. */
let places: Map<AnyModule, Origin> | null = null
const known = new WeakMap<AnyModule, Map<AnyModule, Origin>>()

function placesBelow(root: AnyModule): Map<AnyModule, Origin> {
  const { name } = root.constructor
  return new Map(
    [...walk(root)].map(([path, module]) => [module, { root: name, module: path, pass: 'forward' }]),
  )
}

/** Where what the module's `forward` records comes from; the first one asked since `leavePlace` is the outermost. */
export function placeOf(module: AnyModule): Origin {
  if (!places) {
    places = known.get(module) ?? placesBelow(module)
    known.set(module, places)
  }
  let place = places.get(module)
  if (!place) {
    // made or attached since
    place = { root: module.constructor.name, module: '', pass: 'forward' }
    places.set(module, place)
  }
  return place
}

export function leavePlace(): void {
  places = null
}
