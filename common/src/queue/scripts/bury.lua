-- job
for _, entry in ipairs(redis.call('LRANGE', key('dead'), 0, -1)) do
  if cjson.decode(entry).job == arg(1) then redis.call('LREM', key('dead'), 1, entry) end
end
return 'buried'
