-- Gives jobs, ready, delayed, active, cost in ms, dead.
local lines = redis.call('HKEYS', key('seen'))
for _, line in ipairs({ 'notify', 'derive', 'plan' }) do table.insert(lines, line) end
local ready = redis.call('LLEN', ENTRANCE) + redis.call('LLEN', PREFIX .. 'foreign')
  + redis.call('ZCARD', PREFIX .. 'foreign_taken')
for _, line in ipairs(lines) do
  for _, tenant in ipairs(redis.call('ZRANGE', key('line', line), 0, -1)) do
    ready = ready + redis.call('ZCARD', key('ready', line, tenant))
  end
end
return { redis.call('ZCARD', key('open')), ready, redis.call('ZCARD', key('delayed')),
  redis.call('ZCARD', key('leases')), number(key('meta'), 'cost'), redis.call('LLEN', key('dead')) }
