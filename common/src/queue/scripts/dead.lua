-- how many
if arg(1) == '0' then return {} end
return redis.call('LRANGE', key('dead'), 0, tonumber(arg(1)) - 1)
