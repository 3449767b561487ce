# Run when a program of unit tests was built: writes OUTPUT, which ctest includes, with one test for each suite of PROGRAM.
# A process per test, as gtest_discover_tests() makes it, costs more than most of these tests do; of a suite that fails
# ctest shows which test it was.
#
#   cmake -DPROGRAM=... -DOUTPUT=... -DLABEL=... -DTIMEOUT=... -P list_suites.cmake
execute_process(COMMAND ${PROGRAM} --gtest_list_tests OUTPUT_VARIABLE listed RESULT_VARIABLE failed)
if(failed)
  message(FATAL_ERROR "${PROGRAM} does not list its tests: ${failed}")
endif()
string(REGEX MATCHALL "(^|\n)[^ \n][^\n]*\\.([ \n]|$)" suites "${listed}")
list(LENGTH suites count)
if(count EQUAL 0)
  message(FATAL_ERROR "${PROGRAM} lists no suites")
endif()
set(script "")
foreach(suite IN LISTS suites)
  string(REGEX REPLACE "^\n?([^ \n]+)\\..*$" "\\1" suite "${suite}")
  string(APPEND script
    "add_test([==[${suite}]==] [==[${PROGRAM}]==] [==[--gtest_filter=${suite}.*]==] --gtest_brief=1)\n"
    "set_tests_properties([==[${suite}]==] PROPERTIES LABELS ${LABEL} TIMEOUT ${TIMEOUT})\n")
endforeach()
file(WRITE ${OUTPUT} "${script}")
