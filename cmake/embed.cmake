# Writes OUTPUT, a C file that holds the text of each of FILES under its name, and that of TUNINGS, as
# host/cl/source.h declares. A kernel's text begins with a #line directive, so that a compiler's message
# names the file.
set(text "/* Made by cmake/embed.cmake from kernels_cl/. */\n#include \"cl/source.h\"\n\n")
set(table "")

# Appends to `text` an array of bytes, which are given in hexadecimal.
function(add_array declaration hex)
  string(REGEX REPLACE "(..)" "0x\\1," bytes "${hex}00")
  string(REGEX REPLACE "(................................................................................)"
         "\\1\n" bytes "${bytes}")
  set(text "${text}${declaration} = {\n${bytes}\n};\n\n" PARENT_SCOPE)
endfunction()

foreach(path IN LISTS FILES)
  get_filename_component(name ${path} NAME)
  string(MAKE_C_IDENTIFIER ${name} symbol)
  file(READ ${path} hex HEX)
  string(HEX "#line 1 \"${name}\"\n" first_line)
  add_array("static const char ${symbol}[]" "${first_line}${hex}")
  string(APPEND table "    {\"${name}\", ${symbol}},\n")
endforeach()
string(APPEND text "const struct kernel_source kernel_sources[] = {\n${table}    {0, 0},\n};\n\n")
file(READ ${TUNINGS} hex HEX)
add_array("const char shipped_tunings[]" "${hex}")
file(WRITE ${OUTPUT} "${text}")
