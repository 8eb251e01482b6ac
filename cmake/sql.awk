# Turns `-- name: x` blocks into C: static const struct sql SQL_x = { "x", "text" };
BEGIN { print "#pragma once\n#include \"common/sql.h\"\n" }
/^-- name: / { finish(); name = $3; next }
/^--/ { next }
name != "" && NF {
    line = $0
    gsub(/\\/, "&&", line)
    gsub(/"/, "\\\"", line)
    body = body "\n    \"" line "\\n\""
}
END { finish() }
function finish() {
    if (name != "")
        printf "static const struct sql SQL_%s __attribute__((unused)) = { \"%s\",%s };\n\n", name, name, body
    name = ""; body = ""
}
