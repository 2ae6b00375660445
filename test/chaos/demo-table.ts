// The table that chaos and the grid's demo work on. The database counts every change of a row in the row itself, whoever
// makes it: the version grows by exactly one with each, and the seal says that key, version and writer belong together.
// Not for: what the versions prove (history.ts).

export interface DemoTable {
  /** Rows 0 to rows - 1 are there for good. */
  readonly rows: number
  /** Rows from `rows` on, which come and go. */
  readonly passing: number
}

export const keyspace = 'items'

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
    CREATE FUNCTION count_changes() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF TG_OP = 'UPDATE' THEN NEW.version := OLD.version + 1; END IF;
      NEW.seal := NEW.id * 7919 + NEW.version * 31 + NEW.writer;
      RETURN NEW;
    END $$;
    CREATE TRIGGER count_changes BEFORE INSERT OR UPDATE ON items FOR EACH ROW EXECUTE FUNCTION count_changes();
    INSERT INTO items (id) SELECT generate_series(0, ${rows + passing - 1});
  `
}
