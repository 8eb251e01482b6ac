# Turns schemas/sql/NNNN_name.sql files into rows { NNNN, "NNNN_name", "text" } of a C table.
FNR == 1 {
    finish()
    name = FILENAME
    sub(/.*\//, "", name)
    sub(/\.sql$/, "", name)
    printf "    { %d, \"%s\",", substr(name, 1, 4), name
}
{
    gsub(/\\/, "&&")
    gsub(/"/, "\\\"")
    printf "\n      \"%s\\n\"", $0
}
END { finish() }
function finish() {
    if (name != "")
        print " },"
}
