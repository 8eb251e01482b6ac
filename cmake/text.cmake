# docket_text(TARGET file ...): each file becomes a string literal in generated/<folder>/<file>.h, to be included where
# one may stand.
function(docket_text target)
  foreach(file ${ARGN})
    file(RELATIVE_PATH relative ${PROJECT_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR}/${file})
    set(header ${PROJECT_BINARY_DIR}/generated/${relative}.h)
    get_filename_component(folder ${header} DIRECTORY)
    file(MAKE_DIRECTORY ${folder})
    add_custom_command(OUTPUT ${header}
      COMMAND ${AWK} -f ${PROJECT_SOURCE_DIR}/cmake/text.awk ${CMAKE_CURRENT_SOURCE_DIR}/${file} > ${header}
      DEPENDS ${file} ${PROJECT_SOURCE_DIR}/cmake/text.awk VERBATIM)
    target_sources(${target} PRIVATE ${header})
  endforeach()
endfunction()

# docket_texts(TARGET table file ...): a row for each file, its name and its text, in generated/<folder>/<table>.
function(docket_texts target table)
  file(RELATIVE_PATH relative ${PROJECT_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR}/${table})
  set(output ${PROJECT_BINARY_DIR}/generated/${relative})
  get_filename_component(folder ${output} DIRECTORY)
  file(MAKE_DIRECTORY ${folder})
  add_custom_command(OUTPUT ${output}
    COMMAND ${AWK} -f ${PROJECT_SOURCE_DIR}/cmake/texts.awk ${ARGN} > ${output}
    DEPENDS ${ARGN} ${PROJECT_SOURCE_DIR}/cmake/texts.awk VERBATIM)
  target_sources(${target} PRIVATE ${output})
endfunction()
