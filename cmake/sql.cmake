# docket_sql(TARGET file.sql ...): each `-- name: x` block of a file becomes `SQL_x`, a `struct sql`
# with the block's text, in generated/<folder>/<file>.sql.h. Quote-free: the text is taken as it stands.
find_program(AWK NAMES mawk gawk awk REQUIRED)

function(docket_sql target)
  foreach(file ${ARGN})
    file(RELATIVE_PATH relative ${PROJECT_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR}/${file})
    set(header ${PROJECT_BINARY_DIR}/generated/${relative}.h)
    get_filename_component(folder ${header} DIRECTORY)
    file(MAKE_DIRECTORY ${folder})
    add_custom_command(OUTPUT ${header}
      COMMAND ${AWK} -f ${PROJECT_SOURCE_DIR}/cmake/sql.awk ${CMAKE_CURRENT_SOURCE_DIR}/${file} > ${header}
      DEPENDS ${file} ${PROJECT_SOURCE_DIR}/cmake/sql.awk VERBATIM)
    target_sources(${target} PRIVATE ${header})
  endforeach()
endfunction()
