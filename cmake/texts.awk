# Files as rows { "name", "text" } of a C table; the name is the file's, without its folder and last ending.
FNR == 1 {
    finish()
    name = FILENAME
    sub(/.*\//, "", name)
    sub(/\.[^.]*$/, "", name)
    printf "    { \"%s\",", name
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
