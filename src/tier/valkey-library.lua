#!lua name=$LIBRARY
-- The operations of src/coherence/operations.ts on a Redis or Valkey server, one function each: the same decisions, in the same
-- order. test/tier/valkey-equality.test.ts runs both side by side. What the bytes are: src/tier/valkey-bytes.ts.
-- Not for: reading alone (a plain MGET), and anything that spans lanes.
--
-- Positions, transaction ids and times are 8 bytes, big-endian. They are compared as two halves of 32 bits: a Lua number
-- cannot hold 64, and Lua's own comparison of strings goes by the server's locale.
-- Keys of every function: the lane's header; for those that need it, its recent changes; then the records. $LIBRARY is replaced
-- by the library's name, which holds its version and a digest of this text. While a library is loaded, Redis has nothing for it
-- but redis.register_function: what else it uses is looked up when a function runs.

local VERSION, HEADER, RECENT, MESSAGE = '\1', 'H', 'R', 'M'
local WRITE, LOAD, LEASE, FENCE = 'W', 'S', 'L', 'F'
-- Of a value that somebody loads anew: behind its payload there is a trailer, token 1-8, until 9-16 (0: nobody any more), and when
-- the value itself is over, 17-24 (0: never).
local RENEWED = { w = WRITE, s = LOAD }
local TRAILER_BYTES = 24
local ZERO = '\0\0\0\0\0\0\0\0'
-- A record's head is at most so long: a load with 16 transactions in progress.
local HEAD_BYTES = 184
local RECENT_HEAD, CHANGE_BYTES, CHANGES_MAX = 22, 28, 32
-- How much longer than its time a lease or fence is kept: its holder may still use it while nobody else has come.
local GRACE_MS = 60000

-- The run id is drawn at each start of the server's process: neither a replica that takes over nor a restart from an old
-- snapshot has the one that a header was written under. It cannot change while this library is loaded. Where a service hides
-- it, the node's id in the cluster stands for it.
local run_id
local function shard()
  if not run_id then
    local id = redis.call('INFO', 'server'):match('run_id:(%x+)')
    if not id or id:match('^0*$') then id = redis.call('CLUSTER', 'MYID') end
    run_id = id
  end
  return run_id
end

local function less(a, b)
  if a == b then return false end
  local a_high, a_low = struct.unpack('>I4I4', a)
  local b_high, b_low = struct.unpack('>I4I4', b)
  if a_high ~= b_high then return a_high < b_high end
  return a_low < b_low
end

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function ms_bytes(ms)
  return struct.pack('>I4I4', math.floor(ms / 4294967296), ms % 4294967296)
end

-- Header: version 1, type 2, generation 3-14 (epoch 3-10), sequence 15-22, mark 23-38 (lsn 23-30, sub 31-38), shard 39-.

-- The header, if it may be used at all.
local function usable_header(key)
  local h = redis.call('GET', key)
  if not h or h:sub(1, 2) ~= VERSION .. HEADER or h:sub(39) ~= shard() then return nil end
  return h
end

local function generation(h) return h:sub(3, 14) end
local function epoch(h) return h:sub(3, 10) end

-- What a caller is told of the lane: generation, sequence and mark; empty without a header.
local function state(h) return h and h:sub(3, 38) or '' end

local function with_next_sequence(h, mark)
  local high, low = struct.unpack('>I4I4', h, 15)
  low = low + 1
  if low == 4294967296 then high, low = high + 1, 0 end
  return h:sub(1, 14) .. struct.pack('>I4I4', high, low) .. (mark or h:sub(23, 38)) .. h:sub(39)
end

-- `events` and `voids`: their number and then each, as valkey-bytes.ts draws them.
local NONE = '\0\0\0\0'

local function publish(header_key, h, prev, events, voids)
  redis.call('SET', header_key, h)
  local channel = header_key:sub(1, -2) .. 'm'
  redis.call('SPUBLISH', channel, VERSION .. MESSAGE .. state(h) .. prev .. events .. voids)
end

-- The key that a record's name stands for: both names of a lane begin alike, and end in one letter and the key.
local function key_of(header_key, record_key) return record_key:sub(#header_key + 1) end

local function void_of(key) return '\0\0\0\1' .. struct.pack('>I4', #key) .. key end

local function publish_void(header_key, h, record_key)
  publish(header_key, with_next_sequence(h), h:sub(23, 38), NONE, void_of(key_of(header_key, record_key)))
end

-- A record's head; nil when there is none that this version understands. `type_of` is its letter. Of a value that is renewed the
-- trailer comes second; once its own time is over, the renewal is the lease that others wait for.
local function head(key)
  local r = redis.call('GETRANGE', key, 0, HEAD_BYTES - 1)
  if #r < 14 or r:sub(1, 1) ~= VERSION then return nil end
  local t = r:sub(2, 2)
  if t == WRITE or t == LOAD or t == LEASE or t == FENCE then return r end
  if not RENEWED[t] then return nil end
  local trailer = redis.call('GETRANGE', key, -TRAILER_BYTES, -1)
  local ends = trailer:sub(17, 24)
  if ends == ZERO or less(ms_bytes(now_ms()), ends) then
    return VERSION .. RENEWED[t] .. r:sub(3), trailer
  end
  if trailer:sub(9, 16) == ZERO then return nil end
  return VERSION .. LEASE .. r:sub(3, 14) .. trailer:sub(1, 16), trailer
end

local function type_of(r) return r and r:sub(2, 2) or '' end
local function is_value(r) local t = type_of(r) return t == WRITE or t == LOAD end

-- Of the lane's generation and, if a lease or a fence, not over. Lease and fence: token 15-22, until 23-30.
local function is_live(r, h)
  if r:sub(3, 14) ~= generation(h) then return false end
  if is_value(r) then return true end
  return less(ms_bytes(now_ms()), r:sub(23, 30))
end

local function store_claim(key, letter, h, token, ms)
  ms = tonumber(ms)
  local r = VERSION .. letter .. generation(h) .. token .. ms_bytes(now_ms() + ms)
  redis.call('SET', key, r, 'PX', ('%.0f'):format(ms + GRACE_MS))
  return r
end

-- Lets nothing become of whoever renews the value; the value stays.
local function end_renewal(key, trailer)
  if trailer then redis.call('SETRANGE', key, redis.call('STRLEN', key) - TRAILER_BYTES + 8, ZERO) end
end

-- The key stays at least until a lease of so long, and its grace, is over.
local function keep_for(key, ms)
  local left = redis.call('PTTL', key)
  if left >= 0 and left < ms + GRACE_MS then redis.call('PEXPIRE', key, ('%.0f'):format(ms + GRACE_MS)) end
end

-- `tail` is what the caller gives: all of the head after the generation.
local function store_value(key, letter, h, tail, payload, ttl_ms)
  redis.call('SET', key, VERSION .. letter .. generation(h) .. tail .. payload, 'PX', ttl_ms)
end

-- Load: flags 15 (2: exact), lsn 16-23, flush 24-31, upto 32-39, xmin 40-47, xmax 48-55, how many 56, in progress 57-.
local function sees(r, xid)
  if less(xid, r:sub(40, 47)) then return 'yes' end
  if not less(xid, r:sub(48, 55)) then return 'no' end
  if r:byte(15) % 4 < 2 then return 'maybe' end
  for i = 0, r:byte(56) - 1 do
    if r:sub(57 + 8 * i, 64 + 8 * i) == xid then return 'no' end
  end
  return 'yes'
end

-- Lease, or read what is there: args token, epoch, lease ms. Replies outcome, server's ms, lane (or nothing), and the record.
local function lease(keys, args)
  local h = usable_header(keys[1])
  local told = ms_bytes(now_ms()) .. state(h)
  if not h then return 'n' .. told end
  local r = head(keys[2])
  local live = r and is_live(r, h)
  local there = live and (is_value(r) and redis.call('GET', keys[2]) or r) or ''
  if args[2] ~= epoch(h) then return 'e' .. told .. there end
  if live then
    if is_value(r) then return 'p' .. told .. there end
    return (type_of(r) == LEASE and 'l' or 'f') .. told .. there
  end
  return 'g' .. told .. store_claim(keys[2], LEASE, h, args[1], args[3])
end

-- Whether the record is, or carries, the caller's lease: `r` and `trailer` as `head` gives them.
local function is_own(r, trailer, token, h)
  if not r or r:sub(3, 14) ~= generation(h) then return false end
  if trailer then return trailer:sub(1, 8) == token and trailer:sub(9, 16) ~= ZERO end
  return type_of(r) == LEASE and r:sub(15, 22) == token
end

-- What a stamp is, as valkey-bytes.ts spells it: letter, epoch, and all of the head after the generation but that nothing is there.
local function stamp_of(r, bytes)
  local flags = r:byte(15)
  return type_of(r) .. r:sub(3, 10) .. string.char(flags - flags % 2) .. r:sub(16, bytes + 5)
end

-- Renew: args token, epoch, lease ms, and the stamp of the value that the caller has (or nothing).
-- Replies as lease does; of a value that is renewed now no more than its lane.
local function renew(keys, args)
  local key, ms = keys[2], tonumber(args[3])
  local h = usable_header(keys[1])
  local r, trailer = head(key)
  if not h or args[2] ~= epoch(h) or not r or not is_live(r, h) or not is_value(r) then return lease(keys, args) end
  local than = args[4]
  if than ~= '' and stamp_of(r, #than) ~= than then return lease(keys, args) end
  local told = ms_bytes(now_ms()) .. state(h)
  if trailer and less(ms_bytes(now_ms()), trailer:sub(9, 16)) and trailer:sub(1, 8) ~= args[1] then return 'l' .. told end
  local claim = args[1] .. ms_bytes(now_ms() + ms)
  if trailer then
    redis.call('SETRANGE', key, redis.call('STRLEN', key) - TRAILER_BYTES, claim)
  else
    local left = redis.call('PTTL', key)
    redis.call('APPEND', key, claim .. (left < 0 and ZERO or ms_bytes(now_ms() + left)))
    redis.call('SETRANGE', key, 1, type_of(r):lower())
  end
  keep_for(key, ms)
  return 'g' .. told
end

-- Hold: args token, lease ms; 0: it is given back.
local function hold(keys, args)
  local key, ms = keys[2], tonumber(args[2])
  local h = usable_header(keys[1])
  if not h then return 'n' end
  local r, trailer = head(key)
  if not is_own(r, trailer, args[1], h) then return 'x' end
  if ms == 0 then
    if trailer then end_renewal(key, trailer) else redis.call('UNLINK', key) end
    return 'h'
  end
  local at = trailer and redis.call('STRLEN', key) - TRAILER_BYTES + 8 or 22
  redis.call('SETRANGE', key, at, ms_bytes(now_ms() + ms))
  keep_for(key, ms)
  return 'h'
end

-- Fill: args token, epoch, tail, payload, ttl.
local function fill(keys, args)
  local h = usable_header(keys[1])
  if not h then return 'n' end
  if args[2] ~= epoch(h) then return 'e' end
  local r, trailer = head(keys[2])
  if not is_own(r, trailer, args[1], h) then return 'r' end
  store_value(keys[2], LOAD, h, args[3], args[4], args[5])
  return 's'
end

-- Write: flags 15, xid 16-23, at 24-31, upto 32-39.

local function age_against(r, xid, at)
  if type_of(r) == WRITE then
    local own = r:sub(24, 31)
    if own == at then return 'same' end
    return less(at, own) and 'newer' or 'older'
  end
  local seen = sees(r, xid)
  return seen == 'yes' and 'newer' or seen == 'no' and 'older' or 'uncertain'
end

-- The list of recent changes: version, type, generation 3-14, complete from 15-22, then each: hash, lsn, xid, change.
local function recent_changes(key, h)
  local list = redis.call('GET', key)
  if not list or list:sub(1, 2) ~= VERSION .. RECENT or list:sub(3, 14) ~= generation(h) then return nil end
  return list
end

local function unchanged_since(list, hash, at, xid)
  if not list or less(at, list:sub(15, 22)) then return false end
  for i = RECENT_HEAD + 1, #list, CHANGE_BYTES do
    if list:sub(i, i + 3) == hash and less(at, list:sub(i + 4, i + 11)) then
      if list:sub(i + 12, i + 19) ~= xid or not less(list:sub(i + 20, i + 27), at) then return false end
    end
  end
  return true
end

-- Whether no change of the key after the one that returned the row can have been applied to the lane yet.
local function put_is_in_time(recent_key, h, hash, at, xid)
  local mark_sub = h:sub(31, 38)
  if mark_sub ~= ZERO and not less(mark_sub, at) then return false end
  if less(h:sub(23, 30), at) then return true end
  return unchanged_since(recent_changes(recent_key, h), hash, at, xid)
end

-- Put: keys header, recent, record; args epoch, hash, tail, payload, ttl.
local function put(keys, args)
  local h = usable_header(keys[1])
  if not h then return 'n' end
  if args[1] ~= epoch(h) then return 'e' end
  local key, tail = keys[3], args[3]
  local xid, at = tail:sub(2, 9), tail:sub(10, 17)
  local r, trailer = head(key)
  local live = r and is_live(r, h)
  if live and type_of(r) == FENCE then return 'f' end
  local present = live and is_value(r)
  local age = present and age_against(r, xid, at) or 'older'
  local outcome, action
  if not put_is_in_time(keys[2], h, args[2], at, xid) then
    local outdated = type_of(r) == LEASE or present and (age == 'older' or age == 'uncertain')
    outcome, action = 'l', outdated and 'remove'
  elseif age == 'newer' then
    outcome = 'w'
  elseif age == 'uncertain' then
    outcome, action = 'u', 'remove'
  else
    outcome, action = 's', 'store'
  end
  if not action then
    end_renewal(key, trailer)
    return outcome
  end
  if action == 'remove' then redis.call('UNLINK', key) else store_value(key, WRITE, h, tail, args[4], args[5]) end
  local name = key_of(keys[1], key)
  local event = '\0\0\0\1' .. struct.pack('>I4', #name) .. name .. args[2] .. at .. xid .. at
  publish(keys[1], with_next_sequence(h), h:sub(23, 38), event, NONE)
  return outcome
end

local function void(keys)
  local h = usable_header(keys[1])
  if not h then return 'n' end
  -- A fence holds no content and keeps others from loading: it stays.
  if type_of(head(keys[2])) ~= FENCE then redis.call('UNLINK', keys[2]) end
  publish_void(keys[1], h, keys[2])
  return 'v'
end

-- Begin: args id, fence ms.
local function begin(keys, args)
  local h = usable_header(keys[1])
  if not h then return 'n' end
  store_claim(keys[2], FENCE, h, args[1], args[2])
  publish_void(keys[1], h, keys[2])
  return 'f'
end

-- Put under a fence: args id, epoch, tail, payload, ttl.
local function put_fenced(keys, args)
  local h = usable_header(keys[1])
  if not h then return 'n' end
  if args[2] ~= epoch(h) then return 'e' end
  local r = head(keys[2])
  local own = type_of(r) == FENCE and r:sub(15, 22) == args[1] and r:sub(3, 14) == generation(h)
  if own then store_value(keys[2], WRITE, h, args[3], args[4], args[5]) else redis.call('UNLINK', keys[2]) end
  publish_void(keys[1], h, keys[2])
  return own and 's' or 'v'
end

-- Whether a value surely reflects a change, or something later.
local function reflects(r, lsn, xid, change)
  if type_of(r) == WRITE then
    local at = r:sub(24, 31)
    return r:sub(16, 23) == xid and less(change, at) or not less(at, lsn)
  end
  if not less(r:sub(16, 23), lsn) then return true end
  return sees(r, xid) == 'yes' and not less(r:sub(24, 31), lsn)
end

local function apply_to_record(key, h, lsn, xid, change)
  local r, trailer = head(key)
  local t = type_of(r)
  if t == FENCE then return end
  local stays = is_value(r) and r:sub(3, 14) == generation(h) and reflects(r, lsn, xid, change)
  if stays then end_renewal(key, trailer) else redis.call('UNLINK', key) end
end

-- The list with the events' changes added; the oldest leave when it is full, and "complete from" moves up to them.
local function remembering(list, added)
  local body = list:sub(RECENT_HEAD + 1) .. added
  local complete_from = list:sub(15, 22)
  local gone = #body - CHANGES_MAX * CHANGE_BYTES
  for i = 1, gone, CHANGE_BYTES do
    local lsn = body:sub(i + 4, i + 11)
    if less(complete_from, lsn) then complete_from = lsn end
  end
  if gone > 0 then body = body:sub(gone + 1) end
  return list:sub(1, 14) .. complete_from .. body
end

-- Apply: keys header, recent, then one a event; args generation, prev, next, events.
local function apply(keys, args)
  local h = usable_header(keys[1])
  if not h then return 'n' end
  local list
  if #keys > 2 then
    list = recent_changes(keys[2], h)
    -- Header and list are one thing in two places: without the list the lane has to begin anew.
    if not list then return 'n' end
  end
  if args[1] ~= generation(h) or args[2] ~= h:sub(23, 38) then return 'm' .. state(h) end
  local events, at, changes = args[4], 5, {}
  for i = 3, #keys do
    at = at + 4 + struct.unpack('>I4', events, at)
    local change = events:sub(at, at + CHANGE_BYTES - 1)
    changes[#changes + 1] = change
    apply_to_record(keys[i], h, change:sub(5, 12), change:sub(13, 20), change:sub(21, 28))
    at = at + CHANGE_BYTES
  end
  if list then redis.call('SET', keys[2], remembering(list, table.concat(changes))) end
  local moved = with_next_sequence(h, args[3])
  publish(keys[1], moved, args[2], events, NONE)
  return 'a' .. state(moved)
end

-- Reset: keys header, recent; args generation and mark as expected (or nothing), position, new generation.
local function reset(keys, args)
  local h = usable_header(keys[1])
  if h and not recent_changes(keys[2], h) then h = nil end
  local seen = h and generation(h) .. h:sub(23, 38) or ''
  if seen ~= args[1] then return 'm' .. state(h) end
  local mark = args[2] .. ZERO
  local before = VERSION .. HEADER .. args[3] .. ZERO .. mark .. shard()
  local fresh = before
  if h then fresh = with_next_sequence(VERSION .. HEADER .. args[3] .. h:sub(15, 22) .. mark .. shard()) end
  redis.call('SET', keys[2], VERSION .. RECENT .. args[3] .. args[2])
  publish(keys[1], fresh, mark, NONE, NONE)
  return 'r' .. state(fresh)
end

-- What a client needs to know of a server before it may read from it: its shard, and its time in ms.
local function about()
  return { shard(), ms_bytes(now_ms()) }
end

local function register(name, callback, flags)
  redis.register_function{ function_name = '$LIBRARY_' .. name, callback = callback, flags = flags }
end

register('lease', lease, {})
register('renew', renew, {})
register('fill', fill, {})
register('put', put, {})
register('put_fenced', put_fenced, {})
-- These free memory, or keep what they find at its size, or hardly more: they have to run when there is none left. Without its
-- fence a write would leave the value of before.
register('begin', begin, { 'allow-oom' })
register('void', void, { 'allow-oom' })
register('apply', apply, { 'allow-oom' })
register('hold', hold, { 'allow-oom' })
register('reset', reset, { 'allow-oom' })
register('about', about, { 'no-writes' })
