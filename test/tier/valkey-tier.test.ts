// The tier contract on real servers: one of them, and a cluster of three primaries.
import { after, before, describe } from 'node:test'
import { tierContract } from '../../src/testing/tier-contract.ts'
import { RedisCluster } from '../support/redis-cluster.ts'
import { RedisProcess } from '../support/redis-process.ts'
import { redisInstalled } from '../support/redis-server.ts'
import { clusterServers, standaloneServers, valkeyFixture, type ServersOfScene } from './valkey-scene.ts'

const skip = !redisInstalled() && 'redis-server is not installed'

describe('on one server', { skip }, () => {
  let server: RedisProcess
  let servers: ServersOfScene
  before(async () => {
    server = await RedisProcess.start()
    servers = standaloneServers(server)
  })
  after(() => server.close())
  tierContract('ValkeyTier with eight lanes', () => valkeyFixture(servers, 8))
  tierContract('ValkeyTier with one lane', () => valkeyFixture(servers, 1), ['lanes'])
})

describe('on a cluster of three primaries', { skip }, () => {
  let cluster: RedisCluster
  let servers: ServersOfScene
  before(async () => {
    cluster = (await RedisCluster.start())!
    servers = clusterServers(cluster)
  })
  after(() => cluster.close())
  tierContract('ValkeyTier with 64 lanes', () => valkeyFixture(servers, 64))
})
