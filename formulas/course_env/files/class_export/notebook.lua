-- Changes pandoc's document so that Typst can print all of it. COURSEHUB_FOLDER is the notebook's folder.
local folder = os.getenv("COURSEHUB_FOLDER") or "."
local plain_formulas, no_pictures = os.getenv("COURSEHUB_PLAIN_FORMULAS"), os.getenv("COURSEHUB_NO_PICTURES")
local kinds = { png = "image/png", jpg = "image/jpeg", jpeg = "image/jpeg", gif = "image/gif", svg = "image/svg+xml", webp = "image/webp" }

-- Pictures: those in the notebook or beside it. For others, and for files that are no picture, the address is printed.
function Image(image)
  if no_pictures then
    return pandoc.Str("[picture that cannot be shown]")
  end
  if pandoc.mediabag.lookup(image.src) then
    return nil
  end
  local name = image.src:gsub("%%(%x%x)", function(code) return string.char(tonumber(code, 16)) end)
  local kind = kinds[(name:match("%.(%w+)$") or ""):lower()]
  local file = kind and not name:match("^%w+:") and io.open(name:sub(1, 1) == "/" and name or folder .. "/" .. name, "rb")
  local content = file and file:read("a")
  if file then
    file:close()
  end
  if not content then
    return pandoc.Span({ pandoc.Str("[picture: " .. image.src:sub(1, 200) .. "]") })
  end
  image.src = pandoc.utils.sha1(content) .. "." .. name:match("%.(%w+)$"):lower()
  pandoc.mediabag.insert(image.src, kind, content)
  return image
end

-- A table becomes as small as its longest words require. Typst could measure it, but that needs twice the time and memory.
local LINE, SMALLEST = 88, 3

local function longest_word(cell)
  local longest = 0
  for word in pandoc.utils.stringify(cell.contents):gmatch("%S+") do
    longest = math.max(longest, utf8.len(word) or #word)
  end
  return longest
end

function Table(table)
  local columns = {}
  local function look(rows)
    for _, row in ipairs(rows) do
      for number, cell in ipairs(row.cells) do
        columns[number] = math.max(columns[number] or 0, longest_word(cell))
      end
    end
  end
  look(table.head.rows)
  for _, body in ipairs(table.bodies) do
    look(body.head)
    look(body.body)
  end
  local wide = 0
  for _, longest in pairs(columns) do
    wide = wide + longest + 1.5
  end
  local size = math.max(SMALLEST, math.min(10, 10 * LINE / wide))
  local begin = string.format("#block[#set text(size: %.2fpt)\n#set table(inset: %.2fpt)", size, size * 0.3)
  return { pandoc.RawBlock("typst", begin), table, pandoc.RawBlock("typst", "]") }
end

-- HTML and LaTeX in cells and results. Raw Typst code comes only from this filter.
function RawBlock(raw)
  if raw.format:match("html") then
    local read = pandoc.read(raw.text, "html")
    local function nothing()
      return {}
    end
    return read:walk({ RawBlock = nothing, RawInline = nothing }):walk({ Image = Image, Table = Table }).blocks
  end
  if raw.format:match("tex") then
    return pandoc.Para({ Math(pandoc.Math("DisplayMath", raw.text)) })
  end
  return {}
end

function RawInline(raw)
  if raw.format:match("tex") then
    return Math(pandoc.Math("InlineMath", raw.text))
  end
  return {}
end

function Math(math)
  math.text = math.text:gsub("^%s*%$+", ""):gsub("%$+%s*$", "")
  if plain_formulas then
    return pandoc.Code(math.text)
  end
  return math
end
