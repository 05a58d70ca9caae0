/**
 * An object that is called like a function, `tokenizer(text)`: it is a function by its nature, with the prototype of
 * its class, and a call runs its method `_call`.
 */
export abstract class Callable {
  constructor() {
    const self = (...args: unknown[]) => (self as unknown as Invocable)._call(...args)
    // These belong to functions, and would hide what the class calls so.
    Reflect.deleteProperty(self, 'length')
    Reflect.deleteProperty(self, 'name')
    // biome-ignore lint/correctness/noConstructorReturn: the function is the object
    return Object.setPrototypeOf(self, new.target.prototype)
  }
}

interface Invocable {
  _call(...args: unknown[]): unknown
}
