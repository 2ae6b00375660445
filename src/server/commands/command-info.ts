// How COMMAND INFO (the form that cluster clients read) and COMMAND DOCS describe a command.
import type { ReplyWriter } from '../../wire/reply-writer.ts'
import { type Argument, argumentsOf } from './command-arguments.ts'
import type { Command } from './command.ts'
import { type KeySpecification, keySpecifications, tipsOf } from './key-specifications.ts'
import type { ServerCall } from './server-call.ts'

export function info(call: ServerCall): void {
  const { table } = call.server
  if (call.argc <= 2) {
    call.out.array(table.commands.length)
    for (const each of table.commands) writeInfo(call.out, each)
    return
  }
  call.out.array(call.argc - 2)
  for (let i = 2; i < call.argc; i++) {
    const found = table.named(call.text(i))
    if (found === undefined) call.out.nil()
    else writeInfo(call.out, found)
  }
}

function writeInfo(out: ReplyWriter, command: Command): void {
  const { name, arity, flags, keys, categories } = command
  out.array(10)
  out.text(name)
  out.integer(arity)
  out.set(flags.length)
  for (const flag of flags) out.simple(flag)
  for (const position of keys) out.integer(position)
  out.set(categories.length)
  for (const category of categories) out.simple(category)
  const tips = tipsOf(command)
  out.set(tips.length)
  for (const tip of tips) out.text(tip)
  const specifications = keySpecifications(command)
  out.set(specifications.length)
  for (const specification of specifications) writeKeySpecification(out, specification)
  // Sub-commands have no rows of their own.
  out.set(0)
}

function writeKeySpecification(out: ReplyWriter, { flags, first, last, step, notes }: KeySpecification): void {
  out.map(notes === undefined ? 3 : 4)
  if (notes !== undefined) {
    out.text('notes')
    out.text(notes)
  }
  out.text('flags')
  out.set(flags.length)
  for (const flag of flags) out.simple(flag)
  out.text('begin_search')
  out.map(2)
  out.text('type')
  out.text('index')
  out.text('spec')
  out.map(1)
  out.text('index')
  out.integer(first)
  out.text('find_keys')
  out.map(2)
  out.text('type')
  out.text('range')
  out.text('spec')
  out.map(3)
  out.text('lastkey')
  out.integer(last)
  out.text('keystep')
  out.integer(step)
  out.text('limit')
  out.integer(0)
}

export function docs(call: ServerCall): void {
  const { table } = call.server
  const told: Command[] = []
  if (call.argc === 2) told.push(...table.commands)
  for (let i = 2; i < call.argc; i++) {
    const found = table.named(call.text(i))
    if (found !== undefined) told.push(found)
  }
  call.out.map(told.length)
  for (const each of told) writeDocs(call.out, each)
}

function writeDocs(out: ReplyWriter, command: Command): void {
  const { name, summary, since, group, complexity, syntax } = command
  const fields = { summary, since, group, complexity }
  const its = argumentsOf(syntax)
  out.text(name)
  out.map(Object.keys(fields).length + (its.length > 0 ? 1 : 0))
  for (const [field, value] of Object.entries(fields)) {
    out.text(field)
    out.text(value)
  }
  if (its.length === 0) return
  out.text('arguments')
  writeArguments(out, its, keySpecifications(command))
}

/** Keys are told with the specification that finds them: each next key has the next, as far as there are several. */
function writeArguments(
  out: ReplyWriter,
  its: readonly Argument[],
  specifications: readonly KeySpecification[],
  keys: { seen: number } = { seen: 0 },
): void {
  out.array(its.length)
  for (const { name, type, token, flags, arguments: inner } of its) {
    const isKey = type === 'key' && specifications.length > 0
    out.map(2 + Number(isKey) + Number(token !== undefined) + Number(flags.length > 0) + Number(inner.length > 0))
    out.text('name')
    out.text(name)
    out.text('type')
    out.text(type)
    if (isKey) {
      out.text('key_spec_index')
      out.integer(Math.min(keys.seen++, specifications.length - 1))
    }
    if (token !== undefined) {
      out.text('token')
      out.text(token)
    }
    if (flags.length > 0) {
      out.text('flags')
      out.set(flags.length)
      for (const flag of flags) out.simple(flag)
    }
    if (inner.length === 0) continue
    out.text('arguments')
    writeArguments(out, inner, specifications, keys)
  }
}
