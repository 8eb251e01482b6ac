option(BUILD_TESTING "Build the unit tests and the benchmark's tools" ON)
option(DOCKET_WERROR "Warnings are errors" OFF)
option(DOCKET_FUZZ "Build tests/fuzz with libFuzzer (clang)" OFF)
option(DOCKET_TRIGGERS "Tests may make a worker die: never in what is shipped" OFF)
set(DOCKET_SANITIZE "" CACHE STRING "Sanitizers for everything, e.g. address,undefined")

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

add_library(docket_options INTERFACE)
target_include_directories(docket_options INTERFACE ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR}/generated)
target_compile_definitions(docket_options INTERFACE _GNU_SOURCE DOCKET_VERSION="${PROJECT_VERSION}")
target_compile_options(docket_options INTERFACE
  -Wall -Wextra -Wshadow -Wvla -Wundef -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith
  -Wwrite-strings -Wformat=2 -Wno-missing-field-initializers -fno-common -fstack-protector-strong)
if(DOCKET_WERROR)
  target_compile_options(docket_options INTERFACE -Werror)
endif()
if(DOCKET_TRIGGERS)
  target_compile_definitions(docket_options INTERFACE DOCKET_TRIGGERS)
endif()
if(DOCKET_SANITIZE)
  # The sanitizers' own checks make gcc take every format for one that may be NULL.
  target_compile_options(docket_options INTERFACE
    -fsanitize=${DOCKET_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer
    $<$<C_COMPILER_ID:GNU>:-Wno-format-truncation>)
  target_link_options(docket_options INTERFACE -fsanitize=${DOCKET_SANITIZE})
endif()
if(DOCKET_FUZZ)
  target_compile_options(docket_options INTERFACE -fsanitize=fuzzer-no-link)
endif()
