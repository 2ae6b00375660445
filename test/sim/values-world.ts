// Users of values that the cache alone has, of their tags, and of `clear`, in processes with the library in them. On the lanes, and
// beside the users, of sources without a log. Not for: what is wrong (values-checker.ts).
import { durationOf } from './library-node.ts'
import { VALUES, type LoglessLibrary } from './logless-library.ts'
import { FUNCTIONS } from './logless-node.ts'
import type { LoglessChecker } from './logless-checker.ts'
import type { ValueKind } from './logless-plan.ts'
import type { SimProcess } from './machine.ts'
import { valueOf } from './row.ts'
import { TierHeard } from './tier-heard.ts'
import { ValuesChecker, type End, type Origin } from './values-checker.ts'
import type { World } from './world.ts'

const IDS = ['1', '2']
const TAGS = ['a', 'b']
/** Which a value is filed under: none, one, or both. */
const TAGGED = [[], ['a'], ['b'], ['a', 'b']]
/** Longer than a few messages, one after the other, where nothing is broken. */
const ROUND_MS = 60
const ROUNDS_MAX = 50

interface Member {
  readonly process: SimProcess
  readonly library: LoglessLibrary
}

export class ValuesWorld {
  /** Records of the tier besides those of values, which it may drop as those. */
  static readonly records = [
    ...IDS.map(id => `${VALUES}:${id}`),
    ...TAGS.map(tag => `#tags:${tag}`),
    `#keyspaces:${VALUES}`,
    `#keyspaces:${FUNCTIONS}`,
  ]

  readonly #world: World
  readonly #functionKeys: readonly string[]
  readonly #functions: LoglessChecker
  readonly #checker: ValuesChecker
  readonly #failed: (what: string, error: unknown) => void

  constructor(
    world: World,
    functionKeys: readonly string[],
    functions: LoglessChecker,
    failed: (what: string, error: unknown) => void,
  ) {
    this.#world = world
    this.#functionKeys = functionKeys
    this.#functions = functions
    this.#failed = failed
    this.#checker = new ValuesChecker({
      functions,
      time: world.time,
      count: what => world.count(what),
      violated: what => world.violated(what),
    })
  }

  begin(kind: ValueKind, member: Member, dice: readonly number[]): void {
    const id = chosen(IDS, dice[1]!)
    const tags = chosen(TAGGED, dice[2]!)
    if (kind === 'value peek') this.#peek(member, id)
    else if (kind === 'value get') this.#get(member, id, Infinity)
    else if (kind === 'value bounded get') this.#get(member, id, Math.floor(dice[3]! * 600))
    else if (kind === 'value set') void this.#set(member, id, tags)
    else if (kind === 'value delete') this.#delete(member, id)
    else if (kind === 'value build') this.#build(member, id, tags, dice[3]! ** 2 * 200)
    else if (kind === 'value tag') void this.#giveUp(member, chosen(TAGS, dice[1]!))
    else if (kind === 'value clear') void this.#clear(member)
    else if (kind === 'value functions peek') this.#peekFunctions(member, dice[1]!)
    else this.#clearFunctions(member)
  }

  #asked({ process }: Member, id: string, boundMs = Infinity) {
    return { process, key: `${VALUES}:${id}`, boundMs, calledMs: this.#world.time.nowMs }
  }

  #peek(member: Member, id: string): void {
    this.#checker.answered(this.#asked(member, id), 'peek', member.library.values.peek(id) ?? null)
  }

  #get(member: Member, id: string, boundMs: number): void {
    const asked = this.#asked(member, id, boundMs)
    const bound = boundMs === Infinity ? {} : { maxStaleness: durationOf(boundMs) }
    member.library.values.get(id, bound).then(
      (value = null as never) => {
        this.#world.say(() => `${asked.process.name} got ${asked.key}: ${value}`)
        this.#checker.answered(asked, 'get', value)
      },
      (error: unknown) => this.#failed('value get', error),
    )
  }

  #set({ process, library }: Member, id: string, tags: readonly string[]): Promise<number> {
    const { time } = this.#world
    const key = `${VALUES}:${id}`
    const origin = this.#begun(key, tags)
    const { value } = origin
    const heard = new TierHeard()
    const calledMs = time.nowMs
    const settle = (what: string): void => {
      origin.thereMs = time.nowMs
      this.#world.say(() => `${process.name} ${what} ${key} = ${value}, filed under ${tags.join()}`)
    }
    return library
      .hear(heard, () => library.values.set(id, value, { tags }))
      .then(
        () => {
          settle('set')
          if (heard.kept.has(key)) this.#ended(process, 'write', calledMs, this.#ofKey(key, value))
          return value
        },
        (error: unknown) => {
          settle('could not set')
          this.#failed('value set', error)
          return value
        },
      )
  }

  #begun(key: string, tags: readonly string[]): Origin {
    return this.#checker.began({ key, value: this.#world.newValue(), tags, thereMs: Infinity })
  }

  #ofKey(key: string, but?: number): Pick<End, 'mayEnd' | 'ends'> {
    return { mayEnd: other => other === key, ends: origin => origin.key === key && origin.value !== but }
  }

  #ended(process: SimProcess, what: End['what'], calledMs: number, which: Pick<End, 'mayEnd' | 'ends'>): void {
    this.#world.say(() => `${process.name}: ${what}, called at ${calledMs.toFixed(2)}, is done`)
    this.#checker.ended({ process, what, calledMs, doneMs: this.#world.time.nowMs, ...which })
  }

  #delete({ process, library }: Member, id: string): void {
    const key = `${VALUES}:${id}`
    const heard = new TierHeard()
    const calledMs = this.#world.time.nowMs
    library
      .hear(heard, () => library.values.delete(id))
      .then(
        () => {
          if (heard.kept.has(key)) this.#ended(process, 'delete', calledMs, this.#ofKey(key))
        },
        (error: unknown) => this.#failed('value delete', error),
      )
  }

  #build(member: Member, id: string, tags: readonly string[], takesMs: number): void {
    const { process, library } = member
    const { time } = this.#world
    const asked = this.#asked(member, id)
    const build = async (): Promise<number> => {
      const origin = this.#begun(asked.key, tags)
      origin.thereMs = time.nowMs
      this.#world.say(() => `${process.name} builds ${asked.key} = ${origin.value}, filed under ${tags.join()}`)
      await new Promise<void>(done => process.clock.timer(takesMs, done))
      return origin.value
    }
    library.values.getOrSet(id, build, { tags }).then(
      value => this.#checker.answered(asked, 'build', value),
      (error: unknown) => this.#failed('value build', error),
    )
  }

  #giveUp({ process, library }: Member, tag: string): Promise<void> {
    const calledMs = this.#world.time.nowMs
    return library.tide.deleteByTag(tag).then(
      () => this.#ended(process, 'tag', calledMs, { mayEnd: () => true, ends: ({ tags }) => tags.includes(tag) }),
      (error: unknown) => this.#failed('value tag', error),
    )
  }

  #clear({ process, library }: Member): Promise<void> {
    const calledMs = this.#world.time.nowMs
    return library.values.clear().then(
      () => this.#ended(process, 'clear', calledMs, { mayEnd: () => true, ends: () => true }),
      (error: unknown) => this.#failed('value clear', error),
    )
  }

  #peekFunctions({ process, library }: Member, die: number): void {
    const key = chosen(this.#functionKeys, die)
    const row = library.functions.peek(key.slice(FUNCTIONS.length + 1))
    const asked = { process, key, boundMs: Infinity, calledMs: this.#world.time.nowMs }
    this.#functions.peeked(asked, row === undefined ? undefined : valueOf(row)!)
  }

  #clearFunctions({ process, library }: Member): void {
    const { time } = this.#world
    const calledMs = time.nowMs
    library.functions.clear().then(
      () => {
        this.#world.say(() => `${process.name}: functions are given up, called at ${calledMs.toFixed(2)}`)
        this.#functions.cleared({ process, calledMs, endMs: time.nowMs })
      },
      (error: unknown) => this.#failed('value functions clear', error),
    )
  }

  /** A value that is set is there for everybody, until its tag or its keyspace is given up by another one. */
  async settled(members: readonly Member[]): Promise<void> {
    const [first, last] = [members[0]!, members.at(-1)!]
    // Whoever is first to ask for a lane that lost its header long ago finds it without one.
    for (const isTrial of [true, false]) {
      for (const end of [() => this.#giveUp(last, 'a'), () => this.#clear(last)]) {
        const value = await this.#within(this.#set(first, '1', ['a']))
        await this.#all(members, isTrial ? undefined : value)
        await this.#within(end())
        await this.#all(members, isTrial ? undefined : null)
      }
    }
  }

  /** Lets time go on until it is done, and for a moment more. */
  async #within<T>(doing: Promise<T>): Promise<T | undefined> {
    const done: T[] = []
    const waiting = doing.then(value => void done.push(value))
    for (let rounds = 0; rounds < ROUNDS_MAX && done.length === 0; rounds++) await this.#round()
    if (done.length === 0) this.#world.violated('in the end a call takes for ever')
    else await waiting
    await this.#round()
    return done[0]
  }

  async #all(members: readonly Member[], expected: number | null | undefined): Promise<void> {
    for (const { process, library } of members) {
      library.values.get('1').then(
        (value = null as never) => {
          if (expected !== undefined) this.#checker.settled(process, `${VALUES}:1`, value, expected)
        },
        (error: unknown) => this.#world.violated(`in the end ${process.name} cannot read a value: ${String(error)}`),
      )
    }
    await this.#round()
  }

  #round(): Promise<unknown> {
    const { time } = this.#world
    return time.run(time.nowMs + ROUND_MS)
  }
}

function chosen<T>(all: readonly T[], die: number): T {
  return all[Math.floor(die * all.length)]!
}
