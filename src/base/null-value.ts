// What `null` is called below the surface. To users `null` is a value and `undefined` the absence of one; in sources, tiers
// and near caches `null` is the absence, so a user's `null` goes by this symbol there.
// Not for: sources of bytes, whose values have their own way to spell null.

/** A value that is `null`. */
export const NULL_VALUE: unique symbol = Symbol('tidemark.null')
