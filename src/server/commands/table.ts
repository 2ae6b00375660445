// All commands: the one truth for dispatch, COMMAND, metrics and the reference page. A new command is a row in one of
// these arrays, with its handler.
import { bitmapCommands } from './bitmaps.ts'
import { CommandTable } from './command-table.ts'
import { connectionCommands } from './connection.ts'
import { genericCommands } from './generic.ts'
import { hashCommands } from './hashes.ts'
import { pubsubCommands } from './pubsub.ts'
import { serverCommands } from './server.ts'
import { slowLogCommands } from './slow-log.ts'
import { stringCommands } from './strings.ts'
import { tierCommand } from './tier.ts'
import { tidemarkCommands } from './tidemark.ts'
import { transactionCommands } from './transactions.ts'

export const commandTable: CommandTable = new CommandTable([
  ...connectionCommands,
  ...serverCommands,
  ...genericCommands,
  ...stringCommands,
  ...bitmapCommands,
  ...hashCommands,
  ...transactionCommands,
  ...pubsubCommands,
  ...slowLogCommands,
  ...tidemarkCommands,
  tierCommand,
])

export const commandNames: readonly string[] = commandTable.commands.map(command => command.name)
