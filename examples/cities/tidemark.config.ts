// All cities of the world with 1,000 people or more, from a SQLite database that the first start makes.
import { defineConfig } from 'tidemark'
import { sqlite } from 'tidemark/sqlite'
import { createCities } from './create-cities.ts'

export default defineConfig({
  memory: '256mb',
  databases: {
    cities: sqlite({ file: 'cities.db', create: createCities }),
  },
  keyspaces: {
    cities: { database: 'cities', table: 'cities', maxStaleness: '500ms', whenStale: 'source' },
  },
})
