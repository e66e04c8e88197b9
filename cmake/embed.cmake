# Writes OUTPUT, a C file that holds the text of each of FILES under its name, as host/cl/source.h
# declares. Each text begins with a #line directive, so that a compiler's message names the file.
set(text "/* Made by cmake/embed.cmake from kernels_cl/. */\n#include \"cl/source.h\"\n\n")
set(table "")
foreach(path IN LISTS FILES)
  get_filename_component(name ${path} NAME)
  string(MAKE_C_IDENTIFIER ${name} symbol)
  file(READ ${path} hex HEX)
  string(HEX "#line 1 \"${name}\"\n" first_line)
  string(REGEX REPLACE "(..)" "0x\\1," bytes "${first_line}${hex}00")
  string(REGEX REPLACE "(................................................................................)"
         "\\1\n" bytes "${bytes}")
  string(APPEND text "static const char ${symbol}[] = {\n${bytes}\n};\n\n")
  string(APPEND table "    {\"${name}\", ${symbol}},\n")
endforeach()
string(APPEND text "const struct kernel_source kernel_sources[] = {\n${table}    {0, 0},\n};\n")
file(WRITE ${OUTPUT} "${text}")
