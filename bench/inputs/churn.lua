-- Tables, trees and strings. The argument is an amount.
local seed = 1
local function number(below)
  seed = (seed * 1103515245 + 12345) & 0x7fffffff
  return (seed >> 8) % below
end

local function tree(depth)
  if depth == 0 then return { number(1000) } end
  return { tree(depth - 1), tree(depth - 1) }
end

local function sum(node)
  if #node == 1 then return node[1] end
  return sum(node[1]) + sum(node[2])
end

local total = 0
for _ = 1, tonumber(arg[1]) do
  local keep = tree(15)
  for _ = 1, 12 do total = total + sum(tree(14)) end
  local words, parts = {}, {}
  for i = 1, 150000 do
    local word = "w" .. number(20011)
    words[word] = (words[word] or 0) + 1
    if i % 3 == 0 then parts[#parts + 1] = word:upper() .. i end
  end
  local order = {}
  for word in pairs(words) do order[#order + 1] = word end
  table.sort(order)
  local text = table.concat(parts, " ")
  local changed = text:gsub("W(%d+)", "<%1>")
  total = total + sum(keep) + #order + #text + #changed
end
print("checksum " .. total)
