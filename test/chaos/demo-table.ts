// The table that chaos and the grid's demo work on. The database counts every change of a row in the row itself, whoever
// makes it: the version grows by exactly one with each, and the seal says that key, version and writer belong together. It
// keeps a list of all changes too, which no cache knows of.
// Not for: what the versions prove (history.ts).
import type { Random } from '../../src/base/random.ts'

export interface DemoTable {
  /** Rows 0 to rows - 1 are there for good. */
  readonly rows: number
  /** Rows from `rows` on, which come and go. */
  readonly passing: number
}

export const keyspace = 'items'

// Half of all reads and writes go to so many rows: each of them changes every second or so, and is read all the time.
const HOT = 64

export function pickKey(random: Random, below: number): number {
  return random.below(random.below(2) === 0 ? Math.min(HOT, below) : below)
}

/** What the trigger puts in the column `seal`. */
export function sealOf(id: number, version: number, writer: number): number {
  return id * 7919 + version * 31 + writer
}

export function demoTableSql({ rows, passing }: DemoTable): string {
  return `
    CREATE TABLE items (
      id bigint PRIMARY KEY, version bigint NOT NULL DEFAULT 1, seal bigint NOT NULL DEFAULT 0,
      writer bigint NOT NULL DEFAULT 0, note text NOT NULL DEFAULT ''
    );
    CREATE TABLE changes (id bigint, version bigint, writer bigint);
    CREATE FUNCTION count_changes() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF TG_OP = 'UPDATE' THEN NEW.version := OLD.version + 1; END IF;
      NEW.seal := NEW.id * 7919 + NEW.version * 31 + NEW.writer;
      -- A row that comes with version 0 is about to meet the one that is there, and to become an update.
      IF NEW.version > 0 THEN INSERT INTO changes VALUES (NEW.id, NEW.version, NEW.writer); END IF;
      RETURN NEW;
    END $$;
    CREATE TRIGGER count_changes BEFORE INSERT OR UPDATE ON items FOR EACH ROW EXECUTE FUNCTION count_changes();
    INSERT INTO items (id) SELECT generate_series(0, ${rows + passing - 1});
  `
}
