// Commands over a real cache and a real SQLite file with two rows, for the tests of commands on row keys.
import { Scene } from '../cache/scene.ts'
import { CommandRunner } from '../support/call.ts'

const SCHEMA = `
  DROP TABLE users;
  CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT, city TEXT) STRICT;
  INSERT INTO users VALUES (1, 'Ann', 'Ely'), (2, 'Bob', NULL)`

export class RowScene implements AsyncDisposable {
  readonly scene: Scene
  readonly runner: CommandRunner

  static async open(): Promise<RowScene> {
    return new RowScene(await Scene.open({ schema: SCHEMA }))
  }

  private constructor(scene: Scene) {
    this.scene = scene
    this.runner = new CommandRunner(scene.store, scene.cache, scene.clock.wallMs())
  }

  /** Questions to the database. */
  get loads(): readonly (readonly string[])[] {
    return this.scene.source.loads
  }

  get transactions(): number {
    return this.scene.source.writes
  }

  get hits(): number {
    return this.scene.counters.hits[0]!
  }

  get misses(): number {
    return this.scene.counters.misses[0]!
  }

  run(line: string): Promise<unknown> {
    this.scene.cache.tick(this.scene.clock.monotonicMs(), this.scene.clock.wallMs())
    return this.runner.line(line)
  }

  /** The row that the database itself has, as JSON, whatever memory says. */
  stored(id: number): string | null {
    const row = this.scene.other.prepare('SELECT id, name, city FROM users WHERE id = ?').get(id)
    return row === undefined ? null : JSON.stringify(row)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.scene[Symbol.asyncDispose]()
  }
}

export const ANN = '{"id":1,"name":"Ann","city":"Ely"}'
export const BOB = '{"id":2,"name":"Bob","city":null}'
